"""Five English sentences about a scene, as a person would describe it; true to the scene by construction."""

from random import Random

from training.scenes.content import Group, Scene
from training.scenes.vocabulary import (
    COUNT_WORDS,
    DUSK_WORDS,
    INDOORS,
    PLURALS,
    RELATIONS,
    SETTINGS,
    SIZE_WORDS,
)

CAPTIONS_A_SCENE = 5
MIN_WORDS, MAX_WORDS = 5, 16


def captions(scene: Scene, rng: Random) -> list[str]:
    """Five different sentences; 5 to 16 words for a scene, 3 to 9 for a close-up."""
    compose = _close_up if scene.level == "close-up" else _sentence
    shortest = 3 if scene.level == "close-up" else MIN_WORDS
    chosen: list[str] = []
    while len(chosen) < CAPTIONS_A_SCENE:
        sentence = compose(scene, rng)
        if shortest <= len(sentence.split()) <= MAX_WORDS and sentence not in chosen:
            chosen.append(sentence)
    return chosen


def _close_up(scene: Scene, rng: Random) -> str:
    group = scene.groups[0]
    thing, noun = _phrase(group, rng, size=0.6), _noun(group)
    the = f"the {noun}" if group.count == 1 else f"the {COUNT_WORDS[group.count]} {noun}"
    return rng.choices(
        (
            thing,
            f"{_there(group)} {thing}",
            f"{the} {_is(group)} {group.colour}",
            f"{thing} on a plain background",
            f"just {thing}",
            f"{'this is' if group.count == 1 else 'these are'} {thing}",
            f"we see {thing}",
            f"{thing} up close",
        ),
        (34, 12, 8, 8, 10, 12, 8, 8),
    )[0]


def _sentence(scene: Scene, rng: Random) -> str:
    if len(scene.groups) == 1:
        return _of_one(scene, rng)
    if len(scene.groups) == 3 and rng.random() < 0.6:
        return _of_three(scene, rng)
    return _of_two(scene, rng)


def _of_one(scene: Scene, rng: Random) -> str:
    group = scene.groups[0]
    thing, where = _phrase(group, rng, size=0.6), _where(scene, rng, dusk=0.5)
    the = f"the {_noun(group)}" if group.count == 1 else f"the {COUNT_WORDS[group.count]} {_noun(group)}"
    return rng.choices(
        (
            f"{thing} {where}",
            f"{where} {_there(group)} {thing}",
            f"{_there(group)} {thing} {where}",
            f"{the} {where} {_is(group)} {group.colour}",
            f"we can see {thing} {where}",
            f"{thing} all alone {where}",
        ),
        (34, 16, 18, 10, 12, 10),
    )[0]


def _of_two(scene: Scene, rng: Random) -> str:
    relation = rng.choice(scene.relations)
    first, second = scene.groups[relation.subject], scene.groups[relation.object]
    said_of_first, said_of_second = RELATIONS[relation.word]
    if rng.random() < 0.5:
        first, second, said_of_first = second, first, said_of_second
    one, other = _phrase(first, rng), _phrase(second, rng)
    between = rng.choice(said_of_first)
    where = _where(scene, rng)
    the, the_other = f"the {_noun(first)}", f"the {_noun(second)}"
    pronoun = "it" if second.count == 1 else "them"
    return rng.choices(
        (
            f"{one} {between} {other} {where}",
            f"{one} {between} {other}",
            f"{one} and {other} {where}",
            f"{where} {_there(first)} {one} {between} {other}",
            f"{_there(first)} {one} {between} {other} {where}",
            f"{one} {_is(first)} {between} {other} {where}",
            f"{the} {_is(first)} {first.colour} and {the_other} {_is(second)} {second.colour} {where}",
            f"we can see {one} and {other} {where}",
            f"{other} with {one} {between} {pronoun} {where}",
            f"{one} {where}",
            f"{where} {one} {_is(first)} {between} {other}",
        ),
        (24, 10, 14, 9, 9, 7, 6, 6, 6, 4, 5),
    )[0]


def _of_three(scene: Scene, rng: Random) -> str:
    groups = rng.sample(scene.groups, 3)
    one, two, three = (_phrase(group, rng, size=0.1) for group in groups)
    where = _where(scene, rng, dusk=0.1)
    return rng.choices(
        (
            f"{one}, {two} and {three} {where}",
            f"{where} {_there(groups[0])} {one}, {two} and {three}",
            f"{one} with {two} and {three} {where}",
            f"{one} near {two} and {three}",
        ),
        (40, 20, 25, 15),
    )[0]


def _phrase(group: Group, rng: Random, size: float = 0.45) -> str:
    """ "a small green umbrella", "three yellow birds"; the size is said with the probability given."""
    words = [group.colour, _noun(group)]
    if SIZE_WORDS[group.size] and rng.random() < size:
        words.insert(0, rng.choices(SIZE_WORDS[group.size], (5, 4, 1))[0])
    if group.count > 1:
        return " ".join((COUNT_WORDS[group.count], *words))
    if rng.random() < 0.12:
        return " ".join(("one", *words))
    return " ".join(("an" if words[0][0] in "aeiou" else "a", *words))


def _where(scene: Scene, rng: Random, dusk: float = 0.25) -> str:
    place = rng.choice(SETTINGS[scene.setting])
    if scene.light == "dusk" and scene.setting != "night sky" and rng.random() < dusk:
        return f"{place} {DUSK_WORDS[-1] if scene.setting in INDOORS else rng.choice(DUSK_WORDS)}"
    return place


def _noun(group: Group) -> str:
    return group.kind if group.count == 1 else PLURALS[group.kind]


def _is(group: Group) -> str:
    return "is" if group.count == 1 else "are"


def _there(group: Group) -> str:
    return "there is" if group.count == 1 else "there are"
