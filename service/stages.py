"""How long the stages of a query took, and how long it waited between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, TypeVar

import anyio
import anyio.to_thread

Stage = Literal["decode", "queue", "encode", "search"]
STAGES: tuple[Stage, ...] = ("decode", "queue", "encode", "search")

_T = TypeVar("_T")


@dataclass
class Stages:
    """Milliseconds of one query; `queue` is all its waiting."""

    ms: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    async def run(self, stage: Stage, work: Callable[[], _T], limiter: anyio.CapacityLimiter) -> _T:
        """Do the work on a worker thread, once the limiter has one to spare."""
        asked = perf_counter()

        def timed() -> tuple[float, _T, float]:
            started = perf_counter()
            return started, work(), perf_counter()

        started, result, ended = await anyio.to_thread.run_sync(timed, limiter=limiter)
        self.add(stage, started - asked, ended - started)
        return result

    def add(self, stage: Stage, queue_seconds: float, seconds: float) -> None:
        """So long in that stage, and so long waiting for it."""
        self.ms["queue"] += 1000 * queue_seconds
        self.ms[stage] += 1000 * seconds

    def join(self, shared: Stages) -> None:
        """Add what was done once for this query and others together."""
        for stage in STAGES:
            self.ms[stage] += shared.ms[stage]


def longest(several: Iterable[Stages]) -> Stages:
    """Of queries that ran side by side: in each stage the one that took longest."""
    ran = list(several)
    return Stages({stage: max((one.ms[stage] for one in ran), default=0.0) for stage in STAGES})
