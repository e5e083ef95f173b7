"""A canvas for settings: gradients, hills, skies and clouds in units of 100 x 100, tinted by the light."""

from random import Random

from PIL import Image, ImageDraw

from training.scenes.pen import Colour, Point, mix, smooth


class Wall:
    """A canvas in units of 100 x 100 with gradients; colours are tinted by the light of the day."""

    def __init__(self, side_px: int, rng: Random, light: str) -> None:
        self.rng, self.light, self.scale = rng, light, side_px / 100
        self.warmth = rng.uniform(-0.05, 0.08)
        self.image = Image.new("RGB", (side_px, side_px))
        self.draw = ImageDraw.Draw(self.image)

    def tint(self, colour: Colour) -> Colour:
        warmed = mix(colour, (255, 216, 160), max(0.0, self.warmth))
        warmed = mix(warmed, (196, 220, 255), max(0.0, -self.warmth))
        if self.light != "dusk":
            return warmed
        red, green, blue = warmed
        return mix((round(red * 0.94), round(green * 0.8), round(blue * 0.9)), (240, 130, 96), 0.08)

    def fade(self, y0: float, y1: float, top: Colour, bottom: Colour) -> None:
        """A vertical gradient over the whole width."""
        s = self.scale
        low, high = round(y0 * s), round(y1 * s)
        top, bottom = self.tint(top), self.tint(bottom)
        ramp = Image.linear_gradient("L").resize((self.image.width, max(1, high - low)))
        low_tone, high_tone = (Image.new("RGB", ramp.size, colour) for colour in (bottom, top))
        self.image.paste(Image.composite(low_tone, high_tone, ramp), (0, low))

    def poly(self, points: list[Point], fill: Colour) -> None:
        self.draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=self.tint(fill))

    def blob(self, points: list[Point], fill: Colour) -> None:
        self.poly(smooth(points), fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0) -> None:
        s = self.scale
        self.draw.rounded_rectangle((x0 * s, y0 * s, x1 * s, y1 * s), radius * s, fill=self.tint(fill))

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour, tinted: bool = True) -> None:
        s = self.scale
        box = ((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s)
        self.draw.ellipse(box, fill=self.tint(fill) if tinted else fill)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        s = self.scale
        self.draw.line(
            [(x * s, y * s) for x, y in points], fill=self.tint(colour), width=max(1, round(width * s))
        )

    def ridge(self, y: float, height: float, fill: Colour, bumps: int = 5) -> None:
        """Rolling ground from about `y` down to the foot of the picture."""
        rng = self.rng
        xs = [-10 + 120 * k / bumps for k in range(bumps + 1)]
        top = [(x + rng.uniform(-4, 4), y + rng.uniform(-height, height)) for x in xs]
        curve = smooth([*top, (130, 140), (-30, 140)])
        self.poly(curve, fill)

    def sky(self, horizon: float, top: Colour = (132, 196, 240), bottom: Colour = (222, 240, 250)) -> None:
        """Day: blue with a sun or clouds; dusk: rose and violet with a low sun."""
        rng = self.rng
        if self.light == "dusk":
            self.light = "painted"
            self.fade(0, horizon + 9, mix((112, 88, 168), (66, 86, 160), rng.random()), (252, 184, 140))
            x, y = rng.uniform(15, 85), horizon - rng.uniform(4, 14)
            self.oval(x, y, 9, 9, (255, 206, 150), False)
            self.oval(x, y, 6.5, 6.5, (255, 228, 172), False)
            for _ in range(rng.randint(1, 3)):
                self.cloud(rng.uniform(0, 100), rng.uniform(6, horizon * 0.7), (236, 164, 166))
            self.light = "dusk"
            return
        self.fade(0, horizon + 9, top, bottom)
        if rng.random() < 0.6:
            x, y = rng.uniform(10, 90), rng.uniform(7, 20)
            self.oval(x, y, 10, 10, mix(top, (255, 246, 200), 0.55))
            self.oval(x, y, 7, 7, (255, 240, 178))
        for _ in range(rng.randint(1, 4)):
            self.cloud(rng.uniform(0, 100), rng.uniform(5, horizon * 0.75), (250, 252, 254))

    def cloud(self, x: float, y: float, fill: Colour) -> None:
        size = self.rng.uniform(0.6, 1.3)
        for dx, dy, r in ((-9, 1, 4), (-4, -1.5, 5.5), (2.5, -2.5, 6), (9, 0.8, 4.2)):
            self.oval(x + dx * size, y + dy * size, r * size, r * 0.75 * size, fill)
        self.box(x - 12 * size, y, x + 12 * size, y + 4 * size, fill, 2 * size)

    def specks(self, count: int, y0: float, y1: float, fill: Colour, size: float = 0.5) -> None:
        for _ in range(count):
            x, y = self.rng.uniform(0, 100), self.rng.uniform(y0, y1)
            self.oval(x, y, size * self.rng.uniform(0.6, 1.6), size * 0.6, fill)

    def grass(self, y0: float, fill: Colour, count: int = 46) -> None:
        for _ in range(count):
            x, y = self.rng.uniform(0, 100), self.rng.uniform(y0, 99)
            self.line([(x, y), (x + self.rng.uniform(-0.8, 0.8), y - 2.4)], 0.45, fill)
