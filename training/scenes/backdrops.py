"""How each setting is painted: pale, varied places in which the objects stand out. Twice the final size."""

from collections.abc import Callable
from random import Random
from typing import Final

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
        return mix(mix(warmed, (236, 126, 96), 0.26), (50, 30, 84), 0.24) if self.light == "dusk" else warmed

    def fade(self, y0: float, y1: float, top: Colour, bottom: Colour) -> None:
        """A vertical gradient over the whole width."""
        s = self.scale
        low, high = round(y0 * s), round(y1 * s)
        top, bottom = self.tint(top), self.tint(bottom)
        ramp = Image.linear_gradient("L").resize((self.image.width, max(1, high - low)))
        self.image.paste(Image.composite(Image.new("RGB", ramp.size, bottom), Image.new("RGB", ramp.size, top), ramp),
                         (0, low))  # fmt: skip

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


def beach(w: Wall, h: float) -> None:
    w.sky(h)
    w.fade(h, h + 16, (66, 168, 206), (142, 214, 222))
    w.ridge(h + 15, 1.2, (240, 250, 248))
    w.ridge(h + 17, 1.2, (244, 222, 172))
    w.ridge(h + 36, 2, (238, 212, 158))
    w.specks(40, h + 20, 99, (214, 184, 132))
    for _ in range(3):
        x, y = w.rng.uniform(0, 96), w.rng.uniform(h + 3, h + 11)
        w.line([(x, y), (x + 6, y)], 0.6, (226, 246, 250))


def forest(w: Wall, h: float) -> None:
    w.fade(0, h + 9, (168, 206, 178), (214, 232, 198))
    for depth, colour in ((0, (138, 178, 146)), (1, (104, 150, 116)), (2, (78, 126, 92))):
        for k in range(8 - depth):
            x = (k + w.rng.uniform(0, 1)) * 100 / (7 - depth)
            top, half = w.rng.uniform(0, 12) + depth * 3, 6 + depth * 2
            w.box(x - 1.2, h - 12, x + 1.2, h + depth * 2 + 3, (112, 86, 66))
            for part in range(3):
                y = top + part * (h - 8 - top) / 3.4
                reach = half * (0.55 + part * 0.24)
                w.poly([(x, y), (x + reach, y + (h - top) * 0.42), (x - reach, y + (h - top) * 0.42)], colour)
    w.ridge(h + 4, 2, (138, 160, 98))
    w.ridge(h + 24, 2, (154, 150, 102))
    w.grass(h + 8, (104, 130, 74))


def city_street(w: Wall, h: float) -> None:
    w.sky(h, (170, 204, 232), (232, 236, 238))
    x = -w.rng.uniform(0, 8)
    while x < 100:
        wide, top = w.rng.uniform(11, 19), w.rng.uniform(4, h - 20)
        wall = w.rng.choice(
            [(176, 160, 160), (194, 178, 158), (160, 168, 184), (204, 188, 176), (150, 156, 168)]
        )
        w.box(x, top, x + wide, h + 4, wall)
        for row in range(int((h - top) / 7)):
            for column in range(int(wide / 4.2)):
                lit = w.rng.random() < 0.3
                px, py = x + 1.4 + column * 4.2, top + 2.5 + row * 7
                w.box(px, py, px + 2.4, py + 4, (250, 232, 160) if lit else mix(wall, (70, 84, 110), 0.5))
        x += wide + w.rng.uniform(0, 1.5)
    w.box(0, h + 2, 100, h + 14, (204, 200, 194))
    w.box(0, h + 12, 100, h + 14.5, (164, 162, 162))
    w.fade(h + 14, 100, (124, 126, 134), (146, 148, 154))
    start = w.rng.uniform(-10, 8)
    for k in range(6):
        w.box(start + k * 22, h + 32, start + k * 22 + 12, h + 34.5, (238, 234, 214))


def desert(w: Wall, h: float) -> None:
    w.sky(h, (148, 206, 232), (250, 236, 204))
    for _ in range(2):
        x, wide, tall = w.rng.uniform(0, 90), w.rng.uniform(10, 20), w.rng.uniform(8, 18)
        w.poly([(x, h + 2), (x + 3, h - tall), (x + wide, h - tall), (x + wide + 4, h + 2)], (206, 138, 100))
        w.poly([(x + 1, h - 3), (x + wide + 3, h - 3), (x + wide + 4, h + 2), (x, h + 2)], (190, 122, 90))
    w.ridge(h, 3, (236, 182, 112), 3)
    w.ridge(h + 16, 4, (226, 166, 96), 3)
    w.ridge(h + 38, 4, (238, 184, 114), 3)
    w.specks(26, h + 10, 99, (196, 136, 78))


def snow_field(w: Wall, h: float) -> None:
    w.sky(h, (164, 194, 222), (226, 234, 242))
    for _ in range(8):
        x, tall = w.rng.uniform(0, 100), w.rng.uniform(8, 17)
        w.poly([(x, h - tall), (x + 4.5, h + 3), (x - 4.5, h + 3)], (132, 160, 168))
        w.poly([(x, h - tall), (x + 2.2, h - tall * 0.5), (x - 2.2, h - tall * 0.5)], (240, 246, 250))
    w.ridge(h + 1, 2.5, (224, 232, 242), 3)
    w.ridge(h + 18, 3, (210, 222, 236), 3)
    w.ridge(h + 38, 3, (224, 233, 243), 3)
    w.specks(55, 0, 99, (252, 254, 255), 0.7)


def kitchen(w: Wall, h: float) -> None:
    wall = w.rng.choice([(226, 236, 226), (244, 232, 206), (214, 232, 238), (242, 222, 214)])
    w.fade(0, h + 30, wall, mix(wall, (255, 255, 255), 0.3))
    for x in range(0, 100, 10):
        w.line([(x, h - 18), (x, h)], 0.35, mix(wall, (120, 120, 120), 0.3))
    for y in (h - 18, h - 9):
        w.line([(0, y), (100, y)], 0.35, mix(wall, (120, 120, 120), 0.3))
    door = w.rng.choice([(150, 180, 170), (196, 160, 124), (168, 182, 202)])
    window = w.rng.uniform(8, 62)
    for x in range(-6, 100, 19):
        if not window - 19 < x < window + 30:
            w.box(x, -3, x + 18, h - 24, door, 1)
            w.box(x + 2, -1, x + 16, h - 26, mix(door, (255, 255, 255), 0.14), 1)
    w.box(window, 2, window + 30, h - 22, (250, 248, 240), 1)
    w.box(window + 2, 4, window + 28, h - 24, (186, 220, 240) if w.light == "day" else (110, 80, 130))
    w.line([(window + 15, 4), (window + 15, h - 24)], 1, (250, 248, 240))
    w.box(0, h, 100, h + 4, (222, 214, 200))
    for x in range(0, 100, 25):
        w.box(x, h + 4, x + 24.4, h + 22.5, door)
        w.box(x + 10, h + 7, x + 15, h + 8.2, (236, 232, 222), 0.5)
    w.fade(h + 22, 100, (228, 214, 192), (214, 198, 172))
    for k in range(-4, 9):
        w.line([(50 + (k * 12.5 - 25), h + 22), (50 + (k * 12.5 - 25) * 2.2, 100)], 0.35, (194, 176, 150))
    for y in (h + 30, h + 42):
        w.line([(0, y), (100, y)], 0.35, (194, 176, 150))


def living_room(w: Wall, h: float) -> None:
    wall = w.rng.choice([(222, 200, 186), (198, 210, 200), (214, 206, 224), (236, 218, 178)])
    w.fade(0, h + 16, wall, mix(wall, (255, 255, 255), 0.25))
    for x in range(4, 100, 12):
        w.line([(x, 0), (x, h + 14)], 1.6, mix(wall, (255, 255, 255), 0.16))
    x = w.rng.choice((8, 58))
    w.box(x, 8, x + 32, h - 6, (244, 236, 220), 1)
    w.box(x + 2, 10, x + 30, h - 8, (176, 214, 236) if w.light == "day" else (96, 70, 124))
    w.line([(x + 16, 10), (x + 16, h - 8)], 1, (244, 236, 220))
    drape = w.rng.choice([(186, 120, 110), (120, 150, 140), (140, 120, 160)])
    w.box(x - 4, 5, x + 5, h, drape, 2)
    w.box(x + 27, 5, x + 36, h, drape, 2)
    frame = 66 - x + w.rng.uniform(-3, 6)
    w.box(frame, 12, frame + 20, 28, (140, 104, 74))
    w.box(frame + 1.5, 13.5, frame + 18.5, 26.5, (226, 224, 206))
    w.poly([(frame + 3, 26), (frame + 9, 18), (frame + 16, 26)], (140, 164, 150))
    w.box(0, h + 12, 100, h + 16, (244, 238, 228))
    w.fade(h + 16, 100, (190, 146, 104), (172, 128, 88))
    for y in range(int(h + 20), 100, 7):
        w.line([(0, y), (100, y)], 0.4, (150, 110, 76))
    rug = w.rng.choice([(206, 178, 160), (168, 180, 190), (196, 186, 150)])
    w.oval(50, 88, 46, 12, rug)
    w.oval(50, 88, 41, 9.5, mix(rug, (255, 255, 255), 0.25))


def meadow(w: Wall, h: float) -> None:
    w.sky(h)
    w.ridge(h - 4, 3, (172, 206, 158), 3)
    w.ridge(h + 3, 3, (156, 204, 122), 3)
    w.ridge(h + 24, 3, (142, 194, 108), 3)
    w.grass(h + 8, (104, 162, 82), 70)
    for _ in range(22):
        x, y = w.rng.uniform(0, 100), w.rng.uniform(h + 8, 98)
        w.oval(x, y, 0.9, 0.9, w.rng.choice([(250, 250, 240), (252, 226, 120), (232, 170, 200)]))


def mountain(w: Wall, h: float) -> None:
    w.sky(h, (140, 184, 226), (226, 234, 242))
    rock = w.rng.choice([(136, 144, 168), (150, 140, 152), (124, 146, 160)])
    for x, half, top in (
        (w.rng.uniform(10, 30), 40, 16),
        (w.rng.uniform(65, 90), 38, 12),
        (w.rng.uniform(38, 60), 34, 6),
    ):
        top += w.rng.uniform(-4, 6)
        w.poly([(x, top), (x + half, h + 8), (x - half, h + 8)], rock)
        w.poly([(x, top), (x + half, h + 8), (x + half * 0.2, h + 8)], mix(rock, (50, 56, 90), 0.2))
        drop = (h - top) * 0.34
        side = half * drop / (h + 8 - top)
        w.poly([(x, top), (x + side, top + drop), (x + side * 0.4, top + drop * 0.75), (x, top + drop * 1.15),
                (x - side * 0.5, top + drop * 0.72), (x - side, top + drop)], (246, 248, 252))  # fmt: skip
    w.ridge(h + 4, 3, (134, 162, 122), 4)
    w.ridge(h + 22, 3, (158, 172, 126), 4)
    for _ in range(9):
        x, y, r = w.rng.uniform(0, 100), w.rng.uniform(h + 12, 98), w.rng.uniform(0.8, 2.2)
        w.oval(x, y, r, r * 0.7, (166, 164, 162))


def night_sky(w: Wall, h: float) -> None:
    w.light = "painted"
    high = w.rng.choice([(24, 28, 74), (32, 24, 80), (18, 42, 84)])
    w.fade(0, h + 20, high, mix(high, (120, 120, 190), 0.55))
    for _ in range(60):
        r = w.rng.uniform(0.2, 0.6)
        w.oval(w.rng.uniform(0, 100), w.rng.uniform(0, h + 8), r, r, (255, 250, 220))
    x, y = w.rng.uniform(12, 88), w.rng.uniform(11, 20)
    w.oval(x, y, 11, 11, mix(high, (250, 244, 210), 0.25))
    w.oval(x, y, 8, 8, (250, 244, 212))
    if w.rng.random() < 0.5:
        w.oval(x + 4, y - 1.5, 6.8, 6.8, mix(high, (250, 244, 210), 0.22))
    w.ridge(h + 8, 3, (52, 58, 108), 4)
    w.ridge(h + 22, 3, (70, 78, 128), 4)
    w.ridge(h + 42, 2, (84, 92, 142), 4)


def harbour(w: Wall, h: float) -> None:
    w.sky(h, (156, 204, 234), (230, 240, 244))
    for _ in range(5):
        x = w.rng.uniform(2, 96)
        w.line([(x, h - w.rng.uniform(12, 24)), (x, h)], 0.7, (130, 110, 100))
        w.poly([(x - 6, h - 2), (x + 6, h - 2), (x + 4, h + 2), (x - 4, h + 2)], (212, 214, 220))
    x = w.rng.choice((5, 88))
    w.poly([(x - 3, h), (x - 2, 12), (x + 4, 12), (x + 5, h)], (240, 236, 230))
    w.poly([(x - 2.6, h - 12), (x + 4.6, h - 12), (x + 4.3, h - 19), (x - 2.3, h - 19)], (206, 110, 104))
    w.box(x - 2.4, 7, x + 4.4, 12, (250, 226, 140))
    w.poly([(x - 4, 7), (x + 1, 2), (x + 6, 7)], (190, 96, 92))
    w.fade(h, h + 26, (62, 130, 176), (110, 176, 204))
    for _ in range(12):
        px, py = w.rng.uniform(0, 96), w.rng.uniform(h + 3, h + 24)
        w.line([(px, py), (px + 5, py)], 0.5, (190, 224, 236))
    w.fade(h + 25, 100, (186, 150, 112), (170, 132, 94))
    for k in range(-5, 16):
        w.line([(k * 10, h + 25), ((k * 10 - 50) * 1.5 + 50, 100)], 0.5, (136, 102, 72))
    w.box(0, h + 23.5, 100, h + 26, (140, 106, 76))


def park(w: Wall, h: float) -> None:
    w.sky(h, (150, 208, 242), (232, 246, 246))
    for _ in range(7):
        x, r = w.rng.uniform(0, 100), w.rng.uniform(7, 11)
        w.box(x - 1, h - 8, x + 1, h + 4, (138, 108, 84))
        crown = w.rng.choice([(134, 182, 128), (156, 194, 122), (118, 170, 132)])
        w.oval(x, h - 12, r, r, crown)
        w.oval(x - r * 0.3, h - 14, r * 0.45, r * 0.4, mix(crown, (255, 255, 255), 0.2))
    w.ridge(h + 3, 1, (164, 208, 134), 3)
    for x in range(2, 100, 7):
        w.box(x, h - 3, x + 1.3, h + 6, (238, 234, 224), 0.5)
    w.box(0, h - 1, 100, h, (238, 234, 224))
    w.box(0, h + 3, 100, h + 4, (238, 234, 224))
    bend = w.rng.uniform(-24, 24)
    w.blob([(48 + bend, h + 9), (54 + bend, h + 9), (62 + bend, h + 26), (92, 106), (12, 106), (40 + bend, h + 26)],
           (232, 214, 180))  # fmt: skip
    w.grass(h + 8, (120, 176, 96))


SETTINGS_PAINTED: Final[dict[str, Callable[[Wall, float], None]]] = {
    "beach": beach, "forest": forest, "city street": city_street, "desert": desert, "snow field": snow_field,
    "kitchen": kitchen, "living room": living_room, "meadow": meadow, "mountain": mountain,
    "night sky": night_sky, "harbour": harbour, "park": park,
}  # fmt: skip


def plain(w: Wall) -> None:
    """A soft backdrop for a close-up: a pale gradient, sometimes with dots, stripes or a glow."""
    rng = w.rng
    one = rng.choice([(246, 236, 220), (222, 234, 244), (232, 226, 244), (226, 240, 226), (248, 226, 224),
                      (206, 212, 220), (188, 198, 206), (216, 204, 186)])  # fmt: skip
    other = mix(one, rng.choice([(150, 170, 200), (220, 180, 160), (170, 190, 170)]), 0.35)
    w.fade(0, 100, one, other)
    accent = mix(one, (255, 255, 255), 0.35)
    style = rng.choice(("none", "glow", "dots", "stripes", "table"))
    if style == "glow":
        for k in range(4):
            w.oval(50, 50, 46 - k * 9, 46 - k * 9, mix(other, (255, 255, 255), 0.15 + 0.15 * k))
    elif style == "dots":
        for k in range(64):
            w.oval(k % 8 * 13 + 5 + k // 8 % 2 * 6, k // 8 * 13 + 5, 1.4, 1.4, accent)
    elif style == "stripes":
        for k in range(-10, 12):
            w.poly([(k * 12, 0), (k * 12 + 5, 0), (k * 12 + 55, 100), (k * 12 + 50, 100)], accent)
    elif style == "table":
        y = rng.uniform(58, 72)
        w.fade(y, 100, mix(one, (120, 90, 70), 0.35), mix(one, (120, 90, 70), 0.2))


def paint_backdrop(setting: str, light: str, side_px: int, rng: Random) -> tuple[Image.Image, float]:
    """The empty place and the height of its horizon as a share of the picture, counted from the top."""
    wall = Wall(side_px * 2, rng, light)
    horizon = rng.uniform(36, 46)
    if setting == "plain":
        plain(wall)
    else:
        SETTINGS_PAINTED[setting](wall, horizon)
    image = wall.image.reduce(2)
    if rng.random() < 0.5 and setting != "plain":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image, horizon / 100
