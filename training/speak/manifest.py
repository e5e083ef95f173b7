"""captions.jsonl and the files of the Flickr Audio Caption Corpus: written last, read back to resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.speak.captions import TEST_SPLIT, Caption, CaptionsError
from training.speak.draws import Draw, draw
from training.voices import Voice

MANIFEST = "captions.jsonl"
JOURNAL = "captions.jsonl.partial"
FACC_FOLDER = "flickr_audio"
# Raised whenever the same parameters would give other samples, so that clips of an older version are made
# again.
RECIPE = 2


@dataclass(frozen=True)
class Clip:
    """One clip to be made: which caption, how, and where (relative to the corpus folder)."""

    id: str
    caption: Caption
    draw: Draw
    speaker: int
    path: str

    def record(self, seconds: float) -> dict[str, str | int | float]:
        """The clip's line of captions.jsonl: with the text, all it takes to make the clip again."""
        record: dict[str, str | int | float] = {
            "id": self.id,
            "path": self.path,
            "image_id": self.caption.image_id,
            "text": self.caption.text,
            "voice": str(self.draw.voice),
            "engine": self.draw.voice.engine,
            "speaker": self.speaker,
            "rate": self.draw.rate,
            "pitch": self.draw.pitch_semitones,
            "gain_db": self.draw.gain_db,
            "seconds": seconds,
            "recipe": RECIPE,
        }
        if self.caption.split is not None:
            record["split"] = self.caption.split
        return record


def plan(
    captions: Iterable[Caption],
    voices: Sequence[Voice],
    test_voices: Sequence[Voice],
    *,
    seed: int,
    per_caption: int,
    extension: str,
    facc: bool,
) -> list[Clip]:
    """Every clip of a run: captions of the split test with `test_voices`, the others with `voices`.

    The first clip of a caption keeps its id, the others add `-2`, `-3`, ... CaptionsError if that gives one
    id twice.
    """
    speakers = {voice: number for number, voice in enumerate(dict.fromkeys((*voices, *test_voices)))}
    ids: set[str] = set()
    folder = f"{FACC_FOLDER}/wavs" if facc else "speech"
    clips: list[Clip] = []
    for caption in captions:
        for take in range(1, per_caption + 1):
            clip_id = caption.id if take == 1 else f"{caption.id}-{take}"
            if clip_id in ids:
                raise CaptionsError(f'Two clips would have the id "{clip_id}"; rename that caption.')
            ids.add(clip_id)
            drawn = draw(seed, clip_id, test_voices if caption.split == TEST_SPLIT else voices)
            clips.append(
                Clip(clip_id, caption, drawn, speakers[drawn.voice], f"{folder}/{clip_id}.{extension}")
            )
    return clips


def seconds_made(out: Path, clips: Iterable[Clip]) -> dict[str, float]:
    """Clip id -> seconds, for the clips an earlier run recorded with the very parameters planned now."""
    recorded: dict[str, dict[str, object]] = {}
    for name in (MANIFEST, JOURNAL):
        if (out / name).is_file():
            for line in (out / name).read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                    recorded[record["id"]] = record
                except (json.JSONDecodeError, TypeError, KeyError):
                    continue  # the line a kill cut short
    made: dict[str, float] = {}
    for clip in clips:
        record = recorded.get(clip.id, {})
        seconds = record.get("seconds")
        if isinstance(seconds, float) and record == clip.record(seconds):
            made[clip.id] = seconds
    return made


def line(record: dict[str, str | int | float]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_manifest(out: Path, clips: Sequence[Clip], seconds: dict[str, float], *, facc: bool) -> None:
    """The FACC files where wanted, then captions.jsonl, each whole or not at all; the journal goes last."""
    if facc:
        named = [(Path(clip.path).name, clip) for clip in clips]
        _replace(
            out / FACC_FOLDER / "wav2capt.txt",
            "".join(f"{wav} {clip.caption.image_id}.jpg #{clip.caption.number}\n" for wav, clip in named),
        )
        _replace(out / FACC_FOLDER / "wav2spk.txt", "".join(f"{wav} {clip.speaker}\n" for wav, clip in named))
    _replace(out / MANIFEST, "".join(line(clip.record(seconds[clip.id])) for clip in clips))
    (out / JOURNAL).unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
