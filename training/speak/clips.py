"""One clip from its parameters: speak, resample, trim, gain, encode. Runs in worker processes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr  # type: ignore[import-untyped]  # ships no annotations

from training.speak.draws import Draw
from training.speak.text import spoken_text
from training.voices import Engine, EngineDown, EngineError, GainEngine, VoiceError, open_engine

SAMPLE_RATE_HZ = 16000
# Voices differ by up to 18 dB, so the gain drawn would say little; it is applied around this common level
# (RMS).
LEVEL_DBFS = -22.0
_LARGEST = 32767 * 0.99
MAX_SILENCE_SECONDS = 0.1
# Digital silence, with a little room for resampling ripple and dither: -66 dB under full scale.
_SILENCE = 16

Format = Literal["flac", "wav"]


class SpeechError(RuntimeError):
    """A caption could not be spoken."""


@dataclass(frozen=True)
class ClipJob:
    """What one clip is made from, and where it goes."""

    clip_id: str
    text: str
    draw: Draw
    path: Path
    format: Format


@dataclass(frozen=True)
class ClipResult:
    """A clip made (`seconds`), or why it was not (`failure`); `down` where no other will be made either."""

    clip_id: str
    seconds: float = 0.0
    failure: str | None = None
    down: bool = False


def make_clips(jobs: list[ClipJob]) -> list[ClipResult]:
    """Make each clip; a caption that fails is reported, never raised, so that one bad line stops nothing.

    An engine that cannot be reached any more is the last result, so that those before it are not lost. A full
    disk or an unwritable folder goes up (OSError).
    """
    results: list[ClipResult] = []
    for job in jobs:
        try:
            samples = speak_clip(job.text, job.draw)
        except EngineDown as error:
            return [*results, ClipResult(job.clip_id, failure=str(error), down=True)]
        except (SpeechError, EngineError, VoiceError) as error:
            results.append(ClipResult(job.clip_id, failure=str(error)))
            continue
        write_clip(encode_clip(samples, job.format), job.path)
        results.append(ClipResult(job.clip_id, seconds=seconds_of(samples)))
    return results


def speak_clip(text: str, draw: Draw) -> npt.NDArray[np.int16]:
    """Speech of `text` as drawn: mono int16 [S] at 16 kHz, at most 0.1 s of silence at either end."""
    spoken = spoken_text(text)
    if not spoken:
        raise SpeechError(f"The caption {text!r} holds nothing to say.")
    engine, with_gain = _engine(draw.voice.engine)
    voice, rate, pitch = draw.voice.name, draw.rate, draw.pitch_semitones
    if with_gain is not None:
        samples, rate_hz = with_gain.synthesize_at_gain(spoken, voice, rate, pitch, draw.gain_db)
    else:
        samples, rate_hz = engine.synthesize(spoken, voice, rate, pitch)
    samples = _trim(samples, rate_hz)
    if len(samples) == 0:
        raise SpeechError(f"The voice {draw.voice} gave no sound for the caption {text!r}.")
    if with_gain is not None and rate_hz == SAMPLE_RATE_HZ:
        return samples
    signal = samples.astype(np.float32)
    if rate_hz != SAMPLE_RATE_HZ:
        signal = soxr.resample(signal, rate_hz, SAMPLE_RATE_HZ)
    factor = 1.0
    if with_gain is None:
        level = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
        factor = 32768 * 10 ** ((LEVEL_DBFS + draw.gain_db) / 20) / level
    # Never clipped: a clip too peaky for its level is made as loud as it can be.
    factor = min(factor, _LARGEST / float(max(signal.max(), -signal.min())))
    clip: npt.NDArray[np.int16] = np.rint(signal * np.float32(factor)).astype(np.int16)
    return clip


def seconds_of(samples: npt.NDArray[np.int16]) -> float:
    return round(len(samples) / SAMPLE_RATE_HZ, 4)


def encode_clip(samples: npt.NDArray[np.int16], format: Format) -> bytes:
    """The whole file. In memory: the codec library would not tell a full disk from success."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, SAMPLE_RATE_HZ, format=format.upper(), subtype="PCM_16")
    return encoded.getvalue()


def write_clip(encoded: bytes, path: Path) -> None:
    """Write whole or not at all: a temporary file beside it, then a rename.

    The temporary name is the clip's own, so that what a kill leaves is overwritten by the run that goes on.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            temporary.write_bytes(encoded)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(encoded)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def is_whole(path: Path, seconds: float) -> bool:
    """Whether `path` is a clip of that length, by its header."""
    try:
        return bool(abs(soundfile.info(path).frames / SAMPLE_RATE_HZ - seconds) < 1e-3)
    except (OSError, soundfile.LibsndfileError):
        return False


def _trim(samples: npt.NDArray[np.int16], rate_hz: int) -> npt.NDArray[np.int16]:
    loud = (samples > _SILENCE) | (samples < -_SILENCE)
    first = int(loud.argmax()) if len(loud) else 0
    if not len(loud) or not loud[first]:
        return samples[:0]
    last = len(loud) - 1 - int(loud[::-1].argmax())
    # A hair under the promised tenth, since resampling may add a sample.
    margin = int((MAX_SILENCE_SECONDS - 0.002) * rate_hz)
    return samples[max(0, first - margin) : last + 1 + margin]


@cache
def _engine(name: str) -> tuple[Engine, GainEngine | None]:
    """The engine, and the same as one that applies the gain itself, where it does."""
    engine = open_engine(name)
    return engine, engine if isinstance(engine, GainEngine) else None
