"""One run at a time writes into a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from training.speak.clips import SpeechError


@contextmanager
def claimed(out: Path, name: str) -> Iterator[TextIO]:
    """The folder, made if need be, and its file `name` open for appending, while no other process has it.

    The claim ends with the process, however it ends. SpeechError where another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / name).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpeechError(
                f"Another run is speaking into {out}; wait for it or name another folder."
            ) from error
        yield file
