"""The empty places in which objects are set: one painter a setting, and the plain ground of close-ups."""

from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image

from training.scenes import indoors, outdoors
from training.scenes.pen import mix
from training.scenes.wall import Wall

PAINTERS: Final[dict[str, Callable[[Wall, float], None]]] = {
    "beach": outdoors.beach,
    "forest": outdoors.forest,
    "city street": outdoors.city_street,
    "desert": outdoors.desert,
    "snow field": outdoors.snow_field,
    "kitchen": indoors.kitchen,
    "living room": indoors.living_room,
    "meadow": outdoors.meadow,
    "mountain": outdoors.mountain,
    "night sky": outdoors.night_sky,
    "harbour": outdoors.harbour,
    "park": outdoors.park,
}


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


def paint_backdrop(setting: str, light: str, side_px: int, rng: Random) -> Image.Image:
    """The empty place, RGB, side_px x side_px; painted at twice that and reduced."""
    wall = Wall(side_px * 2, rng, light)
    horizon = rng.uniform(36, 46)
    if setting == "plain":
        plain(wall)
    else:
        PAINTERS[setting](wall, horizon)
    image = wall.image.reduce(2)
    if rng.random() < 0.5 and setting != "plain":
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image
