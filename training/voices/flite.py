"""The flite engine: Debian's `flite` program, one process a caption. Held out of training as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.voices.engine import VoiceError
from training.voices.program import find_program, run_program


@dataclass(frozen=True)
class _Normal:
    """What a voice does unasked: flite takes a mean pitch and a stretch of time, not changes of its own."""

    pitch_hz: float
    stretch: float


# The pitch settings that give, as measured, the pitch each voice has without one.
FLITE_VOICES: dict[str, _Normal] = {
    "slt": _Normal(173.0, 1.0),
    "rms": _Normal(100.0, 1.0),
    "awb": _Normal(132.0, 1.0),
    "kal": _Normal(95.0, 1.1),
    "kal16": _Normal(95.0, 1.1),
}


class FliteEngine:
    """The `flite` engine: voices slt, rms, awb, kal and kal16. rms keeps its own pitch, whatever is asked."""

    name = "flite"

    def __init__(self) -> None:
        self._program = find_program("flite", "flite", "flite")

    def voices(self) -> tuple[str, ...]:
        return tuple(FLITE_VOICES)

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in FLITE_VOICES:
            raise VoiceError(f'flite has no voice "{voice}"; there are {", ".join(FLITE_VOICES)}.')
        normal = FLITE_VOICES[voice]
        mean_hz = normal.pitch_hz * 2 ** (pitch_semitones / 12)
        return run_program(
            self.name,
            text,
            lambda source, wav: [
                self._program, "-voice", voice,
                "--setf", f"duration_stretch={normal.stretch / rate:.4f}",
                "--setf", f"int_f0_target_mean={mean_hz:.2f}",
                "-f", str(source), "-o", str(wav),
            ],
        )  # fmt: skip
