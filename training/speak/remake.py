"""A clip of a spoken corpus made again from its record alone, and compared with the one that is there.

A corpus may be a stranger's, and a record names its engine: code that SaySee does not bring is only imported
where the user has named it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from training.shards import Slice
from training.speak.captions import SAFE_ID
from training.speak.clips import Format, SpeechError, encode_clip, speak_clip, write_clip
from training.speak.draws import GAIN_DB, PITCH_SEMITONES, RATE, Draw
from training.speak.manifest import MANIFEST
from training.speak.plan import RECIPE
from training.voices import ENGINES, Voice


@dataclass(frozen=True)
class Remade:
    """The clip made again; `identical` says whether the corpus holds the very same bytes."""

    path: Path
    identical: bool

    def __str__(self) -> str:
        told = "byte for byte the one in the corpus" if self.identical else "NOT the one in the corpus"
        return f"Made {self.path} again: it is {told}."


def remake(corpus: Path, clip_id: str, out: Path, *, trusted: Collection[str] = ()) -> Remade:
    """Make the clip `clip_id` of the spoken corpus again, as a file in the folder `out`.

    `trusted` are the engines that may speak beside those that come with SaySee. SpeechError where the corpus
    has no such clip, an older recipe or an engine that is not trusted made it, or its record is none of
    speak's.
    """
    if not SAFE_ID.fullmatch(clip_id):
        raise SpeechError(f'"{clip_id}" is no id that speak gives to a clip: it could not be a file name.')
    record, extension, there = _find(corpus, clip_id)
    if record.get("recipe") != RECIPE:
        raise SpeechError(
            f'"{clip_id}" was made by recipe {record.get("recipe")} and this version has recipe {RECIPE}, '
            "which gives other samples; make the corpus again with speak."
        )
    with _as_speak_writes_it(corpus, clip_id):
        text, drawn = _asked(record)
    engine = drawn.voice.engine
    if engine not in ENGINES and engine not in trusted:
        raise SpeechError(
            f'"{clip_id}" was spoken by the engine {engine}, which does not come with SaySee and is not '
            f"imported because a record says so; if you trust it, say --voices {drawn.voice} as well."
        )
    samples = speak_clip(text, drawn)
    path = out / f"{clip_id}.{extension}"
    if path.exists():
        raise SpeechError(f"{path} is there already; name another folder.")
    encoded = encode_clip(samples, extension)
    write_clip(encoded, path)
    return Remade(path, encoded == there.read())


@contextmanager
def _as_speak_writes_it(corpus: Path, clip_id: str) -> Iterator[None]:
    """SpeechError for whatever is missing from the record or of another kind than `speak` writes."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpeechError(f'The record of "{clip_id}" in {corpus} is none that speak writes.') from error


def _asked(record: dict[str, Any]) -> tuple[str, Draw]:
    """What is to be said, and how; ValueError where nothing of the kind can have been drawn."""
    rate, pitch, gain = record["rate"], record["pitch"], record["gain_db"]
    for value, (_, _, low, high) in ((rate, RATE), (pitch, PITCH_SEMITONES), (gain, GAIN_DB)):
        if not low <= value <= high:
            raise ValueError(value)
    if not isinstance(record["text"], str):
        raise TypeError(record["text"])
    return record["text"], Draw(Voice.parse(record["voice"]), rate, pitch, gain)


def _find(corpus: Path, clip_id: str) -> tuple[dict[str, Any], Format, Slice]:
    """The clip's record, its format, and where its bytes lie."""
    sources = [corpus / MANIFEST] if (corpus / MANIFEST).is_file() else sorted(corpus.glob("speech-*.jsonl"))
    if not sources:
        raise SpeechError(
            f"{corpus} is no spoken corpus: it holds neither {MANIFEST} nor speech-000000.jsonl."
        )
    wanted = json.dumps(clip_id, ensure_ascii=False).encode()
    for source in sources:
        for record in _records(source, wanted):
            if record.get("id") != clip_id:
                continue
            if "failure" in record:
                raise SpeechError(f'"{clip_id}" could not be spoken: {record["failure"]}')
            with _as_speak_writes_it(corpus, clip_id):
                path = corpus / record["path"]
                extension = path.suffix[1:]
                if extension not in get_args(Format):
                    raise ValueError(extension)
                if "offset" in record:
                    place = Slice(source.with_suffix(".tar"), int(record["offset"]), int(record["bytes"]))
                else:
                    place = Slice(path, 0, path.stat().st_size)
            return record, cast(Format, extension), place
    raise SpeechError(f'{corpus} has no clip "{clip_id}".')


def _records(source: Path, wanted: bytes) -> Iterator[dict[str, Any]]:
    with source.open("rb") as lines:
        for line in lines:
            if wanted in line:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record
