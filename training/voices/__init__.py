"""Text-to-speech engines behind one small interface, and the sets of voices that train and that evaluate."""

from __future__ import annotations

from training.voices.engine import Engine, EngineDown, EngineError, GainEngine, Voice, VoiceError
from training.voices.engines import ENGINES, ENTRY_POINTS, open_engine
from training.voices.espeak import EspeakEngine
from training.voices.flite import FliteEngine
from training.voices.google import GoogleEngine
from training.voices.pico import PicoEngine
from training.voices.rhvoice import RhvoiceEngine
from training.voices.sets import RESERVED_ENGINES, RESERVED_VARIANTS, is_reserved, voice_set

__all__ = [
    "ENGINES",
    "ENTRY_POINTS",
    "RESERVED_ENGINES",
    "RESERVED_VARIANTS",
    "Engine",
    "EngineDown",
    "EngineError",
    "EspeakEngine",
    "FliteEngine",
    "GainEngine",
    "GoogleEngine",
    "PicoEngine",
    "RhvoiceEngine",
    "Voice",
    "VoiceError",
    "is_reserved",
    "open_engine",
    "voice_set",
]
