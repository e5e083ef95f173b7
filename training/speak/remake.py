"""A clip of a spoken corpus made again from its record alone, and compared with the one that is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from training.shards import Slice
from training.speak.clips import Format, SpeechError, encode_clip, speak_clip, write_clip
from training.speak.draws import Draw
from training.speak.manifest import MANIFEST
from training.speak.plan import RECIPE
from training.voices import Voice


@dataclass(frozen=True)
class Remade:
    """The clip made again; `identical` says whether the corpus holds the very same bytes."""

    path: Path
    identical: bool

    def __str__(self) -> str:
        told = "byte for byte the one in the corpus" if self.identical else "NOT the one in the corpus"
        return f"Made {self.path} again: it is {told}."


def remake(corpus: Path, clip_id: str, out: Path) -> Remade:
    """Make the clip `clip_id` of the spoken corpus again, as a file in the folder `out`.

    SpeechError where the corpus has no such clip, or an older recipe made it.
    """
    record, extension, there = _find(corpus, clip_id)
    if record.get("recipe") != RECIPE:
        raise SpeechError(
            f'"{clip_id}" was made by recipe {record.get("recipe")} and this version has recipe {RECIPE}, '
            "which gives other samples; make the corpus again with speak."
        )
    drawn = Draw(Voice.parse(record["voice"]), record["rate"], record["pitch"], record["gain_db"])
    samples = speak_clip(record["text"], drawn)
    path = out / f"{clip_id}.{extension}"
    if path.exists():
        raise SpeechError(f"{path} is there already; name another folder.")
    encoded = encode_clip(samples, extension)
    write_clip(encoded, path)
    return Remade(path, encoded == there.read())


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
            extension = Path(record["path"]).suffix[1:]
            if extension not in get_args(Format):
                raise SpeechError(f'"{clip_id}" is {record["path"]} in {corpus}, which speak did not make.')
            if "offset" in record:
                place = Slice(source.with_suffix(".tar"), record["offset"], record["bytes"])
            else:
                path = corpus / record["path"]
                place = Slice(path, 0, path.stat().st_size)
            return record, cast(Format, extension), place
    raise SpeechError(f'{corpus} has no clip "{clip_id}".')


def _records(source: Path, wanted: bytes) -> Iterator[dict[str, Any]]:
    with source.open("rb") as lines:
        for line in lines:
            if wanted in line:
                yield json.loads(line)
