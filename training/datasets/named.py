"""A plain folder of one's own pairs, matched by name: images/NAME.jpg with speech/NAME.wav or speech/NAME_<k>.wav.

The split is decided by a hash of NAME, so it never changes as the folder grows: 80 % train, 10 % dev, 10 % test.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from training.datasets.pairs import Clip, File, PairSet, Picture, intersect


def is_named_folder(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "speech").is_dir()


def split_of(name: str) -> str:
    """train, dev or test, from the name alone."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 10
    return {8: "dev", 9: "test"}.get(place, "train")


def read_named_folder(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; `speech` may lie elsewhere."""
    every = [path for path in sorted((folder / "images").iterdir()) if path.is_file() and path.name[0] != "."]
    names = {path.stem for path in every}
    pictures = [Picture(path.stem, File(path), path.stem) for path in every if split_of(path.stem) == split]
    wanted = {picture.id for picture in pictures}
    clips, skipped = [], Counter[str]()
    for path in sorted((speech or folder / "speech").iterdir()):
        base, _, k = path.stem.rpartition("_")
        name = base if path.stem not in names and k.isdigit() else path.stem
        if name in wanted:
            clips.append(Clip(path.stem, File(path), name))
        elif name not in names:
            skipped["spoken caption without a picture"] += 1
    return intersect(str(folder), split, pictures, clips, skipped)
