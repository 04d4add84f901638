"""Finds what the programs say when something is wrong: strings in their source, with a `…` for each part that differs from
time to time."""

import re

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_CHARACTER = r"'(?:[^'\\\n]|\\.)+'"
# Comments, lines of the preprocessor, and characters, which may be a quote: what is no message.
_OTHER = re.compile(rf"{_STRING}|{_CHARACTER}|/\*.*?\*/|//[^\n]*|^#(?:[^\\\n]|\\.)*", re.S | re.M)
# Of a format: a string, or a macro of <inttypes.h>.
_PIECE = re.compile(rf"({_STRING})|\bPRI[a-z]+\d+\b")
_CONVERSION = re.compile(r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|j|t)?[diouxXcsp]")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def _without_other(text):
    """It is blanked, so that offsets and lines stay."""
    return _OTHER.sub(
        lambda m: m.group(0) if m.group(0)[0] == '"' else re.sub(r"[^\n]", " ", m.group(0)), text
    )


def normal(form):
    """A format as it is found in the document."""
    text = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(0)), form)
    text = _CONVERSION.sub("…", text).replace("%%", "%").strip()
    return re.sub(r"…+", "…", text)


def _strings(text, start=0, end=None):
    """Those that stand side by side are one: [(offset, text)]."""
    found, behind = [], None
    for piece in _PIECE.finditer(text, start, len(text) if end is None else end):
        # A macro stands for the end of a conversion, as in "%" PRIu64.
        part = piece.group(1)[1:-1] if piece.group(1) else "u"
        if found and not text[behind : piece.start()].strip():
            found[-1][1] += part
        else:
            found.append([piece.start(), part])
        behind = piece.end()
    return [(offset, normal(part)) for offset, part in found]


def _arguments(text, at):
    """The ranges of those of the call whose `(` is at `at`."""
    found, depth, start = [], 0, at + 1
    for token in re.compile(rf"{_STRING}|[()\[\]{{}},]").finditer(text, at):
        if token.group(0) in "([{":
            depth += 1
        elif token.group(0) in ")]}":
            depth -= 1
            if depth == 0:
                return [*found, (start, token.start())]
        elif token.group(0) == "," and depth == 1:
            found.append((start, token.start()))
            start = token.end()
    return found


class Source:
    """A file of C."""

    def __init__(self, text):
        self._text = _without_other(text)

    def _located(self, found):
        return [(self._text.count("\n", 0, offset) + 1, said) for offset, said in found]

    def of_calls(self, name, index):
        """The strings that calls of a function have in that argument: [(line, text)]."""
        found = []
        for call in re.finditer(rf"\b{name}\(", self._text):
            arguments = _arguments(self._text, call.end() - 1)
            if index < len(arguments):
                found += _strings(self._text, *arguments[index])
        return self._located(found)

    def all(self):
        """All of its strings."""
        return self._located(_strings(self._text))
