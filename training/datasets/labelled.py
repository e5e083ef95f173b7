"""Labelled pictures, one folder a class, as ImageNet lies on disk; the names of the classes are spoken.

    <folder>/classes.tsv   <folder>/train/<class>/...   <folder>/val/<class>/...
    <speech>/captions.jsonl, whose image_id is the class        <speech> defaults to <folder>/speech

Every clip of a class belongs to every picture of it. val/ is the split dev. A hash of its id gives each clip
to one of the two, a tenth to dev.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from training.datasets.manifest import read_lines
from training.datasets.named import split_of
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect

_FOLDERS = {"train": "train", "dev": "val"}


def is_labelled(folder: Path) -> bool:
    return (folder / "classes.tsv").is_file()


def read_labelled(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of train or dev; their identity is the class."""
    if split not in _FOLDERS:
        raise DatasetError(f"labelled pictures have the splits train and dev (the folder val), not {split!r}")
    captions = (speech or folder / "speech") / "captions.jsonl"
    if not captions.is_file():
        raise DatasetError(
            f"{captions} is not there; name the spoken class names by --speech, or make them: "
            f"python -m training speak {folder} --out SPEECH"
        )
    pictures = [
        Picture(f"{split}/{label.name}/{path.stem}", File(path), label.name)
        for label in sorted((folder / _FOLDERS[split]).iterdir())
        if label.is_dir()
        for path in sorted(label.rglob("*"))
        if path.suffix.lower() in (".jpeg", ".jpg", ".png")
    ]
    clips = [
        Clip(
            record["id"], File(captions.parent / record["path"]), record["image_id"],
            str(record.get("voice", "")), str(record.get("text", "")),
        )
        for record in read_lines(captions, ("id", "path", "image_id"))
        if (split_of(record["id"]) == "dev") == (split == "dev")
    ]  # fmt: skip
    return intersect(str(folder), split, pictures, clips, Counter())
