"""A pairs folder: images.jsonl and captions.jsonl beside the media, as `speak` and `scenes` write them.

Each line of images.jsonl has id and path, each line of captions.jsonl id, path and image_id; paths are
relative to the file they stand in. A picture's `split` is its own, else that of its captions, else train;
on captions it has to be one for all of a picture, and beside the pictures that of the picture.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.leaks import one_split_each, refuse_shared_pictures, whole_file
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect


def is_pairs_folder(folder: Path) -> bool:
    return (folder / "images.jsonl").is_file()


def read_lines(path: Path, required: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Every record with the `required` strings in it. Raises DatasetError naming the line that is not one."""
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                missing = [key for key in required if not isinstance(record.get(key), str)]
            except (ValueError, AttributeError) as error:  # not UTF-8, not JSON, not an object
                raise DatasetError(f"{path} line {number} is not a JSON object") from error
            if missing:
                raise DatasetError(
                    f"{path} line {number} lacks the text {missing[0]!r}; needed are {', '.join(required)}"
                )
            if record["id"] in seen:
                raise DatasetError(f"{path} line {number} repeats the id {record['id']!r}; ids are unique")
            seen.add(record["id"])
            yield record


def read_pairs_folder(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split. `speech` names another captions.jsonl, of other voices, say."""
    captions = speech or folder / "captions.jsonl"
    if captions.is_dir():
        captions = captions / "captions.jsonl"
    if not captions.is_file():
        raise DatasetError(f"{captions} is not there; make spoken captions with: python -m training speak")
    skipped: Counter[str] = Counter()
    captioned = list(read_lines(captions, ("id", "path", "image_id")))
    told = one_split_each(
        f"{captions}, by the splits of its captions,",
        ((record["image_id"], str(record["split"])) for record in captioned if record.get("split")),
    )
    split_of: dict[str, str] = {}
    paths: dict[str, Path] = {}
    pictures = []
    for record in read_lines(folder / "images.jsonl", ("id", "path")):
        split_of[record["id"]] = record.get("split") or told.get(record["id"], "train")
        paths[record["id"]] = folder / record["path"]
        if split_of[record["id"]] == split:
            tags = {key: str(value) for key, value in record.items() if isinstance(value, str | int)}
            pictures.append(Picture(record["id"], File(folder / record["path"]), record["id"], tags))
    refuse_shared_pictures(
        str(folder), ((split_of[i], i, whole_file(path)) for i, path in paths.items() if path.is_file())
    )
    if speech is None:  # captions of other voices may be judged on whatever their pictures are in
        both = [*split_of.items(), *((id, split) for id, split in told.items() if id in split_of)]
        one_split_each(f"{folder}, by images.jsonl and captions.jsonl,", both)
    clips = []
    for record in captioned:
        if record["image_id"] not in split_of:
            skipped["spoken caption without a picture"] += 1
        elif split_of[record["image_id"]] == split:
            voice, text = str(record.get("voice", "")), str(record.get("text", ""))
            media = File(captions.parent / record["path"])
            clips.append(Clip(record["id"], media, record["image_id"], voice, text))
    return intersect(str(folder), split, pictures, clips, skipped)
