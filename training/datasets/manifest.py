"""A pairs folder: images.jsonl and captions.jsonl beside the media, as `speak` and `scenes` write them.

Each line of images.jsonl has id and path, each line of captions.jsonl id, path and image_id; paths are relative to
the folder. `split` is optional on pictures (default train); a caption is in its picture's split.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect


def is_pairs_folder(folder: Path) -> bool:
    return (folder / "images.jsonl").is_file()


def _lines(path: Path, required: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                missing = [key for key in required if not isinstance(record.get(key), str)]
            except (json.JSONDecodeError, AttributeError) as error:
                raise DatasetError(f"{path} line {number} is not a JSON object") from error
            if missing:
                raise DatasetError(
                    f"{path} line {number} lacks {missing[0]!r}; needed are {', '.join(required)}"
                )
            yield record


def read_pairs_folder(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split. `speech` names another captions.jsonl (other voices, say) for the same pictures."""
    captions = speech or folder / "captions.jsonl"
    if captions.is_dir():
        captions = captions / "captions.jsonl"
    if not captions.is_file():
        raise DatasetError(f"{captions} is not there; make spoken captions with: python -m training speak")
    skipped: Counter[str] = Counter()
    pictures = [
        Picture(
            record["id"],
            File(folder / record["path"]),
            record["id"],
            {key: str(value) for key, value in record.items() if isinstance(value, str | int)},
        )
        for record in _lines(folder / "images.jsonl", ("id", "path"))
        if record.get("split", "train") == split
    ]
    wanted = {picture.id for picture in pictures}
    clips = [
        Clip(
            record["id"],
            File(captions.parent / record["path"]),
            record["image_id"],
            str(record.get("voice", "")),
            str(record.get("text", "")),
        )
        for record in _lines(captions, ("id", "path", "image_id"))
        if record["image_id"] in wanted
    ]
    return intersect(str(folder), split, pictures, clips, skipped)
