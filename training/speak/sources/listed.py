"""Captions a line each: JSONL, Conceptual Captions' TSV, Flickr8k's token file, Kaggle's captions.txt."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.conceptual import row_id
from training.datasets.flickr8k import kaggle_rows
from training.datasets.lines import lines_of
from training.datasets.manifest import read_lines
from training.datasets.named import files_in
from training.datasets.pairs import File
from training.speak.caption import Caption
from training.speak.sources.place import picture_below

FLICKR8K_NAME = re.compile(r"(?P<base>[^/\\#]+)\.jpg#(?P<number>\d+)")


def jsonl_captions(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """id, image_id, text, split?; the pictures are those of an images.jsonl beside it, else in images/."""
    pictures = _pictures(path.parent)
    for _, line in lines_of(path, skipped):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            skipped["line not JSON"] += 1
            continue
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key), str) for key in ("id", "text")
        ):
            skipped["line without id and text"] += 1
            continue
        image_id, split = record.get("image_id"), record.get("split")
        if not isinstance(image_id, str):
            skipped["caption without image_id"] += 1
            continue
        picture = pictures.get(image_id)
        yield Caption(
            record["id"],
            image_id,
            record["text"],
            split if isinstance(split, str) else None,
            picture=picture,
            picture_type=picture.path.suffix[1:].lower() if picture else "",
        )


def _pictures(folder: Path) -> dict[str, File]:
    """Picture id -> file, for those listed and there, and for those that lie in images/ by the name of it."""
    listed, images = folder / "images.jsonl", folder / "images"
    named = {path.stem: File(path) for path in reversed(files_in(images))} if images.is_dir() else {}
    records = read_lines(listed, ("id", "path")) if listed.is_file() else ()
    found = {record["id"]: picture_below(folder, Path(record["path"])) for record in records}
    return {id: file for id, file in (named | found).items() if file is not None}


def tsv_captions(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """Conceptual Captions' `caption<TAB>url`, no header and no quoting, or `image.jpg#k<TAB>caption`."""
    for number, line in lines_of(path, skipped):
        left, tab, right = line.partition("\t")
        if not tab:
            skipped["line without a tab"] += 1
        elif match := FLICKR8K_NAME.fullmatch(left):
            base, k = match["base"], int(match["number"])
            yield Caption(f"{base}_{k}", base, right, number=k)
        elif right.strip().lower() == "url" and number == 1:
            continue  # the header that img2dataset asks for
        else:
            name = row_id(number)
            yield Caption(name, name, left)


def kaggle_captions(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """`image.jpg,caption` lines, in which an image's captions count from 0."""
    for base, k, text in kaggle_rows(path, skipped):
        yield Caption(f"{base}_{k}", base, text, number=k)
