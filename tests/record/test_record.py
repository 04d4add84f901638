"""What the picture of a terminal session is made by, and the one that README.md shows."""

import html
import os
import re
import sys
import unittest
from xml.etree import ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import picture  # noqa: E402
import session  # noqa: E402
from screen import Screen, Style  # noqa: E402

FILE = os.path.join(session.ROOT, "docs", "img", "session.svg")
SVG = "{http://www.w3.org/2000/svg}"


def lines_of(screen):
    return ["".join(cell.char for cell in row) for row in screen.rows]


def lines_drawn(svg):
    """The words of each line of the picture, in the order of its lines."""
    root = ElementTree.fromstring(svg)
    return ["".join(span.text for span in text.findall(f"{SVG}tspan")) for text in root.findall(f"{SVG}g/{SVG}text")]


class Screens(unittest.TestCase):
    def write(self, *pieces, columns=10):
        screen = Screen(columns)
        for time, text in enumerate(pieces):
            screen.write(text, time)
        return screen

    def test_lines(self):
        cases = (
            (("ab\r\nc",), ["ab", "c"]),
            (("ab\rX",), ["Xb"]),
            (("abc\b\b1",), ["a1c"]),
            (("\b1",), ["1"]),
            (("0123456789ab",), ["0123456789", "ab"]),
            (("a\nb",), ["a", " b"]),
        )
        for pieces, lines in cases:
            with self.subTest(pieces=pieces):
                self.assertEqual(lines_of(self.write(*pieces)), lines)

    def test_colors(self):
        row = self.write("\x1b[1;31ma\x1b[2m", "b\x1b[0mc\x1b[39m\x1b[md").rows[0]
        self.assertEqual([cell.style for cell in row], [Style(True, False, 31), Style(True, True, 31), Style(), Style()])
        self.assertEqual([cell.time for cell in row], [0, 1, 1, 1])

    def test_what_it_does_not_know(self):
        for text in ("\x1b[2J", "\x1b[5m", "\x07", "\x1b]0;x\x07", "\t"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                self.write(text)


class Pictures(unittest.TestCase):
    def test_drawn(self):
        screen = Screen(20)
        screen.write("$ a<b & \x1b[32mc\x1b[0m", 0.5)
        screen.write("\r\n\r\nd", 2)
        svg = picture.draw(screen, "a<b", "c&d")
        self.assertEqual(lines_drawn(svg), ["$ a<b & c", "d"])
        self.assertIn(f">{html.escape('a<b')}<", svg)
        self.assertIn("@keyframes t0{0%{visibility:hidden}6.25%,to{visibility:visible}}", svg)
        self.assertIn(picture.COLORS[32], svg)

    def test_the_one_of_the_readme(self):
        with open(FILE, encoding="utf-8") as f:
            svg = f.read()
        self.assertLess(len(svg.encode()), 200 << 10)
        commands = [line.removeprefix("$ ") for line in lines_drawn(svg) if re.match(r"\$ .", line)]
        self.assertEqual(
            [re.sub(r" +", " ", command) for command in commands],
            [re.sub(r" +", " ", command) for command in session.COMMANDS],
            "scripts/record.sh draws it anew",
        )
        self.assertNotRegex(svg, r"(?i)<script|href|\bon[a-z]+=")


if __name__ == "__main__":
    unittest.main()
