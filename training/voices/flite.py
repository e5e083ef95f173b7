"""The flite engine: Debian's `flite` program, one process a caption. Held out of training as a whole."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from training.voices.engine import EngineError, VoiceError


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
_TIMEOUT_SECONDS = 60


class FliteEngine:
    """The `flite` engine: voices slt, rms, awb, kal and kal16. rms keeps its own pitch, whatever is asked."""

    name = "flite"

    def __init__(self) -> None:
        program = shutil.which("flite")
        if program is None:
            raise EngineError(
                "The flite engine needs the program flite, which is not installed; run `apt install flite`."
            )
        self._program = program

    def voices(self) -> tuple[str, ...]:
        return tuple(FLITE_VOICES)

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in FLITE_VOICES:
            raise VoiceError(f'flite has no voice "{voice}"; there are {", ".join(FLITE_VOICES)}.')
        normal = FLITE_VOICES[voice]
        mean_hz = normal.pitch_hz * 2 ** (pitch_semitones / 12)
        with tempfile.TemporaryDirectory(prefix="flite-") as folder:
            wav = Path(folder) / "speech.wav"
            source = Path(folder) / "text.txt"
            source.write_text(text, encoding="utf-8")
            command = [
                self._program, "-voice", voice,
                "--setf", f"duration_stretch={normal.stretch / rate:.4f}",
                "--setf", f"int_f0_target_mean={mean_hz:.2f}",
                "-f", str(source), "-o", str(wav),
            ]  # fmt: skip
            try:
                done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
            except subprocess.TimeoutExpired as error:
                raise EngineError(f"flite took over {_TIMEOUT_SECONDS} s on the text {text!r}.") from error
            if done.returncode != 0 or not wav.is_file():
                raise EngineError(f"flite failed with status {done.returncode} on the text {text!r}.")
            samples, sample_rate_hz = soundfile.read(io.BytesIO(wav.read_bytes()), dtype="int16")
        return samples, int(sample_rate_hz)
