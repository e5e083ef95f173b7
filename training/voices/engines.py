"""Where engines are found: those that come with SaySee, those that packages bring, and any class by its name.

A package brings engines by the entry point group `saysee.engines`; a class needs no package at all and is
called `module:Class`. Either is a class without arguments that does what `Engine` says.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points

from training.voices.engine import Engine, VoiceError
from training.voices.espeak import EspeakEngine
from training.voices.flite import FliteEngine
from training.voices.google import GoogleEngine
from training.voices.pico import PicoEngine
from training.voices.rhvoice import RhvoiceEngine

ENTRY_POINTS = "saysee.engines"
ENGINES: dict[str, Callable[[], Engine]] = {
    "espeak": EspeakEngine,
    "flite": FliteEngine,
    "google": GoogleEngine,
    "pico": PicoEngine,
    "rhvoice": RhvoiceEngine,
}


def open_engine(name: str) -> Engine:
    """The engine called `name`, ready to speak.

    VoiceError if there is none of that name or it is no engine; EngineError where it cannot be used here.
    """
    if name in ENGINES:
        return ENGINES[name]()
    brought = entry_points(group=ENTRY_POINTS)
    if name in brought.names:
        return _made(name, brought[name].load())
    module, colon, attribute = name.partition(":")
    if not colon:
        names = ", ".join((*ENGINES, *sorted(brought.names)))
        raise VoiceError(f'There is no speech engine "{name}"; there are {names}, or write module:Class.')
    try:
        return _made(name, getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise VoiceError(f'The speech engine "{name}" cannot be imported: {error}.') from error


def _made(name: str, found: object) -> Engine:
    if not isinstance(found, type) or not all(
        callable(getattr(found, method, None)) for method in ("voices", "synthesize")
    ):
        raise VoiceError(f'"{name}" is no speech engine: that is a class with voices() and synthesize().')
    engine: Engine = found()
    return engine
