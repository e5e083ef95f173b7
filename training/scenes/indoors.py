"""How each indoor setting is painted: pale walls and floors in which the objects stand out.

`h` is the height of the horizon (here: of the counter or skirting board) in hundredths from the top.
"""

from training.scenes.pen import mix
from training.scenes.wall import Wall


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
