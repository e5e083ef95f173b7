"""Captions -> spoken captions, by the recipe of Conceptual Spoken Captions (Ilharco et al. 2019)."""

from __future__ import annotations

from training.speak.captions import Caption, Captions, CaptionsError, read_captions
from training.speak.clips import SAMPLE_RATE_HZ, SpeechError, speak_clip
from training.speak.command import speak_command
from training.speak.draws import Draw, draw
from training.speak.run import SpeakReport, speak
from training.speak.text import spoken_text

__all__ = [
    "SAMPLE_RATE_HZ",
    "Caption",
    "Captions",
    "CaptionsError",
    "Draw",
    "SpeakReport",
    "SpeechError",
    "draw",
    "read_captions",
    "speak",
    "speak_clip",
    "speak_command",
    "spoken_text",
]
