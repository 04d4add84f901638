"""Reads the sources of the manual pages (docs/man/*.scd), as far as tests have to: what is defined where, and the examples.

A definition is a line that begins in bold, and the lines behind it that are indented by a tab. A literal block has a
comment before it that says what a test makes of it:

    ; run           the lines that begin with `$ ` are commands, the others what they print
    ; file NAME     the contents of a file that examples use
    ; shown: WHY    nothing
"""

import dataclasses
import os
import re

PAGES = ("liongated.8", "liongatectl.1", "liongated.conf.5", "liongate-protocol.7")

FENCE = "```"
_UNDERLINE = re.compile(r"(?<![A-Za-z0-9\\])_|(?<!\\)_(?![A-Za-z0-9])")


def plain(text):
    """Without bold, underlining and backslashes."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)\*", "", _UNDERLINE.sub("", text)))


@dataclasses.dataclass
class Definition:
    section: str
    subsection: str
    line: int
    term: str
    text: str


@dataclasses.dataclass
class Paragraph:
    section: str
    subsection: str
    line: int
    text: str


@dataclasses.dataclass
class Block:
    line: int
    marker: str
    lines: list


class Page:
    def __init__(self, root, name):
        self.path = os.path.join("docs", "man", name + ".scd")
        self.subsections = []
        self.definitions = []
        self.paragraphs = []
        self.blocks = []
        self._section = self._subsection = ""
        with open(os.path.join(root, self.path), encoding="utf-8") as file:
            self._lines = file.read().splitlines()
        self._read()

    def within(self, section, subsection=None):
        """The definitions there; None: of all its subsections."""
        return [
            d for d in self.definitions if d.section == section and subsection in (None, d.subsection)
        ]

    def paragraphs_of(self, section, subsection):
        return [p for p in self.paragraphs if (p.section, p.subsection) == (section, subsection)]

    def text(self, section):
        """All that a section says, in one line."""
        parts = [p for p in self.paragraphs + self.definitions if p.section == section]
        return " ".join(f"{getattr(p, 'term', '')} {p.text}" for p in sorted(parts, key=lambda p: p.line))

    def _read(self):
        at, marker = 0, ""
        while at < len(self._lines):
            line = self._lines[at]
            if line.startswith("; "):
                marker = line[2:]
                at += 1
            elif line.strip() == FENCE:
                at = self._read_block(at, marker)
                marker = ""
            elif line.startswith("#"):
                self._enter(line)
                at += 1
            elif line.strip():
                at = self._read_paragraph(at)
            else:
                at += 1

    def _enter(self, line):
        level, _, title = line.partition(" ")
        if level == "#":
            self._section, self._subsection = plain(title), ""
        else:
            self._subsection = plain(title)
            self.subsections.append((self._section, self._subsection))

    def _read_block(self, at, marker):
        end = at + 1
        while self._lines[end].strip() != FENCE:
            end += 1
        indent = len(self._lines[at]) - len(self._lines[at].lstrip("\t"))
        lines = [line[indent:] for line in self._lines[at + 1 : end]]
        self.blocks.append(Block(at + 1, marker, lines))
        return end + 1

    def _read_paragraph(self, at):
        end = at
        while end < len(self._lines) and self._is_text(self._lines[end]):
            end += 1
        lines = self._lines[at:end]
        place = (self._section, self._subsection, at + 1)
        if lines[0].startswith("*") and len(lines) > 1 and lines[1].startswith("\t"):
            body = " ".join(line.strip() for line in lines[1:])
            self.definitions.append(Definition(*place, plain(lines[0]), plain(body)))
        else:
            self.paragraphs.append(Paragraph(*place, plain(" ".join(line.strip() for line in lines))))
        return end

    @staticmethod
    def _is_text(line):
        return bool(line.strip()) and not line.startswith(("#", "; ")) and line.strip() != FENCE


def pages(root):
    return {name: Page(root, name) for name in PAGES}
