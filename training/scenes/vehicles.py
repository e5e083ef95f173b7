"""How each vehicle, shelter and flying toy is drawn: one small function a kind, in the pen's main colour."""

from training.scenes.pen import CREAM, GLASS, GOLD, INK, METAL, WOOD, Pen, mix


def bicycle(p: Pen) -> None:
    for x in (23, 77):
        p.ring(x, 66, 21, 21, 4, INK)
        p.ring(x, 66, 17, 17, 1.5, METAL)
        p.oval(x, 66, 3.5, 3.5, METAL)
    for a, b in (((23, 66), (38, 36)), ((38, 36), (68, 36)), ((68, 36), (47, 66)), ((47, 66), (38, 36)),
                 ((23, 66), (47, 66)), ((77, 66), (65, 24)), ((38, 36), (35, 27))):  # fmt: skip
        p.line([a, b], 6, p.main)
    p.box(25, 22, 45, 28, INK, 3)
    p.line([(65, 24), (60, 17), (76, 17)], 4, INK)
    p.oval(47, 66, 5, 5, p.deep)


def car(p: Pen) -> None:
    p.blob([(20, 48), (30, 26), (40, 22), (62, 22), (74, 28), (84, 48)], p.main)
    p.poly([(29, 46), (36, 29), (49, 29), (49, 46)], GLASS)
    p.poly([(54, 46), (54, 29), (66, 29), (75, 46)], GLASS)
    p.box(3, 44, 97, 72, p.main, 10)
    p.box(3, 62, 97, 68, p.deep, 2)
    p.oval(94, 54, 3.5, 4.5, GOLD)
    p.box(55, 50, 63, 53, p.deep, 1)
    for x in (25, 76):
        p.oval(x, 72, 13, 13, INK)
        p.oval(x, 72, 6, 6, METAL)


def bus(p: Pen) -> None:
    p.box(3, 16, 97, 80, p.main, 8)
    for x in (8, 26, 44, 62):
        p.box(x, 26, x + 15, 46, GLASS, 2)
    p.box(81, 26, 94, 70, GLASS, 2)
    p.line([(87.5, 27), (87.5, 69)], 1.5, p.deep)
    p.box(3, 54, 79, 60, p.pale)
    for x in (24, 66):
        p.oval(x, 80, 12, 12, INK)
        p.oval(x, 80, 5, 5, METAL)


def boat(p: Pen) -> None:
    p.line([(48, 6), (48, 66)], 3.5, WOOD)
    p.poly([(52, 8), (52, 58), (90, 58)], CREAM)
    p.poly([(44, 16), (44, 58), (14, 58)], p.pale)
    p.blob([(3, 66), (50, 67), (97, 66), (84, 90), (50, 93), (18, 90)], p.main)
    p.line([(8, 73), (92, 73)], 4, p.deep)


def rocket(p: Pen) -> None:
    p.blob([(40, 78), (60, 78), (50, 99)], (250, 150, 40))
    p.blob([(45, 78), (55, 78), (50, 91)], (255, 226, 110))
    p.poly([(34, 50), (14, 80), (36, 76)], p.deep)
    p.poly([(66, 50), (86, 80), (64, 76)], p.deep)
    p.blob([(50, 2), (66, 26), (68, 56), (62, 80), (38, 80), (32, 56), (34, 26)], p.main)
    p.oval(50, 38, 11, 11, METAL)
    p.oval(50, 38, 8, 8, GLASS)
    p.box(34, 66, 66, 71, p.pale)


def airplane(p: Pen) -> None:
    p.poly([(52, 44), (34, 14), (44, 13), (72, 44)], p.deep)
    p.poly([(10, 46), (3, 20), (14, 20), (28, 46)], p.deep)
    p.blob([(4, 46), (30, 40), (76, 38), (97, 50), (78, 60), (34, 60), (10, 54)], p.main)
    p.blob([(78, 41), (90, 46), (80, 48)], GLASS)
    for x in (32, 42, 52, 62):
        p.oval(x, 46, 3, 3, GLASS)
    p.poly([(46, 54), (66, 54), (40, 86), (29, 86)], p.deep)


def kite(p: Pen) -> None:
    p.line([(56, 68), (66, 80), (56, 88), (70, 97)], 2.2, (110, 90, 90))
    for x, y in ((64, 79), (59, 88)):
        p.poly([(x - 7, y - 4), (x + 7, y + 4), (x + 7, y - 4), (x - 7, y + 4)], p.deep)
    p.poly([(44, 2), (84, 30), (56, 70), (12, 34)], p.main)
    p.poly([(44, 2), (84, 30), (50, 32)], p.pale)
    p.poly([(50, 32), (56, 70), (12, 34)], p.pale)
    p.line([(44, 2), (56, 70)], 1.8, INK)
    p.line([(12, 34), (84, 30)], 1.8, INK)


def balloon(p: Pen) -> None:
    p.line([(50, 72), (46, 80), (54, 89), (50, 98)], 2.2, (110, 104, 110))
    p.blob([(50, 2), (76, 14), (80, 42), (64, 64), (50, 72), (36, 64), (20, 42), (24, 14)], p.main)
    p.poly([(50, 69), (43, 78), (57, 78)], p.deep)
    p.oval(36, 24, 6, 10, p.pale)


def tent(p: Pen) -> None:
    p.poly([(50, 10), (98, 90), (2, 90)], p.main)
    p.poly([(50, 10), (68, 90), (32, 90)], p.deep)
    p.poly([(50, 34), (60, 90), (40, 90)], mix(p.deep, INK, 0.75))
    p.line([(50, 12), (45, 3)], 3, WOOD)
    p.line([(50, 12), (55, 3)], 3, WOOD)
    p.line([(50, 12), (20, 88)], 2, p.pale)
    p.line([(50, 12), (80, 88)], 2, p.pale)


def house(p: Pen) -> None:
    p.box(68, 12, 79, 40, p.deep)
    p.box(14, 42, 86, 94, p.main)
    p.poly([(50, 6), (98, 48), (2, 48)], p.deep)
    p.box(42, 62, 58, 94, p.unless("brown", WOOD, CREAM))
    p.oval(55, 79, 1.6, 1.6, GOLD)
    for x in (21, 64):
        p.box(x, 56, x + 15, 72, CREAM)
        p.box(x + 2, 58, x + 13, 70, GLASS)
    p.oval(50, 33, 6, 6, GLASS)
