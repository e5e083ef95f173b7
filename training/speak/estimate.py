"""What a run will take, in time and bytes, measured on its first clips before it starts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from training.shards import tar_member
from training.speak.clips import Format, SpeechError, encode_clip, seconds_of, speak_clip
from training.speak.plan import Clip
from training.voices import EngineDown, EngineError, VoiceError

_CLIPS = 48
_AT_MOST_SECONDS = 15.0


@dataclass(frozen=True)
class Estimate:
    """`clips` are still to be made, by `workers` processes; bytes are of recordings and pictures."""

    clips: int
    workers: int
    measured_on: int
    elapsed_seconds: float
    speech_seconds: float
    size_bytes: float
    free_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.clips:,} clips to make: about {_duration(self.elapsed_seconds)} with {self.workers} "
            f"{'worker' if self.workers == 1 else 'workers'}, {self.speech_seconds / 3600:,.1f} h of speech, "
            f"{_size(self.size_bytes)} where {_size(self.free_bytes)} are free "
            f"(measured on the first {self.measured_on})."
        )


def estimate(
    clips: Iterable[Clip], total: int, out: Path, *, workers: int, format: Format, with_pictures: bool
) -> Estimate:
    """Make the first clips in memory, and take the `total` to be like them. EngineDown goes up.

    The very first clip of each engine is not timed: with it, the engine starts.
    """
    elapsed = speech = size = 0.0
    measured = timed = 0
    started, engines = time.monotonic(), set()
    for clip in islice(clips, min(_CLIPS, total)):
        begun = time.monotonic()
        try:
            samples = speak_clip(clip.caption.text, clip.draw)
        except EngineDown:
            raise
        except (SpeechError, EngineError, VoiceError):
            continue  # the run itself will tell
        encoded = encode_clip(samples, format)
        taken = time.monotonic() - begun
        if clip.draw.voice.engine in engines:
            elapsed, timed = elapsed + taken, timed + 1
        engines.add(clip.draw.voice.engine)
        picture = clip.caption.picture if with_pictures else None
        size += len(tar_member("clip", encoded)) + (
            len(tar_member("picture", picture.read())) if picture else 0
        )
        speech += seconds_of(samples)
        measured += 1
        if time.monotonic() - started > _AT_MOST_SECONDS and timed:
            break
    return Estimate(
        clips=total,
        workers=workers,
        measured_on=measured,
        elapsed_seconds=total * elapsed / max(timed, 1) / workers,
        speech_seconds=total * speech / max(measured, 1),
        size_bytes=total * size / max(measured, 1),
        free_bytes=_free_bytes(out),
    )


def _free_bytes(out: Path) -> int:
    """Room on the device where `out` is or will be."""
    return shutil.disk_usage(next(place for place in (out, *out.absolute().parents) if place.exists())).free


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(size_bytes: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes / 1e6:.1f} MB"
