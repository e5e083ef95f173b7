"""A run's log.jsonl: a line every ten steps, a line every evaluation, each written out at once.

    {"step": 40, "loss": 3.8112, "learning_rate": 0.001, "pairs_per_s": 81.3}         the 41st step
    {"step": 400, "dev": {...}, "best": true}                                         after 400 steps

A run that goes on after a kill writes the lines since its last checkpoint once more.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from training.evaluate import Scores
from training.listener import Progress

EVERY = 10


class Journal:
    """A Listener that appends to the log; a context, which closes it."""

    def __init__(self, run: Path) -> None:
        self._file = (run / "log.jsonl").open("a", encoding="utf-8", buffering=1)

    def decoding(self, done: int, total: int) -> None:
        """Not logged: decoding is done once for many runs."""

    def stepped(self, progress: Progress) -> None:
        number = progress.step - 1
        if number % EVERY == 0:
            loss, rate = round(progress.loss, 5), round(progress.pairs_per_second, 1)
            self._write(
                {"step": number, "loss": loss, "learning_rate": progress.learning_rate, "pairs_per_s": rate}
            )

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        self._write({"step": step, "dev": scores.to_dict(), "best": best})

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
