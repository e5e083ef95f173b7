"""What a speech engine is, how a voice is named, and the errors of both.

A voice is named `engine:voice`, as in `espeak:en-us+f2` or `flite:slt`; `training.voices.engines` says where
engines are found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class VoiceError(ValueError):
    """A voice was asked for that does not exist or may not be used here."""


class EngineError(RuntimeError):
    """An engine is missing, or failed to speak a text."""


class EngineDown(EngineError):
    """An engine cannot speak any text now: no credentials, no network, a quota used up. The run ends."""


@dataclass(frozen=True, order=True)
class Voice:
    """One voice of one engine; `str(voice)` is its name in manifests and on the command line."""

    engine: str
    name: str

    def __str__(self) -> str:
        return f"{self.engine}:{self.name}"

    @property
    def variant(self) -> str:
        """The speaker apart from the accent: what follows `+` in an eSpeak name, else the whole name."""
        _, plus, variant = self.name.partition("+")
        if plus:
            return variant
        return "" if self.engine == "espeak" else self.name

    @classmethod
    def parse(cls, text: str) -> Voice:
        engine, colon, name = text.strip().rpartition(":")  # an engine may be a module:Class
        if not colon or not engine or not name:
            raise VoiceError(
                f'"{text}" is not a voice name; write it as engine:voice, e.g. espeak:en-us+f2 or flite:slt.'
            )
        return cls(engine, name)


class Engine(Protocol):
    """Text to speech in one process. Not thread safe: one engine a process."""

    @property
    def name(self) -> str: ...

    def voices(self) -> tuple[str, ...]:
        """Names of every voice the engine can speak with, without the engine prefix."""
        ...

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        """Speak `text`: (mono int16 samples [S], sample rate in Hz).

        `rate` multiplies the voice's normal speed, `pitch_semitones` shifts its normal pitch. The same
        arguments give the same samples, whatever was spoken before. Raises VoiceError for an unknown voice,
        EngineError if the engine fails.
        """
        ...


@runtime_checkable
class GainEngine(Engine, Protocol):
    """An engine that applies the gain itself. Its level is then left as it comes."""

    def synthesize_at_gain(
        self, text: str, voice: str, rate: float, pitch_semitones: float, gain_db: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        """As `synthesize`, with `gain_db` over the voice's normal level."""
        ...
