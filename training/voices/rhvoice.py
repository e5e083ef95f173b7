"""The rhvoice engine: RHVoice in process, through ctypes, with Debian's library and English voices.

The same arguments give the same samples, in any order and in any process. The structures below are those of
RHVoice.h of library version 5.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from training.voices.engine import EngineError, VoiceError

# Those whose licences let a model be trained on them and shared. slt is here for evaluation alone: she is one
# of flite's speakers, too.
RHVOICE_VOICES = ("alan", "bdl", "clb", "slt")

_LIBRARY = "libRHVoice.so.5"
_DATA = b"/usr/share/RHVoice"
_CONFIGURATION = b"/etc/RHVoice"
_PLAIN_TEXT = 0

_SetRate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_Play = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint, ctypes.c_void_p)


class _Callbacks(ctypes.Structure):
    _fields_ = (
        ("set_sample_rate", _SetRate),
        ("play_speech", _Play),
        ("unused", ctypes.c_void_p * 7),  # marks, words, sentences, recorded audio, done
    )


class _InitParams(ctypes.Structure):
    _fields_ = (
        ("data_path", ctypes.c_char_p),
        ("config_path", ctypes.c_char_p),
        ("resource_paths", ctypes.c_void_p),
        ("callbacks", _Callbacks),
        ("options", ctypes.c_uint),
    )


class _SynthParams(ctypes.Structure):
    _fields_ = (
        ("voice_profile", ctypes.c_char_p),
        ("absolute_rate", ctypes.c_double),
        ("absolute_pitch", ctypes.c_double),
        ("absolute_volume", ctypes.c_double),
        ("relative_rate", ctypes.c_double),
        ("relative_pitch", ctypes.c_double),
        ("relative_volume", ctypes.c_double),
        ("punctuation_mode", ctypes.c_int),
        ("punctuation_list", ctypes.c_char_p),
        ("capitals_mode", ctypes.c_int),
        ("flags", ctypes.c_int),
    )


class RhvoiceEngine:
    """The `rhvoice` engine: statistical voices trained on recordings of people (alan, bdl, clb, slt)."""

    name = "rhvoice"

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise EngineError(
                f"The rhvoice engine needs the library {_LIBRARY}, which is not installed; "
                "run `apt install librhvoice5 rhvoice-english` (Debian's contrib and non-free)."
            ) from error
        self._rate_hz = 0
        self._chunks: list[bytes] = []
        self._callbacks = _Callbacks(_SetRate(self._set_rate), _Play(self._receive))
        self._library.RHVoice_new_tts_engine.restype = ctypes.c_void_p
        self._library.RHVoice_new_message.restype = ctypes.c_void_p
        self._library.RHVoice_get_voice_profiles.restype = ctypes.POINTER(ctypes.c_char_p)
        start = _InitParams(_DATA, _CONFIGURATION, None, self._callbacks, 0)
        self._engine = ctypes.c_void_p(self._library.RHVoice_new_tts_engine(ctypes.byref(start)))
        if self._engine.value is None:
            raise EngineError(f"RHVoice could not start with its data in {_DATA.decode()}.")
        count = self._library.RHVoice_get_number_of_voice_profiles(self._engine)
        profiles: Any = self._library.RHVoice_get_voice_profiles(self._engine)
        self._profiles = {profiles[i].decode().lower(): profiles[i] for i in range(count)}

    def voices(self) -> tuple[str, ...]:
        return tuple(voice for voice in RHVOICE_VOICES if voice in self._profiles)

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in self.voices():
            raise VoiceError(f'rhvoice has no voice "{voice}"; there are {", ".join(self.voices())}.')
        pitch = 2 ** (pitch_semitones / 12)
        wanted = _SynthParams(self._profiles[voice], 0, 0, 0, rate, pitch, 1, 0, None, 0, 0)
        data = text.replace("\0", " ").encode()
        self._chunks.clear()
        message = self._library.RHVoice_new_message(
            self._engine, data, ctypes.c_uint(len(data)), _PLAIN_TEXT, ctypes.byref(wanted), None
        )
        if not message:
            raise EngineError(f"RHVoice did not take the text {text!r}.")
        message = ctypes.c_void_p(message)
        try:
            if not self._library.RHVoice_speak(message):
                raise EngineError(f"RHVoice failed on the text {text!r}.")
        finally:
            self._library.RHVoice_delete_message(message)
        return np.frombuffer(b"".join(self._chunks), dtype=np.int16), self._rate_hz

    def _set_rate(self, rate_hz: int, user: int | None) -> int:
        self._rate_hz = rate_hz
        return 1

    def _receive(self, samples: Any, count: int, user: int | None) -> int:
        self._chunks.append(ctypes.string_at(samples, count * 2))
        return 1
