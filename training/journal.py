"""A run's log.jsonl, written and read: a line every ten steps, a line every evaluation, each out at once.

    {"step": 40, "loss": 3.8112, "learning_rate": 0.001, "pairs_per_s": 81.3}         the 41st step
    {"step": 400, "dev": {...}, "best": true}                                         after 400 steps

A run that goes on after a kill writes the lines since its last checkpoint once more: the newest of a step
counts. A line that a kill tore is left out and counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from training.checkpoint import RunError
from training.evaluate import Scores
from training.listener import Progress

EVERY = 10
LOG = "log.jsonl"


class Journal:
    """A Listener that appends to the log; a context, which closes it."""

    def __init__(self, run: Path) -> None:
        self._file = (run / LOG).open("a", encoding="utf-8", buffering=1)

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


@dataclass(frozen=True)
class Log:
    """Step -> loss, and step -> the line of its evaluation, both in the order of steps."""

    losses: dict[int, float]
    evaluations: dict[int, dict[str, Any]]
    torn: int

    def dev(self) -> dict[int, float]:
        """Step -> mean of the recalls at 10 both ways on dev."""
        return {step: _mean_recall_at_10(record) for step, record in self.evaluations.items()}


def read_log(run: Path) -> Log:
    """The log of a run folder. Raises RunError where there is none."""
    try:
        lines = (run / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RunError(f"{run / LOG} cannot be read ({error.strerror}); is {run} a run folder?") from error
    losses: dict[int, float] = {}
    evaluations: dict[int, dict[str, Any]] = {}
    torn = 0
    for line in lines:
        try:
            record = json.loads(line)
            step = int(record["step"])
            if "loss" in record:
                losses[step] = float(record["loss"])
            elif record.get("dev"):
                _mean_recall_at_10(record)
                evaluations[step] = record
        except (ValueError, KeyError, TypeError):
            torn += 1
    return Log(dict(sorted(losses.items())), dict(sorted(evaluations.items())), torn)


def _mean_recall_at_10(record: dict[str, Any]) -> float:
    return sum(float(record["dev"][way]["R@10"]) for way in ("speech_to_image", "image_to_speech")) / 2
