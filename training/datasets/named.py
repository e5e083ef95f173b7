"""One's own pairs, matched by name: images/NAME.jpg with speech/NAME.wav or speech/NAME_<k>.wav.

The split is decided by a hash of NAME, so it never changes as the folder grows: about 80 % train, 10 % dev,
10 % test. Splits that captions state are never replaced by these: such a folder wants an images.jsonl.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from training.datasets.leaks import refuse_shared_pictures, whole_file
from training.datasets.manifest import read_lines
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect


def is_named_folder(folder: Path) -> bool:
    return (folder / "images").is_dir()


def split_of(name: str) -> str:
    """train, dev or test, from the name alone."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 10
    return {8: "dev", 9: "test"}.get(place, "train")


def read_named_folder(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; `speech` may lie elsewhere. Hidden files and inner folders are passed over."""
    spoken = speech or folder / "speech"
    if not spoken.is_dir():
        raise DatasetError(
            f"{spoken} is not there; put NAME.wav or NAME_0.wav for each images/NAME.jpg into it, "
            "or name another folder with --speech"
        )
    _refuse_stated_splits(folder, spoken)
    skipped: Counter[str] = Counter()
    by_name: dict[str, Path] = {}
    for path in files_in(folder / "images"):
        if path.stem in by_name:
            skipped["second picture of one name"] += 1
        else:
            by_name[path.stem] = path
    pictures = [Picture(name, File(path), name) for name, path in by_name.items() if split_of(name) == split]
    refuse_shared_pictures(
        str(folder), ((split_of(name), name, whole_file(path)) for name, path in by_name.items())
    )
    clips = []
    for path in files_in(spoken):
        base, _, k = path.stem.rpartition("_")
        name = base if path.stem not in by_name and k.isdigit() else path.stem
        if name not in by_name:
            skipped["spoken caption without a picture"] += 1
        elif split_of(name) == split:
            clips.append(Clip(path.stem, File(path), name))
    return intersect(str(folder), split, pictures, clips, skipped)


def _refuse_stated_splits(folder: Path, spoken: Path) -> None:
    """DatasetError where captions state splits, which matching by name would replace by others."""
    lists = (folder / "texts.jsonl", *(place / "captions.jsonl" for place in (folder, spoken, spoken.parent)))
    for captions in lists:
        if captions.is_file() and any(record.get("split") for record in read_lines(captions, ("id",))):
            raise DatasetError(
                f"{captions} states splits, but files matched by name are split by a hash, and there is no "
                f"{folder / 'images.jsonl'}; list the pictures there (id, path, split), or let python -m "
                "training speak do it from a texts.jsonl beside images/"
            )


def files_in(folder: Path) -> list[Path]:
    """The folder's files by name, without hidden ones and inner folders."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
