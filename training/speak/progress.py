"""A bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_PLAIN_LINE_SECONDS = 15.0


class Progress:
    """Counts `total` of something on stderr; a context manager."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._started = self._last_line = time.monotonic()
        self._bar: RichProgress | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and self._total:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self._title, total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        rate = self._done / max(now - self._started, 1e-6)
        if self._bar is not None:
            self._bar.update(self._task, advance=count, rate=f"{rate:.0f} {self._unit}/s")
        elif now - self._last_line >= _PLAIN_LINE_SECONDS:
            self._last_line = now
            left = (self._total - self._done) / rate
            print(
                f"{self._title}: {self._done} of {self._total} {self._unit}, {rate:.0f}/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
