"""Puts the objects of a scene into its setting so that the picture shows what the scene says."""

from math import ceil, sqrt
from random import Random
from typing import Final

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from training.scenes.backdrops import paint_backdrop
from training.scenes.content import Group, Scene, draw_scene
from training.scenes.drawings import draw_object
from training.scenes.vocabulary import AIRBORNE

Box = tuple[float, float, float, float]

EXTENTS: Final = {"small": 0.265, "medium": 0.36, "large": 0.49}
"""Side of the square with an object's area, as a share of the picture; close-ups show it larger."""
SHADE: Final = (24, 20, 44)
CLOSE_UP_EXTENTS: Final = {"small": 0.38, "medium": 0.52, "large": 0.72}


def render_scene(rng: Random, level: str = "scene", size: int = 256) -> tuple[Image.Image, Scene]:
    """A picture (RGB, size x size) and the scene it shows, both drawn from `rng`: the scene first."""
    scene = draw_scene(rng, level)
    return paint(scene, rng, size), scene


def paint(scene: Scene, rng: Random, size: int = 256) -> Image.Image:
    """The scene as an RGB picture of size x size."""
    picture = paint_backdrop(scene.setting, scene.light, size, rng)
    boxes = _layout(scene, rng)
    # Painter's order: what stands behind, or higher up, comes first.
    for index in sorted(range(len(boxes)), key=lambda k: boxes[k][3]):
        _paint_group(picture, scene.groups[index], boxes[index], scene, rng)
    if scene.light == "dusk" and scene.setting != "night sky":
        picture = Image.blend(picture, Image.new("RGB", picture.size, (226, 110, 100)), 0.05)
    return picture


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
    return [(0.2 + shift + side, 0.6, 0.8 + shift + side, 0.97), (0.16 + shift, 0.22, 0.84 + shift, 0.8)]


def _cells(count: int, area: Box, item: Image.Image, wanted: float, size: int, rng: Random) -> list[Box]:
    """`count` cells in rows inside the area, in the number of columns that lets the item be drawn largest."""
    left, top, right, bottom = area
    wide, tall = right - left, bottom - top
    fits = {
        columns: min(wide / columns * size / item.width, tall / ceil(count / columns) * size / item.height)
        for columns in range(1, count + 1)
    }
    enough = 0.86 * min(wanted, max(fits.values()))
    columns = rng.choice([columns for columns, fit in fits.items() if fit >= enough])
    rows = [columns] * (count // columns) + [count % columns] * (count % columns > 0)
    rng.shuffle(rows)
    step_x, step_y = wide / columns, tall / len(rows)
    cells = []
    for row, in_row in enumerate(rows):
        start = left + (wide - in_row * step_x) / 2
        for column in range(in_row):
            x, y = start + column * step_x, top + row * step_y
            cells.append((x, y, x + step_x, y + step_y))
    return cells


def _paint_group(picture: Image.Image, group: Group, area: Box, scene: Scene, rng: Random) -> None:
    size = picture.width
    extents = CLOSE_UP_EXTENTS if scene.level == "close-up" else EXTENTS
    extent = size * extents[group.size] * rng.uniform(0.94, 1.06)
    one = draw_object(group.kind, group.colour, max(160, min(384, round(extent * 2))), rng)
    if rng.random() < 0.5:
        one = one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    flies = group.kind in AIRBORNE
    wanted = extent / sqrt(one.width * one.height)
    for left, top, right, bottom in _cells(group.count, area, one, wanted, size, rng):
        wide, tall = (right - left) * size, (bottom - top) * size
        scale = min(wanted, wide * 1.05 / one.width, tall / one.height) * rng.uniform(0.94, 1.0)
        fitted = (max(1, round(one.width * scale)), max(1, round(one.height * scale)))
        item = one.resize(fitted, Image.Resampling.LANCZOS, reducing_gap=2.0)
        lean = rng.uniform(-11, 11) if flies else rng.uniform(-5, 5)
        item = item.rotate(lean, Image.Resampling.BICUBIC, expand=True)
        # Things stand low in their cell, flying ones anywhere.
        play_x, play_y = max(0.0, wide - item.width), max(0.0, tall - item.height)
        share = rng.uniform(0.15, 0.85) if flies else rng.uniform(0.5, 0.95)
        x = (left + right) / 2 * size - item.width / 2 + rng.uniform(-0.35, 0.35) * play_x
        y = (top + bottom) / 2 * size - item.height / 2 + (share - 0.5) * play_y
        at = (_inside(x, item.width, size), _inside(y, item.height, size))
        _ground(picture, item, at, flies, scene.setting == "night sky")
        picture.paste(item, at, item)


def _inside(start: float, extent: int, size: int) -> int:
    return round(max(1.0, min(start, size - extent - 1.0)))


def _ground(picture: Image.Image, item: Image.Image, at: tuple[int, int], flies: bool, night: bool) -> None:
    """Shade under what stands, a cast shade behind what flies, and at night moonlight around everything."""
    x, y = at
    outline = item.getchannel("A")
    reach = max(3, item.width // 12)
    if night:
        wide = ImageOps.expand(outline.point([level // 2 for level in range(256)]), 6)
        picture.paste((176, 182, 232), (x - 6, y - 6), wide.filter(ImageFilter.BoxBlur(3)))
    if flies:
        cast = ImageOps.expand(outline.point([level // 5 for level in range(256)]), 4)
        picture.paste(SHADE, (x, y + 1), cast.filter(ImageFilter.BoxBlur(2)))
        return
    tall = max(6, item.height // 7)
    pool = Image.new("L", (item.width + 2 * reach, tall + 2 * reach))
    ImageDraw.Draw(pool).ellipse((reach, reach, item.width + reach, tall + reach), fill=90)
    place = (x - reach, y + item.height - round(tall * 0.62) - reach - 2)
    picture.paste(SHADE, place, pool.filter(ImageFilter.BoxBlur(reach * 0.6)))
