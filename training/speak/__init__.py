"""Captions -> spoken captions, by the recipe of Conceptual Spoken Captions (Ilharco et al. 2019)."""

from __future__ import annotations

from training.speak.caption import Caption, CaptionsError
from training.speak.captions import Captions, read_captions
from training.speak.clips import SAMPLE_RATE_HZ, SpeechError, speak_clip
from training.speak.command import speak_command
from training.speak.draws import Draw, draw
from training.speak.remake import remake
from training.speak.report import SpeakReport
from training.speak.run import foresee, perform, speak
from training.speak.text import spoken_text
from training.speak.work import prepare

__all__ = [
    "SAMPLE_RATE_HZ",
    "Caption",
    "Captions",
    "CaptionsError",
    "Draw",
    "SpeakReport",
    "SpeechError",
    "draw",
    "foresee",
    "perform",
    "prepare",
    "read_captions",
    "remake",
    "speak",
    "speak_clip",
    "speak_command",
    "spoken_text",
]
