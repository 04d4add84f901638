"""Draws what was measured, as SVG that shows well on a light and on a dark page."""

import html
import math

from core import OURS, number

WIDTH = 760
LEFT = 220  # where bars begin; their names stand before it
RIGHT = 150  # their values stand behind them
BAR, GAP = 20, 9
STYLE = """
text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.quiet { fill: #656d76; font-size: 12px; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.range { stroke: #24292f; stroke-width: 1.5; fill: none; opacity: .65; }
.c0 { fill: #d97706; stroke: #d97706; }
.c1 { fill: #5b7c99; stroke: #5b7c99; }
.c2 { fill: #8c6bb1; stroke: #8c6bb1; }
.c3 { fill: #4d9078; stroke: #4d9078; }
.c4 { fill: #a3a3a3; stroke: #a3a3a3; }
.c5 { fill: #b56576; stroke: #b56576; }
.goal { fill: #a3a3a3; fill-opacity: .25; stroke: #a3a3a3; stroke-dasharray: 4 3; }
.line { fill: none; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.quiet { fill: #9198a1; }
.grid { stroke: #3d444d; }
.range { stroke: #e6edf3; }
}
"""


def _text(x, y, words, css="", anchor="start"):
    css = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{html.escape(words)}</text>'


def _line(x1, y1, x2, y2, css):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def _document(title, height, parts):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{html.escape(title)}">'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", _text(12, 24, title, "title"), *parts, "</svg>", ""])


def short(value):
    """1,230,000 as 1.23 M."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return number(value)


def _css(contender, others):
    """Ours has the first colour, whoever else is there."""
    return "c0" if contender == OURS else f"c{1 + others.index(contender) % 5}"


def _others(works):
    keys = []
    for result in works:
        keys += [key for key in result["contenders"] if key != OURS and key not in keys]
    return keys


def bars(name, works):
    """A work: for each metric that can be compared a bar of each median, and a line from least to most."""
    result = works[name]
    bounds = {goal["metric"]: goal["bound"] for goal in result["goals"] if goal["of"] is None}
    parts, y = [], 40
    for key in result["metrics"]:
        measured = {
            name: contender["metrics"][key]
            for name, contender in result["contenders"].items()
            if key in contender["metrics"]
        }
        if len(measured) > 1 or key in bounds or len(result["metrics"]) == 1:
            y = _panel(parts, y, result, key, measured, bounds.get(key))
    return _document(result["title"], y + 6, parts)


def _panel(parts, y, result, key, measured, bound):
    metric = result["metrics"][key]
    better = "more is better" if metric["better"] == "higher" else "less is better"
    what = f"{metric['title']}, " if metric["title"] else ""
    parts.append(_text(12, y + 6, f"{what}{metric['unit']} ({better})", "quiet"))
    most = max([series["max"] for series in measured.values()] + [bound or 0]) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    others = _others([result])
    # Of a rate the size matters, and 5.77 k µs is no way to put it.
    shown = short if metric["unit"].endswith("/s") else number
    y += 18
    for contender, series in measured.items():
        middle = y + BAR / 2
        low, high = LEFT + series["min"] * scale, LEFT + series["max"] * scale
        _bar(parts, y, series["median"] * scale, result["contenders"][contender]["title"], _css(contender, others))
        parts.append(_line(low, middle, high, middle, "range"))
        parts += [_line(x, middle - 4, x, middle + 4, "range") for x in (low, high)]
        end = max(LEFT + series["median"] * scale, high)
        parts.append(_text(end + 8, middle + 4.5, f"{shown(series['median'])} {metric['unit']}"))
        y += BAR + GAP
    if bound is not None:
        _bar(parts, y, bound * scale, "goal", "goal")
        end = LEFT + bound * scale
        parts.append(_text(end + 8, y + BAR / 2 + 4.5, f"{shown(bound)} {metric['unit']}", "quiet"))
        y += BAR + GAP
    return y + 14


def _bar(parts, y, width, title, css):
    parts.append(_text(LEFT - 10, y + BAR / 2 + 4.5, title, "", "end"))
    parts.append(
        f'<rect x="{LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{BAR}" rx="2" class="{css}"/>'
    )


def curves(chart, works):
    """Works that differ in one number: a curve of each contender over it, both axes logarithmic."""
    left, right, top, bottom, height = 84, 200, 56, 52, 400
    numbers = [chart.works[name] for name in chart.works]
    first = works[next(iter(chart.works))]
    others = _others([works[name] for name in chart.works])
    lines = _points(chart, works, [OURS, *others])
    values = [value for points in lines.values() for _, value in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high += high == low

    def x(value):
        span = math.log10(numbers[-1] / numbers[0]) or 1
        return left + (WIDTH - left - right) * math.log10(value / numbers[0]) / span

    def y(value):
        return height - bottom - (height - top - bottom) * (math.log10(value) - low) / (high - low)

    parts = [_text(12, 44, first["metrics"][chart.metric]["unit"], "quiet")]
    for power in range(low, high + 1):
        at = y(10**power)
        parts.append(_line(left, at, WIDTH - right, at, "grid"))
        parts.append(_text(left - 10, at + 4, short(10.0**power), "quiet", "end"))
    for value in numbers:
        parts.append(_line(x(value), top, x(value), height - bottom, "grid"))
        parts.append(_text(x(value), height - bottom + 18, f"{value:,}", "quiet", "middle"))
    parts.append(_text((left + WIDTH - right) / 2, height - 12, chart.axis, "quiet", "middle"))
    titles = {key: c["title"] for name in chart.works for key, c in works[name]["contenders"].items()}
    for key, points in lines.items():
        css = _css(key, others)
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" class="line {css}" style="fill:none"/>')
        parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" class="{css}"/>' for a, b in points]
    ends = {key: y(points[-1][1]) for key, points in lines.items()}
    parts += _legend(WIDTH - right + 14, ends, titles, others)
    return _document(chart.title, height, parts)


def _points(chart, works, contenders):
    """{contender: [(number, median), ...]} of those that were measured at all."""
    lines = {}
    for key in contenders:
        points = [
            (at, works[name]["contenders"][key]["metrics"][chart.metric]["median"])
            for name, at in chart.works.items()
            if chart.metric in works[name]["contenders"].get(key, {}).get("metrics", {})
        ]
        if points:
            lines[key] = points
    return lines


def _legend(x, ends, titles, others):
    """The names, beside the ends of their curves, moved apart where these are near each other."""
    parts, last = [], -math.inf
    for key, y in sorted(ends.items(), key=lambda item: item[1]):
        y = max(y, last + 17)
        last = y
        parts.append(f'<circle cx="{x}" cy="{y:.1f}" r="4" class="{_css(key, others)}"/>')
        parts.append(_text(x + 10, y + 4.5, titles[key]))
    return parts
