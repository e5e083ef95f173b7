"""The words of the rendered corpus: what can be shown, in which colours, where, and how each is said.

Every caption is put together from these tables alone; words were chosen to sound unlike one another.
"""

from typing import Final

PLURALS: Final[dict[str, str]] = {
    "bicycle": "bicycles", "car": "cars", "bus": "buses", "boat": "boats", "rocket": "rockets",
    "airplane": "airplanes", "cat": "cats", "dog": "dogs", "horse": "horses", "fish": "fish",
    "bird": "birds", "butterfly": "butterflies", "turtle": "turtles", "elephant": "elephants",
    "rabbit": "rabbits", "snail": "snails", "tree": "trees", "flower": "flowers",
    "mushroom": "mushrooms", "cactus": "cactuses", "star": "stars", "snowman": "snowmen",
    "apple": "apples", "banana": "bananas", "cake": "cakes", "mug": "mugs", "umbrella": "umbrellas",
    "chair": "chairs", "lamp": "lamps", "book": "books", "guitar": "guitars", "clock": "clocks",
    "ball": "balls", "balloon": "balloons", "candle": "candles", "bottle": "bottles", "drum": "drums",
    "suitcase": "suitcases", "key": "keys", "crown": "crowns", "robot": "robots", "kite": "kites",
    "tent": "tents", "house": "houses",
}  # fmt: skip
"""Kind of object -> its plural. Many more kinds than settings, so that knowing the setting is not enough."""

AIRBORNE: Final = frozenset({"rocket", "airplane", "bird", "butterfly", "star", "balloon", "kite"})
"""Kinds that float: they throw no shadow on the ground below them."""

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (218, 44, 48), "orange": (246, 135, 32), "yellow": (250, 210, 48), "green": (52, 158, 72),
    "blue": (42, 104, 214), "purple": (134, 66, 178), "pink": (246, 136, 182), "brown": (130, 82, 46),
    "black": (44, 44, 52), "white": (244, 244, 240),
}  # fmt: skip

SIZE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "small": ("small", "little", "tiny"),
    "medium": (),
    "large": ("large", "big", "huge"),
}

COUNT_WORDS: Final[dict[int, str]] = {1: "one", 2: "two", 3: "three", 4: "four"}

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "beach": ("on the beach", "on a sandy beach", "at the beach"),
    "forest": ("in the forest", "in a deep forest", "among the woods"),
    "city street": ("on a city street", "in the city", "on the street in town"),
    "desert": ("in the desert", "in a dry desert", "on the desert sand"),
    "snow field": ("in the snow", "on a snowy field", "on the white snow"),
    "kitchen": ("in the kitchen", "in a bright kitchen", "on the kitchen floor"),
    "living room": ("in the living room", "in a cosy living room"),
    "meadow": ("in a meadow", "in the green meadow", "in a grassy meadow"),
    "mountain": ("in the mountains", "near the mountains", "by a high mountain"),
    "night sky": ("under the night sky", "at night", "under the moon and stars"),
    "harbour": ("in the harbour", "at the harbour", "beside the harbour water"),
    "park": ("in the park", "on a path in the park"),
}
INDOORS: Final = frozenset({"kitchen", "living room"})

LIGHTS: Final = ("day", "dusk")
DUSK_WORDS: Final = ("at sunset", "at dusk", "in the evening")

RELATIONS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "left of": (
        ("to the left of", "on the left of", "left of", "beside", "next to"),
        ("to the right of", "on the right of", "right of", "beside", "next to"),
    ),
    "above": (("above", "over"), ("below", "under", "beneath")),
    "in front of": (("in front of",), ("behind",)),
}
"""Relation -> phrases said of its subject, and phrases said of its object (the same fact seen from there)."""
