"""Kind of object -> how it is drawn, and the finished drawing of one object."""

from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image

from training.scenes import creatures, things, vehicles
from training.scenes.pen import Pen, mix
from training.scenes.vocabulary import COLOURS

DRAWINGS: Final[dict[str, Callable[[Pen], None]]] = {
    "bicycle": vehicles.bicycle,
    "car": vehicles.car,
    "bus": vehicles.bus,
    "boat": vehicles.boat,
    "rocket": vehicles.rocket,
    "airplane": vehicles.airplane,
    "cat": creatures.cat,
    "dog": creatures.dog,
    "horse": creatures.horse,
    "fish": creatures.fish,
    "bird": creatures.bird,
    "butterfly": creatures.butterfly,
    "turtle": creatures.turtle,
    "elephant": creatures.elephant,
    "rabbit": creatures.rabbit,
    "snail": creatures.snail,
    "tree": creatures.tree,
    "flower": creatures.flower,
    "mushroom": creatures.mushroom,
    "cactus": creatures.cactus,
    "star": things.star,
    "snowman": things.snowman,
    "apple": creatures.apple,
    "banana": creatures.banana,
    "cake": things.cake,
    "mug": things.mug,
    "umbrella": things.umbrella,
    "chair": things.chair,
    "lamp": things.lamp,
    "book": things.book,
    "guitar": things.guitar,
    "clock": things.clock,
    "ball": things.ball,
    "balloon": vehicles.balloon,
    "candle": things.candle,
    "bottle": things.bottle,
    "drum": things.drum,
    "suitcase": things.suitcase,
    "key": things.key,
    "crown": things.crown,
    "robot": things.robot,
    "kite": vehicles.kite,
    "tent": vehicles.tent,
    "house": vehicles.house,
}


def draw_object(kind: str, colour: str, side_px: int, rng: Random) -> Image.Image:
    """One object, RGBA, drawn on a sheet of side_px, cropped to its outline, in a shade near the colour."""
    toward = rng.choice([(255, 255, 255), (0, 0, 0), (255, 200, 120), (120, 160, 255)])
    pen = Pen(side_px, mix(COLOURS[colour], toward, rng.uniform(0, 0.07)), colour)
    DRAWINGS[kind](pen)
    return pen.finish()
