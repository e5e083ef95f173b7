"""What a rendered picture shows, drawn at random before anything is painted.

A Scene is the whole truth about a picture: the painter must show it and the captions may say nothing else.
"""

from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from training.scenes.vocabulary import COLOURS, LIGHTS, PLURALS, SETTINGS


@dataclass(frozen=True)
class Group:
    """`count` objects of one kind, one colour and one size ("small", "medium" or "large")."""

    kind: str
    colour: str
    count: int
    size: str


@dataclass(frozen=True)
class Relation:
    """Groups `subject` and `object` (indices) stand so that subject is `word` ("left of", ...) object."""

    subject: int
    word: str
    object: int


@dataclass(frozen=True)
class Scene:
    """level "scene" or "close-up"; a close-up has one group, setting "plain" and no relations.

    Two groups come with the relation of the first to the second; of three, the first is left of the second
    and the third is above or below both.
    """

    level: str
    setting: str
    light: str
    groups: tuple[Group, ...]
    relations: tuple[Relation, ...]

    def content(self) -> list[dict[str, Any]]:
        """The groups as the manifest lists them."""
        return [asdict(group) for group in self.groups]


def draw_scene(rng: Random, level: str = "scene") -> Scene:
    """A scene of one to three groups, or a close-up of one."""
    if level == "close-up":
        return Scene(level, "plain", "day", (_group(rng, PLURALS, (50, 20, 15, 15), 1),), ())
    if level != "scene":
        raise ValueError(f"level is {level!r}; it must be 'scene' or 'close-up'")
    setting = rng.choice(list(SETTINGS))
    light = rng.choices(LIGHTS, (65, 35))[0]
    how_many = rng.choices((1, 2, 3), (18, 64, 18))[0]
    kinds = rng.sample(list(PLURALS), how_many)
    if how_many == 1:
        return Scene(level, setting, light, (_group(rng, kinds, (30, 30, 22, 18), 1),), ())
    if how_many == 3:
        groups = tuple(_group(rng, [kind], (70, 30, 0, 0), 3) for kind in kinds)
        third = (Relation(2, "above", 0), Relation(2, "above", 1))
        if rng.random() < 0.5:
            third = (Relation(0, "above", 2), Relation(1, "above", 2))
        return Scene(level, setting, light, groups, (Relation(0, "left of", 1), *third))
    word = rng.choices(("left of", "above", "in front of"), (56, 28, 16))[0]
    if word == "in front of":
        # The one behind must stay recognisable: it is alone and large, what hides part of it is small.
        groups = (
            Group(kinds[0], rng.choice(list(COLOURS)), rng.choice((1, 1, 2)), "small"),
            Group(kinds[1], rng.choice(list(COLOURS)), 1, "large"),
        )
    else:
        groups = tuple(_group(rng, [kind], (55, 22, 14, 9), 2) for kind in kinds)
    return Scene(level, setting, light, groups, (Relation(0, word, 1),))


def _group(rng: Random, kinds: Any, count_weights: tuple[int, ...], neighbours: int) -> Group:
    """Size words are kept to counts and company in which the size can be seen."""
    kind = rng.choice(list(kinds))
    colour = rng.choice(list(COLOURS))
    count = rng.choices((1, 2, 3, 4), count_weights)[0]
    sizes = ("small", "medium", "large") if count == 1 and neighbours < 3 else ("small", "medium")
    size = rng.choice(sizes) if count <= 2 and neighbours < 3 else "medium"
    return Group(kind, colour, count, size)
