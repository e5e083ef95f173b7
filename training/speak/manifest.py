"""captions.jsonl and the files of the Flickr Audio Caption Corpus: written last, read back to resume."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from indexer.durable import replace_text
from training.speak.plan import Clip, Record

MANIFEST = "captions.jsonl"
JOURNAL = "captions.jsonl.partial"
FACC_FOLDER = "flickr_audio"


def seconds_made(out: Path, clips: Iterable[Clip]) -> dict[str, float]:
    """Clip id -> seconds, for the clips an earlier run recorded with the very parameters planned now."""
    recorded: dict[str, dict[str, object]] = {}
    for name in (MANIFEST, JOURNAL):
        if (out / name).is_file():
            for line in (out / name).read_bytes().split(b"\n"):
                try:
                    record = json.loads(line)
                    recorded[record["id"]] = record
                except (ValueError, TypeError, KeyError):
                    continue  # the line a kill cut short
    made: dict[str, float] = {}
    for clip in clips:
        record = recorded.get(clip.id, {})
        seconds = record.get("seconds")
        if isinstance(seconds, float) and record == clip.record(seconds):
            made[clip.id] = seconds
    return made


def line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_manifest(out: Path, clips: Sequence[Clip], seconds: dict[str, float], *, facc: bool) -> None:
    """The FACC files where wanted, then captions.jsonl, each whole or not at all; the journal goes last."""
    if facc:
        named = [(Path(clip.path).name, clip) for clip in clips]
        folder = out / FACC_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        captions = (f"{wav} {clip.caption.image_id}.jpg #{clip.caption.number}\n" for wav, clip in named)
        replace_text(folder / "wav2capt.txt", "".join(captions))
        replace_text(folder / "wav2spk.txt", "".join(f"{wav} {clip.speaker}\n" for wav, clip in named))
    replace_text(out / MANIFEST, "".join(line(clip.record(seconds[clip.id])) for clip in clips))
    (out / JOURNAL).unlink(missing_ok=True)
