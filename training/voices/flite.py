"""The flite engine: Debian's `flite` program, one process a caption. Held out of training as a whole."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from training.voices.engine import EngineError, VoiceError

# Voice -> its normal mean pitch in Hz, as measured; flite takes the mean itself, not a shift.
MEAN_PITCH_HZ: dict[str, float] = {"slt": 170.0, "rms": 100.0, "awb": 130.0, "kal": 105.0, "kal16": 105.0}
_TIMEOUT_SECONDS = 60


class FliteEngine:
    """The `flite` engine: voices slt, rms, awb, kal and kal16."""

    name = "flite"

    def __init__(self) -> None:
        program = shutil.which("flite")
        if program is None:
            raise EngineError(
                "The flite engine needs the program flite, which is not installed; run `apt install flite`."
            )
        self._program = program

    def voices(self) -> tuple[str, ...]:
        return tuple(MEAN_PITCH_HZ)

    def synthesize(
        self, text: str, voice: str, rate: float, pitch_semitones: float
    ) -> tuple[npt.NDArray[np.int16], int]:
        if voice not in MEAN_PITCH_HZ:
            raise VoiceError(f'flite has no voice "{voice}"; there are {", ".join(MEAN_PITCH_HZ)}.')
        mean_hz = MEAN_PITCH_HZ[voice] * 2 ** (pitch_semitones / 12)
        with tempfile.TemporaryDirectory(prefix="flite-") as folder:
            wav = Path(folder) / "speech.wav"
            source = Path(folder) / "text.txt"
            source.write_text(text, encoding="utf-8")
            command = [
                self._program, "-voice", voice,
                "--setf", f"duration_stretch={1 / rate:.4f}",
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
