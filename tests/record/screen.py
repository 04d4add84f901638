"""A terminal as far as a session needs it that writes line after line: carriage return, newline, backspace, colours.

Each character remembers when it was written. Whatever else a terminal would act upon is an error, so that no picture
shows what nobody saw.
"""

import re
from dataclasses import dataclass, replace

ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True)
class Style:
    bold: bool = False
    dim: bool = False
    color: int = 0  # 31 to 37, 90 to 97; 0: the terminal's own


@dataclass(frozen=True)
class Cell:
    char: str
    style: Style
    time: float


def apply(style, codes):
    for code in (int(word or 0) for word in codes.split(";")):
        if code == 0:
            style = Style()
        elif code == 1:
            style = replace(style, bold=True)
        elif code == 2:
            style = replace(style, dim=True)
        elif code == 39:
            style = replace(style, color=0)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, color=code)
        else:
            raise ValueError(f"unknown attribute {code}")
    return style


class Screen:
    """Grows downwards as long as lines come. `rows`: lists of cells."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = [[]]
        self._column = 0
        self._style = Style()

    def write(self, text, time):
        at = 0
        while at < len(text):
            escape = ESCAPE.match(text, at)
            if escape:
                self._style = apply(self._style, escape[1])
                at = escape.end()
                continue
            self._put(text[at], time)
            at += 1

    def _put(self, char, time):
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self.rows.append([])
        elif char == "\b":
            self._column = max(0, self._column - 1)
        elif char < " " or char == "\x7f":
            raise ValueError(f"{char!r} is more than this terminal knows")
        else:
            self._draw(char, time)

    def _draw(self, char, time):
        if self._column == self.columns:
            self.rows.append([])
            self._column = 0
        row = self.rows[-1]
        while len(row) <= self._column:
            row.append(Cell(" ", Style(), time))
        row[self._column] = Cell(char, self._style, time)
        self._column += 1
