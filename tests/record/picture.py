"""What a screen showed, and when, as an SVG: an animation without scripts, which shows all of it where it does not run."""

from itertools import groupby
from xml.sax.saxutils import escape

SIZE = 14  # of the font
WIDTH = 8.4  # of a character
HEIGHT = 19  # of a line
MARGIN = 16
BAR = 34  # with the name in it
BACKGROUND, FOREGROUND = "#161b22", "#d0d7de"
COLORS = {
    30: "#6e7681",
    31: "#ff7b72",
    32: "#7ee787",
    33: "#e3b341",
    34: "#79c0ff",
    35: "#d2a8ff",
    36: "#56d4dd",
    37: "#d0d7de",
}
HOLD_S = 6  # how long the end stands before it begins anew


def number(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")


def style_attributes(style):
    text = ""
    if style.color:
        text += f' fill="{COLORS[style.color % 60]}"'
    if style.bold:
        text += ' font-weight="bold"'
    if style.dim:
        text += ' fill-opacity=".62"'
    return text


def span(column, cells, moment):
    """Characters that came at once, in one style."""
    text = "".join(cell.char for cell in cells)
    length = f' textLength="{number(len(text) * WIDTH)}"' if len(text) > 1 else ""
    return (
        f'<tspan class="t{moment}" x="{number(MARGIN + column * WIDTH)}"{length}{style_attributes(cells[0].style)}>'
        f"{escape(text)}</tspan>"
    )


def line(index, row, moments):
    spans, column = [], 0
    for (_, moment), group in groupby(row, key=lambda cell: (cell.style, moments[cell.time])):
        cells = list(group)
        spans.append(span(column, cells, moment))
        column += len(cells)
    text = "".join(spans)
    y = BAR + MARGIN + index * HEIGHT + SIZE
    return f'<text y="{y}" xml:space="preserve">{text}</text>\n' if text else ""


def animation(times, duration):
    """A class for each moment: hidden until then, over and over."""
    rules = [f"tspan{{animation:{number(duration)}s infinite step-end}}\n"]
    for moment, time in enumerate(times):
        begin = number(100 * time / duration)
        rules.append(f"@keyframes t{moment}{{0%{{visibility:hidden}}{begin}%,to{{visibility:visible}}}}")
        rules.append(f".t{moment}{{animation-name:t{moment}}}\n")
    return "@media (prefers-reduced-motion:no-preference){\n" + "".join(rules) + "}"


def draw(screen, title, about):
    """The text of the file."""
    times = sorted({cell.time for row in screen.rows for cell in row})
    moments = {time: moment for moment, time in enumerate(times)}
    width = round(2 * MARGIN + screen.columns * WIDTH)
    height = BAR + 2 * MARGIN + len(screen.rows) * HEIGHT
    lines = "".join(line(i, row, moments) for i, row in enumerate(screen.rows))
    lights = "".join(
        f'<circle cx="{20 + 18 * i}" cy="{BAR // 2}" r="5.5" fill="{color}"/>'
        for i, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="title about">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="about">{escape(about)}</desc>\n'
        f"<style>\n{animation(times, times[-1] + HOLD_S)}\n</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>\n{lights}\n'
        f'<text x="{width // 2}" y="{BAR // 2 + 5}" text-anchor="middle" font-family="sans-serif" font-size="13" '
        f'fill="#8b949e">{escape(title)}</text>\n'
        f'<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" '
        f'font-size="{SIZE}" fill="{FOREGROUND}">\n{lines}</g>\n</svg>\n'
    )
