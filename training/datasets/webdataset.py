"""WebDataset shards with pictures and recordings, read in place: img2dataset's, `speak`'s, one's own.

    <folder>/*.tar, or <folder>/{train,dev,test}/*.tar with a folder a split
    KEY.jpg  KEY.flac (or KEY.0.flac, KEY.1.flac, ...)  KEY.txt  KEY.json {id, image_id, split, text, voice}

Only one of jpg and flac has to be there. Recordings may come from elsewhere: <speech> is what
`speak <folder>` made, or other shards. A picture's identity is `image_id`, else the key. Its split is
`split`, else the folder's name, else follows from a hash of the identity: 80 % train, 10 % dev, 10 % test.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.leaks import one_split_each, refuse_shared_pictures
from training.datasets.named import split_of
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture, intersect
from training.datasets.spoken import is_spoken, read_spoken
from training.shards import PICTURES, RECORDINGS, Sample, ShardDamaged, Slice, find_shards, read_samples

SPLIT_FOLDERS = {"train": "train", "dev": "dev", "val": "dev", "validation": "dev", "test": "test"}


def is_webdataset(folder: Path) -> bool:
    return any(True for _ in _shards(folder))


def read_webdataset(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split. Only headers and records are read, once, whatever the split."""
    skipped: Counter[str] = Counter()
    splits: list[tuple[str, str]] = []
    places: dict[str, Slice] = {}
    heard: list[Clip] = []
    for sample, record, its in read_records(folder, skipped):
        identity = str(record.get("image_id", sample.key))
        splits.append((identity, its))
        if found := sample.first(PICTURES):
            places.setdefault(identity, found[1])
        heard += _clips(sample, record, identity)
    if speech is not None and is_spoken(speech):
        heard += (clip for clip, _ in read_spoken(speech, skipped))
    elif speech is not None:
        for sample, record, _ in read_records(speech, skipped):
            heard += _clips(sample, record, str(record.get("image_id", sample.key)))
    its_split = one_split_each(str(folder), splits)
    refuse_shared_pictures(str(folder), ((its_split[i], i, place) for i, place in places.items()))
    clips: dict[str, Clip] = {}
    for clip in heard:
        if its_split.get(clip.identity, split) != split:
            continue
        if clip.id in clips:
            skipped["spoken caption listed twice"] += 1
        else:
            clips[clip.id] = clip
    pictures = [Picture(i, place, i) for i, place in places.items() if its_split[i] == split]
    return intersect(str(folder), split, pictures, list(clips.values()), skipped)


def read_records(folder: Path, skipped: Counter[str]) -> Iterator[tuple[Sample, dict[str, Any], str]]:
    """Every sample of the shards in `folder`, with its KEY.json and its split. Raises DatasetError."""
    for shard, of_folder in _shards(folder):
        try:
            for sample in read_samples(shard):
                record = _record(sample, skipped)
                told = SPLIT_FOLDERS.get(str(record.get("split")), of_folder)
                yield sample, record, told or split_of(str(record.get("image_id", sample.key)))
        except ShardDamaged as error:
            raise DatasetError(str(error)) from error


def _shards(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Shards, and the split that their folder names."""
    for shard in find_shards(folder):
        yield shard, None
    for name, its in SPLIT_FOLDERS.items():
        for shard in find_shards(folder / name):
            yield shard, its


def _record(sample: Sample, skipped: Counter[str]) -> dict[str, Any]:
    if "json" not in sample.files:
        return {}
    try:
        record = json.loads(sample.files["json"].read())
    except ValueError:
        record = None
    if not isinstance(record, dict):
        skipped["record not JSON"] += 1
        return {}
    return record


def _clips(sample: Sample, record: dict[str, Any], identity: str) -> Iterator[Clip]:
    """The sample's recordings: KEY.flac is called `id` or the key; KEY.1.flac adds its number."""
    name, voice = str(record.get("id", sample.key)), str(record.get("voice", record.get("speaker", "")))
    for extension, place in sample.files.items():
        number, _, kind = extension.rpartition(".")
        if kind in RECORDINGS:
            text = record.get("text", record.get("caption"))
            if "txt" in sample.files:
                text = sample.files["txt"].read().decode(errors="replace")
            yield Clip(f"{name}.{number}" if number else name, place, identity, voice, str(text or ""))
