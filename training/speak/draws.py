"""The voice, rate, pitch and gain of one clip, drawn as for Conceptual Spoken Captions from (seed, id) alone.

Ilharco et al. 2019: rate ~ N(1, .1), pitch ~ N(0, 1) semitones, gain ~ N(0, 2) dB, each clipped (not drawn
again) at two standard deviations; the voice uniform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from training.voices import Voice

RATE = (1.0, 0.1, 0.8, 1.2)
PITCH_SEMITONES = (0.0, 1.0, -2.0, 2.0)
GAIN_DB = (0.0, 2.0, -4.0, 4.0)


@dataclass(frozen=True)
class Draw:
    """What is drawn for one clip; rounded, so that a manifest holds exactly what was used."""

    voice: Voice
    rate: float
    pitch_semitones: float
    gain_db: float


def draw(seed: int, caption_id: str, voices: Sequence[Voice]) -> Draw:
    """The same on every machine: SHA-256 of seed and id, turned into a choice and three normals."""
    digest = hashlib.sha256(f"{seed}\n{caption_id}".encode()).digest()
    words = [int.from_bytes(digest[start : start + 8], "big") for start in range(0, 32, 8)]
    return Draw(
        voice=voices[words[0] % len(voices)],
        rate=_clipped_normal(words[1], *RATE),
        pitch_semitones=_clipped_normal(words[2], *PITCH_SEMITONES),
        gain_db=_clipped_normal(words[3], *GAIN_DB),
    )


def _clipped_normal(word: int, mean: float, deviation: float, low: float, high: float) -> float:
    uniform = ((word >> 11) + 0.5) / 2**53  # strictly inside (0, 1)
    value = mean + deviation * NormalDist().inv_cdf(uniform)
    return round(min(max(value, low), high), 4) + 0.0  # + 0.0 turns -0.0 into 0.0
