"""Finds an index, and a generation in it by what people call it: its id, or the words newest and current."""

from __future__ import annotations

from pathlib import Path

from indexer.store.errors import IndexNotFound, UnknownGeneration
from indexer.store.history import current_generation
from indexer.store.layout import GENERATIONS, generation_folder, generation_ids


def find_generation(path: Path | str, name: str) -> str:
    """The id of the generation called `name`: newest (built last), current (the one that serves), or an id.

    IndexNotFound where there is no index, or nothing that the word could mean; UnknownGeneration.
    """
    index = existing_index(path)
    if name in ("newest", "current"):
        found = next(iter(generation_ids(index)), None) if name == "newest" else current_generation(index)
        if found is None:
            raise nothing_promoted(index)
        return found
    return known_generation(index, name).name


def existing_index(path: Path | str) -> Path:
    """The index directory; IndexNotFound where there is none."""
    index = Path(path)
    if not (index / GENERATIONS).is_dir():
        raise IndexNotFound(
            f"There is no index at {index}: build one with `python -m indexer build --bundle BUNDLE "
            f"--images SOURCE --captions SOURCE --index {index} --promote`."
        )
    return index


def known_generation(index: Path, generation: str) -> Path:
    """The folder of the generation of that id; UnknownGeneration."""
    there = generation_ids(index)
    if generation not in there:
        known = f"it has {', '.join(there[:5])}{' and more' * (len(there) > 5)}" if there else "it has none"
        raise UnknownGeneration(f"The index has no generation {generation[:80]!a}: {known}.")
    return generation_folder(index, generation)


def nothing_promoted(index: Path) -> IndexNotFound:
    """What to raise where no generation can serve, because there is none or none was promoted."""
    if there := generation_ids(index):
        return IndexNotFound(
            f"No generation of {index} is promoted: `python -m indexer promote {there[0]} --index {index}` "
            "makes the newest one serve."
        )
    return IndexNotFound(
        f"The index at {index} has no generation: build one with `python -m indexer build --bundle BUNDLE "
        f"--images SOURCE --captions SOURCE --index {index} --promote`."
    )
