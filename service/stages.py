"""How long the stages of a query took, and how long it waited between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from service.crew import Crew

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

Stage = Literal["decode", "queue", "encode", "search"]
STAGES: tuple[Stage, ...] = ("decode", "queue", "encode", "search")

_T = TypeVar("_T")


class Took(NamedTuple):
    """When work was asked for, begun and ended, by perf_counter; `run` is the span of the run of the model
    that it was part of, where runs are traced.
    """

    asked: float
    started: float
    ended: float
    run: SpanContext | None = None


@dataclass
class Stages:
    """Milliseconds of one query in the stages it went through; `queue` is all waiting, `times` says when."""

    gone_through: dict[Stage, float] = field(default_factory=dict)
    times: list[tuple[Stage, Took]] = field(default_factory=list)
    ended: float = 0.0  # when the last of them did

    @property
    def ms(self) -> dict[Stage, float]:
        """Of every stage, 0 for those that it did not go through."""
        return {stage: self.gone_through.get(stage, 0.0) for stage in STAGES}

    async def run(self, stage: Stage, work: Callable[[], _T], crew: Crew) -> _T:
        """Have the work done by the crew; its time counts either way."""
        asked = perf_counter()
        result = await crew.run(lambda: self.time(stage, work, asked))
        self.go_on()
        return result

    def time(self, stage: Stage, work: Callable[[], _T], asked: float) -> _T:
        """Do the work that was asked for then; its time counts either way."""
        started = perf_counter()
        try:
            return work()
        finally:
            self.add(stage, Took(asked, started, perf_counter()))

    def add(self, stage: Stage, took: Took) -> None:
        """So long in that stage, and so long waiting for it."""
        self.times.append((stage, took))
        self._count("queue", 1000 * (took.started - took.asked))
        self._count(stage, 1000 * (took.ended - took.started))
        self.ended = took.ended

    def wait(self, seconds: float) -> None:
        """So long for a turn of the event loop."""
        self._count("queue", 1000 * seconds)

    def go_on(self) -> None:
        """The event loop has heard only now that the last stage is over."""
        self.wait(perf_counter() - self.ended)

    def join(self, shared: Stages) -> None:
        """Add what was done once for this query and others together."""
        for stage, ms in shared.gone_through.items():
            self._count(stage, ms)

    def _count(self, stage: Stage, ms: float) -> None:
        self.gone_through[stage] = self.gone_through.get(stage, 0.0) + ms


def longest(several: Iterable[Stages]) -> Stages:
    """Of queries that ran side by side: in each stage the one that took longest."""
    whole = Stages()
    for one in several:
        for stage, ms in one.gone_through.items():
            whole.gone_through[stage] = max(ms, whole.gone_through.get(stage, 0.0))
    return whole
