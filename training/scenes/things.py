"""How each household thing is drawn: one small function a kind, in the pen's main colour."""

from training.scenes.pen import CREAM, GOLD, INK, METAL, WOOD, Pen, mix, spoke


def star(p: Pen) -> None:
    p.poly([spoke(50, 54, 48 if k % 2 == 0 else 21, 36 * k - 90) for k in range(10)], p.main)
    inner = mix(p.main, p.pale, 0.5)
    p.poly([spoke(50, 54, 30 if k % 2 == 0 else 13, 36 * k - 90) for k in range(10)], inner)


def snowman(p: Pen) -> None:
    p.line([(28, 52), (8, 38)], 3, WOOD)
    p.line([(72, 52), (92, 38)], 3, WOOD)
    p.oval(50, 77, 27, 21, p.main)
    p.oval(50, 51, 21, 18, p.main)
    p.oval(50, 30, 16, 15, p.main)
    p.box(32, 15, 68, 20, INK, 2)
    p.box(38, 1, 62, 18, INK, 2)
    p.box(34, 40, 66, 46, p.unless("red orange pink", (206, 60, 60), (60, 110, 190)), 3)
    p.oval(44, 28, 2.4, 2.6, p.unless("black", INK, CREAM))
    p.oval(56, 28, 2.4, 2.6, p.unless("black", INK, CREAM))
    p.poly([(49, 31), (68, 34), (49, 36)], (250, 146, 50))
    for y in (54, 66, 78):
        p.oval(50, y, 2.6, 2.6, p.unless("black", INK, CREAM))


def cake(p: Pen) -> None:
    for x in (34, 50, 66):
        p.box(x - 2.5, 16, x + 2.5, 36, CREAM)
        p.blob([(x - 3, 12), (x, 4), (x + 3, 12), (x, 17)], (252, 176, 50))
    p.box(24, 34, 76, 60, p.main, 5)
    p.box(8, 56, 92, 90, p.main, 5)
    for x in range(14, 90, 12):
        p.oval(x, 60, 6.5, 7, p.pale)
    for x in (30, 43, 57, 70):
        p.oval(x, 37, 6.5, 5, p.pale)
    p.box(2, 88, 98, 94, METAL, 3)


def mug(p: Pen) -> None:
    p.ring(72, 54, 23, 22, 8, p.main)
    p.box(12, 20, 72, 92, p.main, 9)
    p.oval(42, 21, 30, 8, p.pale)
    p.oval(42, 22, 25, 5.5, (96, 58, 36))
    p.box(20, 38, 27, 80, p.pale, 3)


def umbrella(p: Pen) -> None:
    p.line([(50, 8), (50, 84)], 4, WOOD)
    p.line([(50, 84), (52, 92), (60, 93), (64, 86)], 4.5, WOOD)
    p.pie(50, 54, 47, 46, 180, 360, p.main)
    p.pie(50, 54, 16, 46, 180, 360, p.pale)
    for x in (11, 27, 42, 58, 73, 89):
        p.pie(x, 54, 8.2, 6, 0, 180, p.deep)
    p.line([(50, 3), (50, 10)], 3.5, WOOD)


def chair(p: Pen) -> None:
    for x in (26, 72):
        p.box(x, 60, x + 6, 84, p.deep)
    p.box(20, 4, 28, 62, p.main, 3)
    p.box(66, 4, 74, 62, p.main, 3)
    for y in (8, 24, 40):
        p.box(22, y, 72, y + 10, p.main, 3)
    p.poly([(22, 54), (72, 54), (86, 66), (10, 66)], p.pale)
    p.box(9, 64, 87, 72, p.main, 3)
    for x in (11, 78):
        p.box(x, 70, x + 8, 97, p.main, 2)


def lamp(p: Pen) -> None:
    p.oval(50, 91, 24, 6, METAL)
    p.box(46, 50, 54, 90, METAL)
    p.poly([(30, 6), (70, 6), (90, 56), (10, 56)], p.main)
    p.poly([(40, 6), (52, 6), (50, 56), (28, 56)], p.pale)
    p.oval(50, 56, 40, 5, (255, 240, 180))


def book(p: Pen) -> None:
    p.poly([(12, 14), (22, 4), (92, 4), (92, 84), (82, 96)], mix(p.deep, INK, 0.2))
    p.poly([(16, 14), (24, 7), (89, 7), (89, 82), (80, 92)], CREAM)
    p.box(8, 13, 82, 97, p.main, 3)
    p.box(8, 13, 19, 97, p.deep, 3)
    p.box(30, 26, 72, 46, p.pale, 2)
    p.line([(36, 32), (66, 32)], 3, p.deep)
    p.line([(36, 40), (58, 40)], 3, p.deep)


def guitar(p: Pen) -> None:
    p.box(46, 12, 54, 52, WOOD)
    p.box(42, 2, 58, 16, p.deep, 3)
    for y in (6, 11):
        p.oval(40, y, 2.5, 2, METAL)
        p.oval(60, y, 2.5, 2, METAL)
    right_side = [(50, 44), (66, 42), (68, 56), (66, 62), (78, 76), (70, 94), (50, 97)]
    p.blob([*right_side, (30, 94), (22, 76), (34, 62), (32, 56), (34, 42)], p.main)
    p.oval(50, 64, 8.5, 8.5, p.unless("black", INK, p.pale))
    p.box(40, 82, 60, 86, CREAM)
    for x in (48, 52):
        p.line([(x, 16), (x, 84)], 0.9, CREAM)


def clock(p: Pen) -> None:
    p.line([(28, 88), (22, 97)], 6, p.deep)
    p.line([(72, 88), (78, 97)], 6, p.deep)
    p.oval(26, 14, 13, 11, p.deep)
    p.oval(74, 14, 13, 11, p.deep)
    p.oval(50, 52, 44, 43, p.main)
    p.oval(50, 52, 32, 31, CREAM)
    for k in range(12):
        p.oval(*spoke(50, 52, 26, 30 * k), 2, 2, INK)
    p.line([(50, 52), (50, 32)], 4, INK)
    p.line([(50, 52), (66, 60)], 4, INK)


def ball(p: Pen) -> None:
    p.oval(50, 50, 45, 45, p.main)
    p.pie(50, 50, 45, 45, 200, 245, p.unless("white", CREAM, (150, 190, 220)))
    p.pie(50, 50, 45, 45, 320, 5, p.unless("white", CREAM, (150, 190, 220)))
    p.pie(50, 50, 45, 45, 80, 125, p.unless("white", CREAM, (150, 190, 220)))
    p.oval(50, 50, 9, 9, p.deep)


def candle(p: Pen) -> None:
    p.line([(50, 34), (50, 26)], 2.5, INK)
    p.blob([(42, 20), (50, 1), (58, 20), (50, 30)], (250, 160, 40))
    p.blob([(46, 21), (50, 11), (54, 21), (50, 27)], (255, 236, 140))
    p.box(34, 34, 66, 86, p.main, 3)
    p.oval(50, 35, 16, 5, p.pale)
    p.box(38, 36, 44, 58, p.pale, 3)
    p.ring(80, 86, 13, 9, 4, GOLD)
    p.oval(50, 88, 34, 8, GOLD)


def bottle(p: Pen) -> None:
    p.box(41, 2, 59, 12, WOOD, 2)
    p.box(43, 10, 57, 36, p.main)
    p.blob([(43, 28), (57, 28), (70, 44), (71, 70), (70, 95), (50, 96), (30, 95), (29, 70), (30, 44)], p.main)
    p.box(29.5, 54, 70.5, 80, p.unless("white", CREAM, (190, 214, 190)))
    p.oval(50, 67, 8, 8, p.deep)
    p.box(35, 40, 40, 52, p.pale, 2)


def drum(p: Pen) -> None:
    p.line([(20, 4), (56, 26)], 4, WOOD)
    p.line([(80, 4), (44, 26)], 4, WOOD)
    p.oval(50, 84, 44, 12, p.deep)
    p.box(6, 34, 94, 84, p.main)
    p.line(
        [(6, 78), (20, 46), (35, 88), (50, 48), (65, 88), (80, 46), (94, 78)],
        2.6,
        p.unless("white", CREAM, INK),
    )
    p.oval(50, 34, 44, 12, p.deep)
    p.oval(50, 32, 40, 10, CREAM)


def suitcase(p: Pen) -> None:
    p.ring(50, 22, 18, 16, 6, p.deep)
    p.box(4, 26, 96, 90, p.main, 9)
    for x in (18, 74):
        p.box(x, 26, x + 8, 90, p.deep)
        p.box(x, 46, x + 8, 56, GOLD, 2)
    p.line([(6, 50), (94, 50)], 1.6, p.deep)
    for x, y in ((9, 31), (91, 31), (9, 85), (91, 85)):
        p.oval(x, y, 4, 4, GOLD)


def key(p: Pen) -> None:
    p.ring(26, 50, 23, 23, 10, p.main)
    p.box(46, 45, 97, 55, p.main, 3)
    p.box(74, 52, 81, 70, p.main, 1)
    p.box(88, 52, 95, 74, p.main, 1)


def crown(p: Pen) -> None:
    p.poly([(8, 84), (3, 28), (28, 54), (50, 14), (72, 54), (97, 28), (92, 84)], p.main)
    for x, y in ((4, 26), (50, 12), (96, 26)):
        p.oval(x, y, 4, 4, p.pale)
    p.box(8, 74, 92, 90, p.deep, 3)
    jewel = p.unless("blue", (70, 160, 230), (240, 90, 110))
    for x in (24, 50, 76):
        p.oval(x, 82, 4.5, 4.5, jewel)


def robot(p: Pen) -> None:
    p.line([(50, 16), (50, 5)], 3, METAL)
    p.oval(50, 5, 4.5, 4.5, (236, 80, 70))
    for x in (10, 80):
        p.box(x, 48, x + 10, 76, METAL, 5)
    for x in (30, 56):
        p.box(x, 80, x + 14, 97, METAL, 3)
    p.box(26, 14, 74, 44, p.main, 7)
    p.box(20, 46, 80, 84, p.main, 6)
    p.box(32, 21, 68, 37, INK, 4)
    p.oval(41, 29, 4.5, 4.5, (130, 240, 240))
    p.oval(59, 29, 4.5, 4.5, (130, 240, 240))
    p.box(32, 54, 68, 74, p.pale, 3)
    for x, colour in ((40, (236, 80, 70)), (50, GOLD), (60, (70, 180, 100))):
        p.oval(x, 64, 3.5, 3.5, colour)
