"""What a fit tells while it goes on, and to whom. Listeners show and keep; none influences the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from training.evaluate import Scores


@dataclass(frozen=True)
class Progress:
    """After a step; `pairs_per_second` is the mean since this command began, evaluations left out."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    pairs_per_second: float


class Listener(Protocol):
    """Told of decoding at the start, of every step, of every evaluation on dev."""

    def decoding(self, done: int, total: int) -> None: ...
    def stepped(self, progress: Progress) -> None: ...
    def evaluated(self, step: int, scores: Scores, best: bool) -> None: ...


class Together:
    """Several listeners as one; none at all is silence."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def decoding(self, done: int, total: int) -> None:
        for listener in self._listeners:
            listener.decoding(done, total)

    def stepped(self, progress: Progress) -> None:
        for listener in self._listeners:
            listener.stepped(progress)

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        for listener in self._listeners:
            listener.evaluated(step, scores, best)
