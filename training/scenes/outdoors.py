"""How each outdoor setting is painted: pale, varied places in which the objects stand out.

`h` is the height of the horizon in hundredths from the top.
"""

from training.scenes.pen import mix
from training.scenes.wall import Wall


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
    w.ridge(h + 4, 2, (128, 162, 98))
    w.ridge(h + 24, 2, (142, 164, 106))
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
    for x, half, height in (
        (w.rng.uniform(10, 30), 40, 16),
        (w.rng.uniform(65, 90), 38, 12),
        (w.rng.uniform(38, 60), 34, 6),
    ):
        top = height + w.rng.uniform(-4, 6)
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
    far = [(48 + bend, h + 9), (54 + bend, h + 9), (62 + bend, h + 26)]
    w.blob([*far, (92, 106), (12, 106), (40 + bend, h + 26)], (232, 214, 180))
    w.grass(h + 8, (120, 176, 96))
