"""Text-to-speech engines behind one small interface, and the sets of voices that train and that evaluate.

`open_engine("espeak")` is the plug-in point: an engine is a class without arguments in ENGINES.
"""

from __future__ import annotations

from collections.abc import Callable

from training.voices.engine import Engine, EngineError, Voice, VoiceError
from training.voices.espeak import EspeakEngine
from training.voices.flite import FliteEngine
from training.voices.pico import PicoEngine
from training.voices.rhvoice import RhvoiceEngine
from training.voices.sets import RESERVED_ENGINES, RESERVED_VARIANTS, is_reserved, voice_set

__all__ = [
    "ENGINES",
    "RESERVED_ENGINES",
    "RESERVED_VARIANTS",
    "Engine",
    "EngineError",
    "EspeakEngine",
    "FliteEngine",
    "PicoEngine",
    "RhvoiceEngine",
    "Voice",
    "VoiceError",
    "is_reserved",
    "open_engine",
    "voice_set",
]

ENGINES: dict[str, Callable[[], Engine]] = {
    "espeak": EspeakEngine,
    "flite": FliteEngine,
    "pico": PicoEngine,
    "rhvoice": RhvoiceEngine,
}


def open_engine(name: str) -> Engine:
    """The engine called `name`, ready to speak; VoiceError if there is none, EngineError if not installed."""
    if name not in ENGINES:
        raise VoiceError(f'There is no speech engine "{name}"; there are {", ".join(ENGINES)}.')
    return ENGINES[name]()
