"""One module a kind of source; `records` finds which is meant.

A source is read lazily, from the start each time it is asked; what it cannot use it counts by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.lines import lines_of
from training.shards import find_shards
from training.speak.caption import Caption, CaptionsError
from training.speak.sources.classes import CLASSES, class_captions
from training.speak.sources.coco import coco_captions
from training.speak.sources.flickr8k import TOKENS, flickr8k_captions
from training.speak.sources.listed import jsonl_captions, kaggle_captions, tsv_captions
from training.speak.sources.webdataset import shard_captions

__all__ = ["is_flickr8k", "records"]


def is_flickr8k(source: Path) -> bool:
    return (source / TOKENS).is_file()


def records(source: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """Every caption of `source`, whichever kind it is. CaptionsError where it is none."""
    if source.is_dir():
        if is_flickr8k(source):
            return flickr8k_captions(source, skipped)
        if (source / "texts.jsonl").is_file():
            return jsonl_captions(source / "texts.jsonl", skipped)
        if (source / "captions.txt").is_file():
            return kaggle_captions(source / "captions.txt", skipped)
        if (source / CLASSES).is_file():
            return class_captions(source, skipped)
        if shards := find_shards(source):
            return shard_captions(shards, skipped)
        raise CaptionsError(
            f"The folder {source} holds no texts.jsonl, {TOKENS}, captions.txt, {CLASSES} or WebDataset "
            "shards (*.tar)."
        )
    if not source.is_file():
        raise CaptionsError(f"There is no captions file or folder {source}.")
    if source.suffix == ".tar":
        return shard_captions([source], skipped)
    if source.suffix in {".jsonl", ".ndjson"}:
        return jsonl_captions(source, skipped)
    if source.suffix == ".json":
        return coco_captions(source, skipped)
    first = next(lines_of(source, Counter()), (0, ""))[1]
    if first.strip().lower() == "image,caption":
        return kaggle_captions(source, skipped)
    if "\t" in first:
        return tsv_captions(source, skipped)
    raise CaptionsError(
        f"{source} is neither JSONL (.jsonl), COCO (.json), a shard (.tar), nor tab separated, nor a CSV "
        "with the header image,caption."
    )
