"""A pen that draws flat shapes in units of a 100 x 100 sheet, then gives them light, rim and outline."""

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Final[Colour] = (38, 36, 44)
CREAM: Final[Colour] = (252, 246, 228)
WOOD: Final[Colour] = (150, 104, 62)
GLASS: Final[Colour] = (184, 222, 240)
METAL: Final[Colour] = (150, 158, 170)
GOLD: Final[Colour] = (240, 190, 70)
LEAF: Final[Colour] = (70, 140, 70)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` moved towards `other` by `share` (0 to 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


class Pen:
    """Draws one object in one main colour; y grows downwards; shapes may be given fixed accents."""

    def __init__(self, side_px: int, main: Colour, name: str) -> None:
        self.scale = side_px / 100
        self.main = main
        self.name = name
        bright = sum(main) / 3
        self.deep = mix(main, (20, 16, 40), 0.32) if bright > 70 else mix(main, (255, 255, 255), 0.16)
        self.pale = mix(main, (255, 255, 255), 0.45 if bright > 70 else 0.3)
        self.image = Image.new("RGBA", (side_px, side_px), (*main, 0))
        self.draw = ImageDraw.Draw(self.image)

    def poly(self, points: Sequence[Point], fill: Colour) -> None:
        self.draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=fill)

    def blob(self, points: Sequence[Point], fill: Colour) -> None:
        """A closed smooth curve (Catmull-Rom) through the points."""
        self.poly(smooth(points), fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        s = self.scale
        self.draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=fill)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, colour: Colour) -> None:
        s = self.scale
        box = ((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s)
        self.draw.ellipse(box, outline=colour, width=max(1, round(width * s)))

    def pie(self, x: float, y: float, rx: float, ry: float, start: float, end: float, fill: Colour) -> None:
        """A sector; degrees clockwise from three o'clock."""
        s = self.scale
        self.draw.pieslice(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), start, end, fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0) -> None:
        s = self.scale
        self.draw.rounded_rectangle((x0 * s, y0 * s, x1 * s, y1 * s), radius * s, fill=fill)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A stroke with round joints and ends."""
        s = self.scale
        self.draw.line(
            [(x * s, y * s) for x, y in points], fill=colour, width=max(1, round(width * s)), joint="curve"
        )
        for x, y in (points[0], points[-1]):
            self.oval(x, y, width / 2, width / 2, colour)

    def unless(self, names: str, usual: Colour, instead: Colour) -> Colour:
        """`usual`, or `instead` where the main colour is among `names` and would swallow it."""
        return instead if self.name in names.split() else usual

    def eye(self, x: float, y: float, radius: float = 3) -> None:
        self.oval(x, y, radius, radius, CREAM)
        self.oval(x + radius * 0.2, y, radius * 0.6, radius * 0.65, INK)

    def finish(self) -> Image.Image:
        """The object cut to its outline: light from the upper left, darker rim, thin dark line all around."""
        side = self.image.width
        alpha = self.image.getchannel("A")
        soft = alpha.filter(ImageFilter.BoxBlur(side * 0.045))
        step = max(1, round(side * 0.03))
        lit = np.asarray(ImageChops.offset(soft, step, step), np.float32)
        unlit = np.asarray(ImageChops.offset(soft, -step, -step), np.float32)
        ramp = np.linspace(0.5, -0.5, side, dtype=np.float32)
        relief = (lit - unlit) * 0.26 + (ramp[:, None] * 26 + ramp[None, :] * 14)
        colours = np.asarray(self.image.convert("RGB"), np.float32) + relief[:, :, None]
        shaded = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
        edge = alpha.filter(ImageFilter.BoxBlur(max(1.0, side * 0.009))).point(_HARDEN)
        dark = mix(self.main, (18, 12, 36), 0.72) if sum(self.main) > 210 else (12, 12, 18)
        out = Image.new("RGBA", self.image.size, (*dark, 0))
        out.putalpha(edge)
        out.paste(shaded, (0, 0), alpha)
        out.putalpha(edge)
        left, top, right, bottom = edge.getbbox() or (0, 0, side, side)
        # A margin, so that turning the object later does not fray its edges.
        return out.crop((left - 2, top - 2, right + 2, bottom + 2))


_HARDEN = [min(255, level * 4) for level in range(256)]


def smooth(points: Sequence[Point], steps: int = 6) -> list[Point]:
    """Points along a closed Catmull-Rom curve through `points`."""
    curve: list[Point] = []
    count = len(points)
    for index in range(count):
        a, b, c, d = (points[(index + k - 1) % count] for k in range(4))
        for step in range(steps):
            t = step / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            pairs = list(zip(weights, (a, b, c, d), strict=True))
            curve.append((sum(w * p[0] for w, p in pairs) / 2, sum(w * p[1] for w, p in pairs) / 2))
    return curve


def spoke(x: float, y: float, radius: float, degrees: float) -> Point:
    """The point at `radius` from (x, y), degrees clockwise from three o'clock."""
    return x + radius * cos(degrees * pi / 180), y + radius * sin(degrees * pi / 180)
