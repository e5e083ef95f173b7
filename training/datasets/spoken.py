"""Clips that `python -m training speak` made: captions.jsonl, or shards with an index beside each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.lines import lines_of
from training.datasets.pairs import Clip, DatasetError, File, Media
from training.shards import Slice


def is_spoken(folder: Path) -> bool:
    return (folder / "captions.jsonl").is_file() or any(folder.glob("speech-*.jsonl"))


def read_spoken(folder: Path, skipped: Counter[str]) -> Iterator[tuple[Clip, str | None]]:
    """Every clip, its identity being its image_id, and its split where one is told.

    Raises DatasetError where there is nothing spoken, and where an index has no shard.
    """
    indices = [folder / "captions.jsonl"]
    if not indices[0].is_file():
        indices = sorted(folder.glob("speech-*.jsonl"))
    if not indices:
        raise DatasetError(
            f"{folder} holds neither captions.jsonl nor speech-000000.jsonl; make spoken captions with: "
            "python -m training speak"
        )
    for index in indices:
        shard = index.with_suffix(".tar")
        if index.name != "captions.jsonl" and not shard.is_file():
            raise DatasetError(f"{shard} is not there and its index is; give the same speak command again")
        for number, line in lines_of(index, skipped):
            try:
                record: dict[str, Any] = json.loads(line)
                if "failure" in record:
                    skipped["caption that could not be spoken"] += 1
                    continue
                media: Media = File(index.parent / record["path"])
                if "offset" in record:
                    media = Slice(shard, record["offset"], record["bytes"])
                voice, text = str(record.get("voice", "")), str(record.get("text", ""))
                yield Clip(record["id"], media, record["image_id"], voice, text), record.get("split")
            except (ValueError, TypeError, KeyError) as error:
                raise DatasetError(f"{index} line {number} is no record of a spoken caption") from error
