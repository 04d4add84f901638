#!/usr/bin/env python3
"""What the benchmarks' framework makes of numbers: nothing is measured here."""

import os
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import plot  # noqa: E402
from core import OURS, Chart, Contender, Goal, Metric, Missing, Work, measure, number, summarise  # noqa: E402


def work(contenders, goals=(), metrics=None):
    return Work("w", "Work", metrics or [Metric("rate", "1/s")], contenders, {"n": 10}, {"n": 1}, list(goals))


class Numbers(unittest.TestCase):
    def test_three_digits_that_count(self):
        cases = [
            (0, "0"), (1, "1"), (1.5, "1.5"), (0.98765, "0.988"), (0.00123456, "0.00123"), (99.96, "100"),
            (510.4, "510"), (970, "970"), (12345, "12,300"), (1234567, "1,230,000"), (999.96, "1000"),
        ]  # fmt: skip
        for value, text in cases:
            self.assertEqual(number(value), text)


class Rounds(unittest.TestCase):
    def test_everybody_begins_once(self):
        order = []

        def contender(key):
            return Contender(key, key, lambda _: order.append(key) or {"rate": 1})

        contenders = [contender(key) for key in (OURS, "a", "b")]
        values, out = measure(work(contenders), "build", 3, False, lambda _: None)
        self.assertEqual(order, [OURS, "a", "b", "a", "b", OURS, "b", OURS, "a"])
        self.assertEqual(values, {key: {"rate": [1, 1, 1]} for key in (OURS, "a", "b")})
        self.assertEqual(out, {})

    def test_size(self):
        sizes = []
        contenders = [Contender(OURS, "", lambda bench: sizes.append(bench.size["n"]) or {"rate": 1})]
        for smoke in (False, True):
            measure(work(contenders), "build", 1, smoke, lambda _: None)
        self.assertEqual(sizes, [10, 1])

    def test_missing_peer(self):
        def missing(_):
            raise Missing("gone")

        contenders = [Contender(OURS, "", lambda _: {"rate": 1}), Contender("a", "", missing)]
        values, out = measure(work(contenders), "build", 2, False, lambda _: None)
        self.assertEqual((values["a"], out), ({}, {"a": "gone"}))

    def test_unknown_metric(self):
        contenders = [Contender(OURS, "", lambda _: {"rat": 1})]
        with self.assertRaises(StopIteration):
            measure(work(contenders), "build", 1, False, lambda _: None)


class Goals(unittest.TestCase):
    def judge(self, goal, ours, theirs, better="higher"):
        contenders = [Contender(OURS, "us", None), Contender("a", "A", None)]
        w = work(contenders, [goal], [Metric("rate", "u", better)])
        values = {OURS: {"rate": ours}, "a": {"rate": theirs} if theirs else {}}
        return summarise(w, values, {})["goals"][0]

    def test_ratio_of_medians(self):
        goal = self.judge(Goal("rate", 2, of="a"), [1, 100, 20], [8, 10, 12])
        self.assertEqual((goal["value"], goal["met"]), (2.0, True))
        self.assertEqual(self.judge(Goal("rate", 2.1, of="a"), [20], [10])["met"], False)

    def test_lower_is_better(self):
        self.assertEqual(self.judge(Goal("rate", 3, of="a"), [29], [10], "lower")["met"], True)
        self.assertEqual(self.judge(Goal("rate", 3, of="a"), [31], [10], "lower")["met"], False)

    def test_absolute(self):
        self.assertEqual(self.judge(Goal("rate", 100), [100], None)["met"], True)
        self.assertEqual(self.judge(Goal("rate", 100), [99], None)["met"], False)
        self.assertEqual(self.judge(Goal("rate", 50), [51], None, "lower")["met"], False)

    def test_not_measured(self):
        self.assertIsNone(self.judge(Goal("rate", 2, of="a"), [20], None)["met"])


class Pictures(unittest.TestCase):
    def result(self, scale=1):
        w = work([Contender(OURS, "us", None), Contender("a", "A < B", None)])
        return summarise(w, {OURS: {"rate": [1 * scale, 2 * scale]}, "a": {"rate": [3 * scale]}}, {})

    def elements(self, svg):
        return [e.tag.rpartition("}")[2] for e in xml.etree.ElementTree.fromstring(svg).iter()]

    def test_bars(self):
        svg = plot.bars("w", {"w": self.result()})
        self.assertEqual(self.elements(svg).count("rect"), 2)
        self.assertIn("A &lt; B", svg)

    def test_bars_of_one(self):
        """What only we are measured by is drawn beside its goal, or not at all."""
        metrics = [Metric("rate", "1/s"), Metric("cpu", "s", "lower", "processor time")]
        w = work([Contender(OURS, "us", None)], [Goal("rate", 500)], metrics)
        svg = plot.bars("w", {"w": summarise(w, {OURS: {"rate": [1, 2], "cpu": [3]}}, {})})
        self.assertEqual(self.elements(svg).count("rect"), 2)
        self.assertIn(">500 1/s<", svg)
        self.assertNotIn("processor time", svg)

    def test_curves(self):
        chart = Chart("c", "Chart", "rate", "how many", {"one": 1, "ten": 10})
        svg = plot.curves(chart, {"one": self.result(), "ten": self.result(1000)})
        self.assertEqual(self.elements(svg).count("polyline"), 2)
        self.assertIn("10 k", svg)


if __name__ == "__main__":
    unittest.main()
