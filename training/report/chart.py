"""A line chart as inline SVG: axes, lines, points with tooltips. Colours come from the page's CSS classes.

No library: those at hand are large (matplotlib) or bring scripts from elsewhere, and a page needs few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]
WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 12, 44
MARKED = 40  # a line of more points than this carries no dots


@dataclass(frozen=True)
class Line:
    """One series. `spans` holds (x, low, high) where a point has an interval."""

    label: str
    points: Sequence[Point]
    spans: Sequence[tuple[float, float, float]] = ()


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover low to high; at least two."""
    span = max(high - low, 1e-4 * max(abs(low), abs(high))) or 1.0
    span = max(span, 1e-9)  # what is closer together than this is one value
    rough = span / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def plain(value: float) -> str:
    """A tick's label: 2000 as 2,000, .05 without the nought."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.6g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def line_chart(lines: Sequence[Line], *, title: str, x: str, y: str, from_zero: bool = True) -> str:
    """An <svg> of the lines, series n in class s<n>; a sentence instead where there are no points."""
    points = [point for line in lines for point in line.points]
    if not points:
        return f'<p class="note">{escape(title)}: no data in these runs.</p>'
    highs = [high for line in lines for _, _, high in line.spans]
    lows = [low for line in lines for _, low, _ in line.spans]
    across = ticks(0 if from_zero else min(p[0] for p in points), max(p[0] for p in points))
    up = ticks(
        min([0.0] if from_zero else [p[1] for p in points] + lows), max([p[1] for p in points] + highs)
    )

    def px(value: float) -> float:
        return LEFT + (value - across[0]) / (across[-1] - across[0]) * (WIDTH - LEFT - RIGHT)

    def py(value: float) -> float:
        return HEIGHT - BOTTOM - (value - up[0]) / (up[-1] - up[0]) * (HEIGHT - TOP - BOTTOM)

    def text(at_x: float, at_y: float, said: str, kind: str, anchor: str) -> str:
        where = f'x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}"'
        return f'<text class="{kind}" {where}>{escape(said)}</text>'

    def stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
        return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={quoteattr(title)}>']
    for value in up:
        parts.append(stroke("grid", LEFT, py(value), right, py(value)))
        parts.append(text(LEFT - 8, py(value) + 4, plain(value), "tick", "end"))
    parts += [text(px(value), bottom + 18, plain(value), "tick", "middle") for value in across]
    parts += [text(right, HEIGHT - 6, x, "axis", "end"), text(LEFT + 6, TOP + 10, y, "axis", "start")]
    for number, line in enumerate(lines):
        parts.append(f'<g class="s{number % 6}">')
        parts += [stroke("span", px(at), py(low), px(at), py(high)) for at, low, high in line.spans]
        path = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in line.points)
        parts.append(f'<polyline points="{path}"/>')
        if len(line.points) <= MARKED:
            for a, b in line.points:
                told = escape(f"{line.label}: {plain(a)}, {b:.3f}")
                parts.append(
                    f'<circle cx="{px(a):.1f}" cy="{py(b):.1f}" r="3.5"><title>{told}</title></circle>'
                )
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"])
