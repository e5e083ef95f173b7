"""What long work tells of itself while it runs: stages with a title, a total and a count. Prints nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stage(Protocol):
    """One stretch of work."""

    def reach(self, done: int, note: str = "") -> None:
        """Say how far it has come, of the total; `note` is what came of it so far, in a few words."""


class Progress(Protocol):
    """Something that shows stages to whoever waits."""

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Begin a stage; it is over when the context ends. `total` is None where it is not known."""


class Silent:
    """Shows nothing."""

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]:
        return nullcontext(_SilentStage())


class _SilentStage:
    def reach(self, done: int, note: str = "") -> None:
        """Nobody watches."""
