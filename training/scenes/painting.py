"""Puts the objects of a scene into its setting so that the picture shows what the scene says."""

from collections.abc import Callable
from math import sqrt
from random import Random
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

from training.scenes import creatures, things
from training.scenes.backdrops import paint_backdrop
from training.scenes.content import Group, Scene, draw_scene
from training.scenes.pen import Pen, mix
from training.scenes.vocabulary import AIRBORNE, COLOURS, PLURALS

Box = tuple[float, float, float, float]

DRAWINGS: Final[dict[str, Callable[[Pen], None]]] = {
    kind: getattr(creatures, kind, None) or getattr(things, kind) for kind in PLURALS
}
EXTENTS: Final = {"small": 0.25, "medium": 0.345, "large": 0.47}
"""Side of the square with an object's area, as a share of the picture; close-ups show it larger."""
CLOSE_UP_EXTENTS: Final = {"small": 0.38, "medium": 0.52, "large": 0.72}


def render_scene(rng: Random, level: str = "scene", size: int = 256) -> tuple[Image.Image, Scene]:
    """A picture (RGB, size x size) and the scene it shows, both drawn from `rng`: the scene first."""
    scene = draw_scene(rng, level)
    return paint(scene, rng, size), scene


def paint(scene: Scene, rng: Random, size: int = 256) -> Image.Image:
    """The scene as an RGB picture of size x size."""
    picture, _ = paint_backdrop(scene.setting, scene.light, size, rng)
    boxes = _layout(scene, rng)
    # Painter's order: what stands behind, or higher up, comes first.
    for index in sorted(range(len(boxes)), key=lambda k: boxes[k][3]):
        _paint_group(picture, scene.groups[index], boxes[index], scene, rng)
    if scene.light == "dusk" and scene.setting != "night sky":
        picture = Image.blend(picture, Image.new("RGB", picture.size, (214, 104, 110)), 0.1)
    return picture


def sprite(kind: str, colour: str, side_px: int, rng: Random) -> Image.Image:
    """One object, RGBA, cropped to its outline, in a shade near the named colour."""
    base = COLOURS[colour]
    shade = mix(
        base, rng.choice([(255, 255, 255), (0, 0, 0), (255, 200, 120), (120, 160, 255)]), rng.uniform(0, 0.07)
    )
    pen = Pen(side_px, shade if colour not in ("black", "white") else base)
    DRAWINGS[kind](pen)
    return pen.finish()


def _layout(scene: Scene, rng: Random) -> list[Box]:
    """A box (left, top, right, bottom; shares of the picture) a group, placed as the relations say."""
    if scene.level == "close-up":
        return [(0.03, 0.03, 0.97, 0.97)]
    if len(scene.groups) == 1:
        return [(0.06, 0.2, 0.94, 0.96)]
    if len(scene.groups) == 3:
        low, high = rng.uniform(0.5, 0.53), rng.uniform(0.48, 0.5)
        pair_above = scene.relations[-1].object == 2
        pair: tuple[float, float] = (0.04, high) if pair_above else (low, 0.97)
        lone: tuple[float, float] = (low, 0.97) if pair_above else (0.03, high)
        left = rng.uniform(0.0, 0.3)
        return [
            (0.02, pair[0], 0.49, pair[1]),
            (0.51, pair[0], 0.98, pair[1]),
            (left, lone[0], left + 0.7, lone[1]),
        ]
    word = scene.relations[0].word
    if word == "left of":
        top, drop = rng.uniform(0.16, 0.3), rng.uniform(-0.05, 0.05)
        return [
            (0.01, top + drop, 0.495, 0.95 + min(0, drop)),
            (0.505, top - drop, 0.99, 0.95 - max(0, drop)),
        ]
    if word == "above":
        shift = rng.uniform(-0.1, 0.1)
        return [
            (0.04 + max(0, shift), 0.02, 0.96 + min(0, shift), 0.48),
            (0.04 - min(0, shift), 0.51, 0.96 - max(0, shift), 0.98),
        ]
    shift, side = rng.uniform(-0.16, 0.16), rng.choice((-1, 1)) * rng.uniform(0.08, 0.16)
    return [(0.2 + shift + side, 0.62, 0.8 + shift + side, 0.97), (0.16 + shift, 0.2, 0.84 + shift, 0.78)]


def _spots(
    count: int, wide: float, tall: float, rng: Random
) -> tuple[list[tuple[float, float]], float, float]:
    """Centres of `count` objects in a box (shares of it), and the width and height each may take."""
    if count == 1:
        return [(0.5, 0.5)], wide, tall
    ratio = wide / tall
    if count == 2 and ratio < 0.8:
        return [(0.36, 0.26), (0.64, 0.74)], wide * 0.8, tall * 0.5
    if count == 2:
        return [(0.26, 0.5), (0.74, 0.5)], wide * 0.5, tall
    if count == 3 and ratio < 1.6:
        if rng.random() < 0.5:
            return [(0.5, 0.26), (0.26, 0.74), (0.74, 0.74)], wide * 0.5, tall * 0.5
        return [(0.26, 0.26), (0.74, 0.26), (0.5, 0.74)], wide * 0.5, tall * 0.5
    if count == 4 and ratio < 1.6:
        return [(0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)], wide * 0.5, tall * 0.5
    step = 1 / count
    lift = rng.choice((0.0, 0.06))
    return [((k + 0.5) * step, 0.5 + (lift if k % 2 else -lift)) for k in range(count)], wide * step, tall


def _paint_group(picture: Image.Image, group: Group, box: Box, scene: Scene, rng: Random) -> None:
    size = picture.width
    left, top, right, bottom = box
    spots, wide, tall = _spots(group.count, right - left, bottom - top, rng)
    extents = CLOSE_UP_EXTENTS if scene.level == "close-up" else EXTENTS
    extent = extents[group.size] * rng.uniform(0.94, 1.06)
    one = sprite(group.kind, group.colour, max(160, min(384, round(size * extent * 2))), rng)
    area_side = sqrt(one.width * one.height)
    scale = min(size * extent / area_side, size * wide * 1.02 / one.width, size * tall / one.height)
    grounded = group.kind not in AIRBORNE
    mirrored = rng.random() < 0.5 and group.kind not in ("book", "clock")
    for x, y in spots:
        factor = scale * rng.uniform(0.94, 1.0)
        item = one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else one
        item = item.resize((max(1, round(item.width * factor)), max(1, round(item.height * factor))),
                           Image.Resampling.LANCZOS, reducing_gap=2.0)  # fmt: skip
        item = item.rotate(
            rng.uniform(-6, 6) if grounded else rng.uniform(-11, 11), Image.Resampling.BICUBIC, expand=True
        )
        slack_x = max(0.0, size * wide - item.width) * 0.5
        slack_y = max(0.0, size * tall - item.height) * 0.5
        centre_x = (left + x * (right - left)) * size + rng.uniform(-0.6, 0.6) * slack_x
        # Things stand low in their box, flying ones anywhere.
        centre_y = (top + y * (bottom - top)) * size + slack_y * (
            rng.uniform(0.1, 0.8) if grounded else rng.uniform(-0.7, 0.7)
        )
        at_x = round(min(max(centre_x - item.width / 2, 1), size - item.width - 1))
        at_y = round(min(max(centre_y - item.height / 2, 1), size - item.height - 1))
        _shadow(picture, item, at_x, at_y, grounded)
        picture.paste(item, (at_x, at_y), item)


def _shadow(picture: Image.Image, item: Image.Image, x: int, y: int, grounded: bool) -> None:
    """A soft pool of shade under what stands, a faint cast shade behind what flies."""
    reach = max(3, item.width // 12)
    if grounded:
        wide, tall = item.width + 2 * reach, max(6, item.height // 6)
        pool = Image.new("L", (wide, tall + 2 * reach))
        ImageDraw.Draw(pool).ellipse((reach, reach, wide - reach, tall + reach), fill=105)
        pool = pool.filter(ImageFilter.BoxBlur(reach * 0.6))
        picture.paste((24, 20, 44), (x - reach, y + item.height - tall // 2 - reach - 1), pool)
        return
    cast = item.getchannel("A").point([level // 5 for level in range(256)]).filter(ImageFilter.BoxBlur(2))
    picture.paste((24, 20, 44), (x + 4, y + 5), cast)
