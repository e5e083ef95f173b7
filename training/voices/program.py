"""Engines that are programs: a command line that writes a WAV file, run once a caption."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from training.voices.engine import EngineError

_TIMEOUT_SECONDS = 60


def find_program(engine: str, program: str, package: str) -> str:
    """The program's path. Raises EngineError, which names the Debian package, where it is not installed."""
    path = shutil.which(program)
    if path is None:
        raise EngineError(
            f"The {engine} engine needs the program {program}, which is not installed; "
            f"run `apt install {package}`."
        )
    return path


def run_program(
    engine: str, text: str, command: Callable[[Path, Path], list[str]]
) -> tuple[npt.NDArray[np.int16], int]:
    """Samples int16 [S] and their rate in Hz of what `command(text_file, wav_file)` writes.

    Raises EngineError where the program fails, hangs or writes nothing.
    """
    with tempfile.TemporaryDirectory(prefix=f"{engine}-") as folder:
        source, wav = Path(folder) / "text.txt", Path(folder) / "speech.wav"
        source.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                command(source, wav), capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{engine} took over {_TIMEOUT_SECONDS} s on the text {text!r}.") from error
        if done.returncode != 0 or not wav.is_file():
            raise EngineError(f"{engine} failed with status {done.returncode} on the text {text!r}.")
        samples, sample_rate_hz = soundfile.read(io.BytesIO(wav.read_bytes()), dtype="int16")
    return samples, int(sample_rate_hz)
