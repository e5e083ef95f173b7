"""Names of classes as captions, each in many phrasings: a first vocabulary for labelled pictures.

classes.tsv has a header and the lines `class<TAB>name, other name, ...`, as ImageNet's synsets are written.
Names with a capital are Latin or proper and are left out where there is another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from training.datasets.lines import lines_of
from training.speak.caption import Caption

CLASSES = "classes.tsv"
_PHRASES = (
    "{name}", "{a} {name}", "the {name}", "this is {a} {name}", "there is {a} {name} here", "one {name}",
    "a photo of {a} {name}", "a picture of {a} {name}", "an image of {a} {name}", "look at the {name}",
    "we can see {a} {name}", "a close up of {a} {name}", "{a} {name} in the picture", "here is {a} {name}",
)  # fmt: skip
_TURNS = 3  # each of them so often, by another voice


def class_captions(folder: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """42 captions a class, whose image_id is the class. Every other one has the first name."""
    for number, line in lines_of(folder / CLASSES, skipped):
        label, tab, listed = line.partition("\t")
        names = [name.strip() for name in listed.split(",") if name.strip()]
        if number == 1 and label == "wnid":
            continue
        if not tab or not names:
            skipped["class without a name"] += 1
            continue
        plain = [name for name in names if name.islower()] or names
        for k, (turn, phrase) in enumerate(product(range(_TURNS), _PHRASES)):
            name = plain[0] if k % 2 else plain[(k // 2 + turn) % len(plain)]
            article = "an" if name[0].lower() in "aeiou" else "a"
            yield Caption(f"{label}_{k}", label, phrase.format(name=name, a=article))
