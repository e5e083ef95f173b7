"""How each animal, plant and fruit is drawn: one small function a kind, in the pen's main colour."""

from training.scenes.pen import CREAM, GOLD, INK, LEAF, WOOD, Pen, mix, spoke


def cat(p: Pen) -> None:
    p.line([(72, 84), (88, 78), (90, 60), (84, 48)], 7, p.main)
    p.blob([(34, 50), (52, 48), (70, 66), (74, 94), (26, 94), (28, 70)], p.main)
    p.poly([(18, 32), (18, 4), (38, 18)], p.main)
    p.poly([(66, 32), (66, 4), (46, 18)], p.main)
    p.poly([(22, 24), (22, 12), (31, 18)], p.pale)
    p.poly([(62, 24), (62, 12), (53, 18)], p.pale)
    p.oval(42, 33, 27, 22, p.main)
    p.eye(32, 30, 5)
    p.eye(52, 30, 5)
    p.poly([(38, 39), (46, 39), (42, 44)], (240, 150, 160))
    for y in (40, 45):
        p.line([(14, y - 2), (30, y)], 1.2, INK)
        p.line([(54, y), (70, y - 2)], 1.2, INK)
    p.oval(48, 80, 12, 14, p.pale)


def dog(p: Pen) -> None:
    p.line([(18, 52), (8, 38), (6, 26)], 7, p.main)
    for x in (20, 30, 58, 68):
        p.box(x, 60, x + 9, 94, p.main if x in (20, 68) else p.deep, 4)
    p.blob([(14, 50), (34, 44), (60, 46), (78, 50), (78, 70), (50, 74), (18, 72)], p.main)
    p.blob([(58, 52), (60, 24), (72, 14), (86, 20), (98, 34), (94, 44), (80, 46), (76, 58)], p.main)
    p.blob([(62, 16), (70, 16), (70, 36), (62, 46), (55, 36)], p.deep)
    p.oval(96, 33, 4, 3.5, INK)
    p.eye(80, 26, 3.5)
    p.line([(62, 52), (77, 55)], 4, p.unless("yellow orange", (230, 190, 60), (200, 40, 50)))


def horse(p: Pen) -> None:
    p.blob([(14, 46), (6, 52), (4, 74), (10, 76), (16, 58)], p.deep)
    for x, lower in ((16, 94), (27, 92), (56, 92), (66, 94)):
        p.box(x, 56, x + 7, lower, p.main if x in (16, 66) else p.deep)
        p.box(x, lower - 6, x + 7.5, lower, INK)
    p.blob([(12, 48), (30, 42), (56, 44), (74, 44), (74, 64), (44, 66), (16, 66)], p.main)
    p.blob([(56, 52), (66, 24), (76, 12), (84, 14), (98, 32), (95, 40), (84, 34), (78, 40), (75, 60)], p.main)
    p.blob([(52, 46), (60, 22), (74, 6), (78, 12), (70, 22), (64, 46)], p.deep)
    p.poly([(77, 14), (80, 3), (84, 14)], p.main)
    p.eye(84, 21, 2.8)


def fish(p: Pen) -> None:
    p.poly([(26, 50), (4, 26), (10, 50), (4, 76)], p.deep)
    p.blob([(40, 30), (54, 14), (68, 28)], p.deep)
    p.blob([(48, 68), (54, 84), (62, 70)], p.deep)
    p.blob([(18, 50), (40, 28), (70, 26), (96, 50), (70, 74), (40, 72)], p.main)
    for x in (44, 56):
        p.line([(x, 34), (x - 6, 50), (x, 66)], 3, p.pale)
    p.line([(72, 32), (67, 50), (72, 68)], 2, p.deep)
    p.eye(82, 43, 4.5)


def bird(p: Pen) -> None:
    p.poly([(24, 62), (2, 60), (4, 74), (28, 74)], p.deep)
    p.line([(46, 78), (44, 94)], 2.5, GOLD)
    p.line([(56, 78), (58, 94)], 2.5, GOLD)
    p.poly([(84, 28), (99, 35), (84, 41)], p.unless("yellow orange", GOLD, (216, 110, 30)))
    p.blob([(16, 66), (36, 50), (54, 30), (68, 15), (86, 24), (86, 46), (72, 74), (44, 82)], p.main)
    p.blob([(20, 60), (42, 46), (58, 50), (52, 66), (34, 71)], p.deep)
    p.blob([(62, 60), (78, 52), (72, 70), (58, 76)], p.pale)
    p.eye(76, 29, 4)


def butterfly(p: Pen) -> None:
    for side in (-1, 1):
        p.blob([(50 + side * a, b) for a, b in ((2, 44), (16, 14), (42, 8), (46, 32), (30, 52))], p.main)
        p.blob([(50 + side * a, b) for a, b in ((2, 52), (30, 54), (38, 74), (24, 92), (8, 76))], p.main)
        p.oval(50 + side * 30, 28, 8, 9, p.pale)
        p.oval(50 + side * 24, 72, 6, 7, p.deep)
        p.line([(50, 28), (50 + side * 10, 8)], 2, INK)
    p.oval(50, 54, 4, 28, INK)


def turtle(p: Pen) -> None:
    skin = p.unless("white pink yellow", mix(p.main, CREAM, 0.5), (170, 190, 130))
    p.blob([(72, 62), (82, 42), (96, 40), (99, 52), (88, 60), (84, 70)], skin)
    for x in (16, 58):
        p.box(x, 66, x + 15, 86, skin, 6)
    p.poly([(10, 66), (2, 76), (16, 74)], skin)
    p.pie(44, 70, 38, 44, 180, 360, p.main)
    p.box(5, 66, 83, 75, p.deep, 4)
    for x, y in ((30, 52), (58, 52), (44, 38)):
        p.poly([spoke(x, y, 9, 60 * k) for k in range(6)], p.deep)
    p.eye(91, 47, 3)


def elephant(p: Pen) -> None:
    p.line([(10, 44), (3, 60)], 3, p.deep)
    for x in (12, 27, 47, 60):
        p.box(x, 58, x + 13, 92, p.main if x in (12, 60) else p.deep, 3)
    p.blob([(8, 50), (18, 26), (46, 20), (70, 28), (74, 60), (60, 70), (20, 70)], p.main)
    p.blob([(64, 22), (82, 20), (92, 36), (96, 60), (97, 80), (87, 80), (85, 60), (70, 56)], p.main)
    p.blob([(52, 22), (66, 24), (70, 44), (58, 58), (46, 42)], p.deep)
    p.poly([(78, 54), (84, 54), (90, 66)], CREAM)
    p.eye(79, 34, 3)


def rabbit(p: Pen) -> None:
    for x, lean in ((36, -5), (58, 5)):
        p.blob([(x - 7, 36), (x - 6 + lean, 6), (x + 6 + lean, 4), (x + 7, 36)], p.main)
        p.blob([(x - 3, 32), (x - 2 + lean, 12), (x + 3 + lean, 11), (x + 3, 32)], (244, 176, 186))
    p.oval(76, 82, 9, 9, p.unless("white", CREAM, (220, 220, 224)))
    p.blob([(32, 58), (62, 58), (76, 84), (66, 96), (28, 96), (18, 84)], p.main)
    p.oval(47, 44, 22, 19, p.main)
    p.oval(47, 80, 13, 13, p.pale)
    p.eye(39, 41, 3.6)
    p.eye(56, 41, 3.6)
    p.oval(47.5, 49, 3, 2.2, (230, 110, 130))
    p.box(44.5, 54, 50.5, 61, CREAM)


def snail(p: Pen) -> None:
    body = p.unless("brown", (222, 192, 150), (238, 214, 170))
    p.blob([(2, 88), (20, 76), (66, 78), (78, 50), (90, 44), (97, 56), (88, 86), (60, 92)], body)
    p.line([(84, 48), (78, 28)], 3, body)
    p.line([(91, 48), (95, 28)], 3, body)
    p.eye(78, 27, 4)
    p.eye(95, 27, 4)
    p.oval(42, 52, 34, 33, p.main)
    p.ring(43, 53, 25, 24, 4, p.deep)
    p.ring(45, 55, 14, 13, 4, p.deep)
    p.oval(46, 56, 5, 5, p.deep)


def tree(p: Pen) -> None:
    p.poly([(43, 96), (46, 56), (54, 56), (57, 96)], p.unless("brown", WOOD, (84, 56, 40)))
    for x, y, r in ((30, 46, 20), (70, 46, 20), (50, 54, 22), (36, 28, 18), (64, 28, 18), (50, 22, 18)):
        p.oval(x, y, r, r * 0.95, p.main)
    for x, y in ((36, 30), (62, 26), (50, 46), (28, 48), (72, 50)):
        p.oval(x, y, 5, 4, p.pale)


def flower(p: Pen) -> None:
    p.line([(50, 44), (51, 70), (50, 96)], 4.5, LEAF)
    p.blob([(51, 86), (70, 64), (82, 68), (70, 84)], LEAF)
    p.blob([(50, 90), (30, 70), (18, 76), (32, 88)], LEAF)
    for k in range(6):
        p.oval(*spoke(50, 34, 19, 60 * k + 30), 14, 14, p.main)
    p.oval(50, 34, 11, 11, p.unless("yellow orange", GOLD, WOOD))


def mushroom(p: Pen) -> None:
    p.blob([(38, 54), (62, 54), (64, 76), (70, 94), (30, 94), (36, 76)], CREAM)
    p.pie(50, 56, 46, 48, 180, 360, p.main)
    p.oval(50, 56, 46, 7, p.deep)
    dot = p.unless("white", CREAM, (206, 150, 120))
    for x, y, r in ((30, 38, 7), (54, 26, 8), (74, 42, 6), (50, 47, 4)):
        p.oval(x, y, r, r * 0.85, dot)


def cactus(p: Pen) -> None:
    p.line([(40, 62), (18, 60), (18, 36)], 13, p.main)
    p.line([(60, 54), (82, 52), (82, 26)], 13, p.main)
    p.box(38, 6, 62, 94, p.main, 12)
    for x in (45, 55):
        p.line([(x, 16), (x, 88)], 2, p.deep)
    for x, y in ((50, 24), (50, 44), (50, 64), (18, 44), (82, 36)):
        p.line([(x - 3, y - 3), (x + 3, y + 3)], 1.4, CREAM)
        p.line([(x - 3, y + 3), (x + 3, y - 3)], 1.4, CREAM)
    p.oval(50, 6, 7, 5, (240, 110, 150))


def apple(p: Pen) -> None:
    p.line([(50, 30), (52, 16), (58, 8)], 4, (96, 62, 36))
    p.blob([(54, 20), (66, 6), (84, 8), (72, 20)], LEAF)
    p.blob(
        [(50, 28), (66, 20), (90, 32), (90, 62), (70, 94), (50, 89), (30, 94), (10, 62), (10, 32), (34, 20)],
        p.main,
    )
    p.oval(27, 42, 7, 11, p.pale)


def banana(p: Pen) -> None:
    p.blob([(14, 16), (24, 14), (32, 44), (56, 66), (92, 66), (94, 74), (66, 90), (32, 80), (12, 48)], p.main)
    p.line([(19, 26), (26, 52), (48, 72), (84, 74)], 2.5, p.deep)
    p.poly([(12, 20), (12, 6), (22, 6), (25, 18)], (110, 84, 40))
    p.oval(93, 70, 4, 4.5, (80, 60, 34))
