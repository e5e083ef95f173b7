"""One WebDataset shard of spoken captions: whole or absent, and taken up where a kill left it.

    speech-000000.tar      KEY.jpg (where the source has the picture), KEY.json, KEY.flac, clip after clip
    speech-000000.jsonl    the same records, with the place of each clip's bytes; failures in between

Both carry `.partial` until the last clip is in. The same clips give the same bytes, interrupted or not.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from indexer.durable import fsync_folder
from indexer.media import MediaError, sniff
from training.shards import END, shard_key, tar_member
from training.speak.clips import Format, SpeechError, encode_clip, seconds_of, speak_clip
from training.speak.plan import Clip
from training.voices import EngineDown, EngineError, VoiceError

_BLOCK = 512
_ADDED = ("sha256", "offset", "bytes", "failure")


@dataclass(frozen=True)
class ShardJob:
    """What a shard is made from; picklable, so that it may travel to another machine with the same folder."""

    number: int
    folder: Path
    clips: tuple[Clip, ...]
    format: Format
    with_pictures: bool

    @property
    def path(self) -> Path:
        return self.folder / f"speech-{self.number:06d}.tar"


@dataclass(frozen=True)
class ShardResult:
    """What a shard holds, and how much of it was made now."""

    number: int
    clips: int
    made: int
    seconds: float
    voices: frozenset[str] = frozenset()
    failures: dict[str, str] = field(default_factory=dict)


def make_shard(job: ShardJob) -> ShardResult:
    """Make the shard, or what is missing of it.

    A caption that fails is recorded and stops nothing; EngineDown and OSError go up, and what was made stays.
    """
    index, tar_partial = job.path.with_suffix(".jsonl"), job.path.with_suffix(".tar.partial")
    index_partial = job.path.with_suffix(".jsonl.partial")
    if job.path.exists() and not index.exists() and index_partial.exists():
        index_partial.replace(index)  # a kill between the two renames below
    if (complete := _complete(job, index)) is not None:
        return _result(job, complete, made=0)
    with tar_partial.open("a+b") as tar, index_partial.open("a+b") as journal:
        records, journal_end = _resumed(job, tar, journal)
        kept, end = len(records), _end(records)
        tar.truncate(end)
        journal.truncate(journal_end)
        for clip in job.clips[kept:]:
            record, sample = _made(clip, job, end)
            tar.write(sample)
            tar.flush()
            end += len(sample)
            records.append(record)
            journal.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
            journal.flush()
        tar.write(END)
        for file in (tar, journal):
            file.flush()
            os.fsync(file.fileno())
    tar_partial.replace(job.path)
    index_partial.replace(index)
    fsync_folder(job.folder)
    return _result(job, records, made=sum("failure" not in record for record in records[kept:]))


def read_index(path: Path) -> list[dict[str, Any]]:
    """The records of a shard's .jsonl."""
    with path.open("rb") as lines:
        return [json.loads(line) for line in lines]


def _made(clip: Clip, job: ShardJob, end: int) -> tuple[dict[str, Any], bytes]:
    """The clip's record and its sample as it stands in the tar, which so far ends at `end`."""
    try:
        samples = speak_clip(clip.caption.text, clip.draw)
    except EngineDown:
        raise
    except (SpeechError, EngineError, VoiceError) as error:
        return {**clip.record(0.0), "failure": str(error)}, b""
    encoded, key = encode_clip(samples, job.format), shard_key(clip.id)
    record: dict[str, Any] = {
        **clip.record(seconds_of(samples)),
        "sha256": hashlib.sha256(encoded).hexdigest(),
    }
    before = b""
    if job.with_pictures and clip.caption.picture is not None:
        before = _picture(key, clip.caption.picture_type, clip.caption.picture.read())
    before += tar_member(f"{key}.json", json.dumps(record, ensure_ascii=False).encode())
    spoken = tar_member(clip.path, encoded)
    padding = -len(encoded) % _BLOCK
    offset = end + len(before) + len(spoken) - padding - len(encoded)
    return record | {"offset": offset, "bytes": len(encoded)}, before + spoken


def _picture(key: str, extension: str, data: bytes) -> bytes:
    """The picture as it stands in the tar; nothing where it is none: a link may lead to what is private."""
    try:
        is_picture = sniff(data).modality == "image"
    except MediaError:
        is_picture = False
    return tar_member(f"{key}.{extension}", data) if is_picture else b""


def _complete(job: ShardJob, index: Path) -> list[dict[str, Any]] | None:
    """The records of a shard that is there, whole, and holds what is wanted now."""
    if not index.exists() or not job.path.exists():
        return None
    records = read_index(index)
    if len(records) != len(job.clips) or job.path.stat().st_size != _end(records) + len(END):
        return None
    return records if all(map(_is_of, records, job.clips)) else None


def _resumed(job: ShardJob, tar: BinaryIO, journal: BinaryIO) -> tuple[list[dict[str, Any]], int]:
    """The records of an interrupted shard that are still good, from the first on, and where the last ends."""
    good: list[dict[str, Any]] = []
    end = 0
    journal.seek(0)
    for line, clip in zip(journal, job.clips, strict=False):
        try:
            record = json.loads(line)
        except ValueError:
            break  # the line that a kill cut short
        if not line.endswith(b"\n"):
            break  # cut short by its last byte: the next would stand on the same line
        if not _is_of(record, clip):
            break
        if "failure" not in record:
            tar.seek(record["offset"])
            if hashlib.sha256(tar.read(record["bytes"])).hexdigest() != record["sha256"]:
                break
        good.append(record)
        end += len(line)
    return good, end


def _is_of(record: dict[str, Any], clip: Clip) -> bool:
    """Whether the record says that this very clip was made, or could not be."""
    planned = {key: value for key, value in record.items() if key not in _ADDED}
    return planned == clip.record(record.get("seconds", -1.0))


def _end(records: list[dict[str, Any]]) -> int:
    """Where the last sample ends in the tar: the recording is its last file."""
    last = next((record for record in reversed(records) if "failure" not in record), None)
    return 0 if last is None else -(-(last["offset"] + last["bytes"]) // _BLOCK) * _BLOCK


def _result(job: ShardJob, records: list[dict[str, Any]], *, made: int) -> ShardResult:
    spoken = [record for record in records if "failure" not in record]
    return ShardResult(
        job.number,
        clips=len(spoken),
        made=made,
        seconds=sum(record["seconds"] for record in spoken),
        voices=frozenset(record["voice"] for record in spoken),
        failures={record["id"]: record["failure"] for record in records if "failure" in record},
    )
