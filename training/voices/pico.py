"""The pico engine: SVOX Pico through Debian's `pico2wave`, one process a caption."""

from __future__ import annotations

from html import escape

import numpy as np
import numpy.typing as npt

from training.voices.engine import VoiceError
from training.voices.program import find_program, run_program

PICO_VOICES = ("en-US", "en-GB")


class PicoEngine:
    """The `pico` engine: one speaker each of en-US and en-GB; rate and pitch are Pico's own levels."""

    name = "pico"

    def __init__(self) -> None:
        self._program = find_program("pico", "pico2wave", "libttspico-utils (Debian's non-free)")

    def voices(self) -> tuple[str, ...]:
        return PICO_VOICES

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in PICO_VOICES:
            raise VoiceError(f'pico has no voice "{voice}"; there are {", ".join(PICO_VOICES)}.')
        speed, pitch = round(100 * rate), round(100 * 2 ** (pitch_semitones / 12))
        marked = f'<speed level="{speed}"><pitch level="{pitch}">{escape(text)}</pitch></speed>'
        return run_program(
            self.name, text, lambda _, wav: [self._program, "-l", voice, "-w", str(wav), marked]
        )
