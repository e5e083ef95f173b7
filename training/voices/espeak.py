"""eSpeak NG in process, through ctypes, with the library and data of the `espeakng-loader` wheel.

Promises: no system package and no audio device; the same arguments give the same samples, bit for bit, in any
order and in any process; a voice or variant that does not exist is an error, never a silent fallback.
"""

from __future__ import annotations

import _ctypes
import ctypes
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.voices.engine import EngineError, VoiceError

# Accent as people write it -> the name of its file under espeak-ng-data/lang, lower case, which the library
# matches.
ACCENTS: dict[str, str] = {
    "en-us": "en-us",
    "en-us-nyc": "en-us-nyc",
    "en-gb": "en",
    "en-gb-x-rp": "en-gb-x-rp",
    "en-gb-scotland": "en-gb-scotland",
    "en-gb-x-gbclan": "en-gb-x-gbclan",
    "en-gb-x-gbcwmd": "en-gb-x-gbcwmd",
    "en-029": "en-029",
}

NORMAL_WORDS_PER_MINUTE = 175
NORMAL_PITCH = 50
NORMAL_RANGE = 50
# 50 steps of the pitch parameter are an octave of the voice's base pitch, but a fixed part of f0 (about .23
# of the base) stays; so 1.23 semitones of base make one of f0, with the range of intonation widened to match.
PITCH_STEPS_PER_SEMITONE = 1.23 * 50 / 12

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_BUFFER_MS = 2000
_DONT_EXIT = 0x8000  # without it the library ends the process when its data is missing
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_PARAMETER_RANGE = 4

_MAX_PITCH = 99

_DATA_FILES = ("phondata", "phonindex", "phontab", "intonations", "en_dict")
_SYNTH_ARGUMENTS: list[Any] = [
    ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
    ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
]  # fmt: skip
_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """The `espeak` engine. Voices are `accent` or `accent+variant`, as `en-us+f2`; case matters."""

    name = "espeak"

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineError(
                "The espeak engine needs the package espeakng-loader, which is not installed; "
                "run `pip install espeakng-loader`."
            ) from error
        self._library_path = str(espeakng_loader.get_library_path())
        self._data_path = Path(espeakng_loader.get_data_path())
        self._variants = frozenset(path.name for path in (self._data_path / "voices" / "!v").iterdir())
        self._folders = Path(tempfile.mkdtemp(prefix="saysee-espeak-"))
        weakref.finalize(self, shutil.rmtree, self._folders, ignore_errors=True)
        self._chunks: list[bytes] = []
        self._callback = _SynthCallback(self._receive)
        self._c_library = ctypes.CDLL(None)

    def voices(self) -> tuple[str, ...]:
        variants = sorted(variant for variant in self._variants if " " not in variant)
        return tuple(name for accent in ACCENTS for name in (accent, *(f"{accent}+{v}" for v in variants)))

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        accent, variant = self._resolve(voice)
        data_path = self._data_of(variant)
        data = text.replace("\0", " ").encode() + b"\0"
        # The generator keeps hidden state (flutter, phase, noise) from one utterance to the next, and
        # re-initialising does not clear it. A fresh copy of the library does, for 0.1 ms.
        library = ctypes.CDLL(self._library_path)
        try:
            library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
            sample_rate_hz = int(
                library.espeak_Initialize(
                    _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, str(data_path).encode(), _DONT_EXIT
                )
            )
            if sample_rate_hz <= 0:
                raise EngineError(f"eSpeak NG could not start with its data in {self._data_path}.")
            library.espeak_SetSynthCallback(self._callback)
            if library.espeak_ng_SetVoiceByName(f"{ACCENTS[accent]}+{variant}".rstrip("+").encode()) != 0:
                raise VoiceError(f'eSpeak NG could not load the voice "{voice}".')
            library.espeak_SetParameter(_PARAMETER_RATE, round(NORMAL_WORDS_PER_MINUTE * rate), 0)
            pitch = round(NORMAL_PITCH + PITCH_STEPS_PER_SEMITONE * pitch_semitones)
            library.espeak_SetParameter(_PARAMETER_PITCH, min(max(pitch, 0), _MAX_PITCH), 0)
            library.espeak_SetParameter(
                _PARAMETER_RANGE, round(NORMAL_RANGE * 2 ** (pitch_semitones / 12)), 0
            )
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            self._c_library.srand(1)  # some of the noise comes from the C library instead
            self._chunks.clear()
            library.espeak_Synth.argtypes = _SYNTH_ARGUMENTS
            status = library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
            if status != 0:
                raise EngineError(f"eSpeak NG failed with status {status} on the text {text!r}.")
            samples = np.frombuffer(b"".join(self._chunks), dtype=np.int16)
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
        return samples, sample_rate_hz

    def _receive(self, samples: int | None, count: int, events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    def _resolve(self, voice: str) -> tuple[str, str]:
        """Accent and variant; the library itself would take an unknown variant for none."""
        accent, plus, variant = voice.partition("+")
        if accent not in ACCENTS:
            raise VoiceError(f'eSpeak NG has no English accent "{accent}"; there are {", ".join(ACCENTS)}.')
        if plus and variant not in self._variants:
            close = [name for name in self._variants if name.lower() == variant.lower()]
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise VoiceError(f'eSpeak NG has no voice variant "{variant}"{hint}')
        return accent, variant

    def _data_of(self, variant: str) -> Path:
        """The wheel's data as seen by one variant: links to English and to that variant alone.

        A fresh library reads every voice file it finds before its first word; with all of them that takes as
        long as speaking the caption.
        """
        folder = self._folders / (variant or "plain")
        if not folder.exists():
            (folder / "lang" / "gmw").mkdir(parents=True)
            (folder / "voices" / "!v").mkdir(parents=True)
            for name in (*_DATA_FILES, *(f"lang/gmw/{file.name}" for file in self._english_files())):
                (folder / name).symlink_to(self._data_path / name)
            if variant:
                (folder / "voices" / "!v" / variant).symlink_to(self._data_path / "voices" / "!v" / variant)
        return folder

    def _english_files(self) -> list[Path]:
        return [path for path in (self._data_path / "lang" / "gmw").iterdir() if path.name.startswith("en")]
