"""A fit's scalars for TensorBoard: `tensorboard --logdir RUNS` draws those of every run below.

Loss, learning rate and pairs per second every ten steps; dev recall both ways at every evaluation.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from training.evaluate import Scores
from training.journal import EVERY
from training.listener import Progress


class Events:
    """A Listener; a context, which closes its file. What a killed run wrote past this one's start is void."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._writer: SummaryWriter | None = None

    def decoding(self, done: int, total: int) -> None:
        """No scalar."""

    def stepped(self, progress: Progress) -> None:
        if (progress.step - 1) % EVERY == 0:
            self._add("train/loss", progress.loss, progress.step)
            self._add("train/learning_rate", progress.learning_rate, progress.step)
            self._add("train/pairs_per_second", progress.pairs_per_second, progress.step)

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        for way, recalls in (("S->I", scores.speech_to_image), ("I->S", scores.image_to_speech)):
            for k, recall in recalls.items():
                self._add(f"dev {way}/R@{k:03}", recall, step)

    def _add(self, name: str, value: float, step: int) -> None:
        if self._writer is None:
            self._writer = SummaryWriter(self._folder, purge_step=step)
        self._writer.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
