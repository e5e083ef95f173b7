"""Captions of WebDataset shards, as img2dataset writes them: KEY.jpg, KEY.txt, KEY.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.lines import read_json
from training.shards import PICTURES, Sample, read_samples
from training.speak.caption import Caption


def shard_captions(shards: list[Path], skipped: Counter[str]) -> Iterator[Caption]:
    """One caption a sample, KEY.txt or else `caption` of KEY.json; id and image_id are the key."""
    for shard in shards:
        # What was never downloaded stands in no tar; img2dataset tells how many there were.
        stats = shard.with_name(f"{shard.stem}_stats.json")
        if stats.is_file():
            told = read_json(stats)
            if lost := told.get("count", 0) - told.get("successes", 0):
                skipped["picture that img2dataset could not fetch"] += lost
        for sample in read_samples(shard):
            text = _text(sample)
            if text is None:
                skipped["sample without a caption"] += 1
                continue
            found = sample.first(PICTURES)
            picture_type, picture = found or ("", None)
            yield Caption(sample.key, sample.key, text, picture=picture, picture_type=picture_type)


def _text(sample: Sample) -> str | None:
    """The caption as written; "null" is a caption, null is none."""
    if "txt" in sample.files:
        try:
            return sample.files["txt"].read().decode()
        except UnicodeDecodeError:
            return None
    if "json" in sample.files:
        try:
            record = json.loads(sample.files["json"].read())
        except ValueError:
            return None
        text = record.get("caption") if isinstance(record, dict) else None
        return text if isinstance(text, str) else None
    return None
