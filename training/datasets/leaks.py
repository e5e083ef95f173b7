"""A split is of images: what is judged on must not have been trained on. Refused here, for every reader."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from training.datasets.pairs import DatasetError
from training.shards import Slice

_TAIL_BYTES = 4096
_NAMED = 3
_REMEDY = "what is judged on must not be trained on, so take each out of one of them"

Place = tuple[str, str, Slice]
"""The split a picture is in, its id, where its bytes are."""


def one_split_each(name: str, images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """(image, split) pairs as a mapping. Raises DatasetError where an image is in two splits."""
    split_of: dict[str, str] = {}
    twice = sorted({image for image, split in images if split_of.setdefault(image, split) != split})
    if twice:
        such = ", ".join(twice[:_NAMED])
        raise DatasetError(f"{name} has {len(twice)} images in two splits, such as {such}; {_REMEDY}")
    return split_of


def refuse_shared_pictures(name: str, pictures: Iterable[Place]) -> None:
    """Raises DatasetError where two splits hold one picture under two ids: the same bytes, in whatever file.

    Only pictures of equal size are read, and first their ends alone.
    """
    shared: list[str] = []
    for same_size in _across_splits(pictures, lambda place: place.size_bytes):
        for same_end in _across_splits(same_size, _end):
            for same in _across_splits(same_end, lambda place: hashlib.sha256(place.read()).digest()):
                ids = {split: id for split, id, _ in same}
                shared.append(" = ".join(f"{id} ({split})" for split, id in ids.items()))
    if shared:
        such = ", ".join(shared[:_NAMED])
        raise DatasetError(
            f"{name} has {len(shared)} pictures under two ids in two splits, such as {such}; {_REMEDY}"
        )


def whole_file(path: Path) -> Slice:
    """The bytes of a file, as a picture's place. OSError where it is not there."""
    return Slice(path, 0, path.stat().st_size)


def _across_splits(pictures: Iterable[Place], key: Callable[[Slice], Hashable]) -> list[list[Place]]:
    """Groups of one key that reach over several splits."""
    groups: defaultdict[Hashable, list[Place]] = defaultdict(list)
    for picture in pictures:
        groups[key(picture[2])].append(picture)
    return [group for group in groups.values() if len({split for split, _, _ in group}) > 1]


def _end(place: Slice) -> bytes:
    length = min(place.size_bytes, _TAIL_BYTES)
    return Slice(place.path, place.offset + place.size_bytes - length, length).read()
