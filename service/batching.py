"""Inputs of several requests through the model in one run: collected between decode and encode.

Nothing waits for company while there is none to come: a run starts as soon as a lane is free, and waits, at
most `wait_seconds`, only while something is being decoded that could join. Inputs run together when they are
of one encoder, one modality and one bucket of length, so that nobody pays for another's padding; the oldest
goes first. What is sought with the vectors is found in the same run. Where there is nothing else to do, an
input need not change threads: it runs where it was decoded.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import anyio

from indexer.encoder import Encoder
from indexer.media import Pixels, Waveform
from service.crew import Crew
from service.metrics import Metrics
from service.stages import Took
from service.together import Encoded, Sought, Waiting, modality_of, run_together
from service.tracing import Traces
from service.turns import Turns

LANES = 2
"""Runs at once, at most: one is made ready, searched and handed out while the model is at the other."""


@dataclass(eq=False)
class Coming:
    """An input on its way to the model."""

    deadline: float  # in the event loop's time
    answer: asyncio.Future[Encoded]

    def arrived(self, encoder: Encoder, media: Waveform | Pixels, sought: Sought | None) -> Waiting:
        like = id(encoder), modality_of(media), encoder.bucket(media)
        return Waiting(encoder, media, sought, like, perf_counter(), self.deadline, self.answer)


class Batcher:
    """Asked on one event loop. A lane is a thread that takes run after run by itself: however much the loop
    has to do, the model is kept busy. Answers are handed out in `turns`, which others may take, too.
    """

    def __init__(
        self,
        wait_seconds: float,
        metrics: Metrics,
        traces: Traces | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._traces = traces
        self._crew = Crew(LANES, "lane")
        self._turns = turns or Turns()
        self._changed = threading.Condition()  # holds the four below together
        self._waiting: list[Waiting] = []
        self._coming: set[Coming] = set()
        self._at_work = 0  # of the lanes
        self._is_one_alone = False  # an input runs where it was decoded

    @contextmanager
    def coming(self) -> Iterator[Coming]:
        """While the block lasts, an input is on its way, and a run may wait for it."""
        coming = _coming()
        with self._changed:
            self._coming.add(coming)
        try:
            yield coming
        finally:
            with self._changed:
                self._coming.discard(coming)
                self._changed.notify_all()

    def close(self) -> None:
        """Let the threads go."""
        self._crew.close()

    def submit(
        self, encoder: Encoder, media: Waveform | Pixels, sought: Sought | None = None, lanes: int = LANES
    ) -> asyncio.Future[Encoded]:
        """The vector of one input and what is sought with it, to be awaited in the calling task: cancelled
        with it, or past its deadline, the input is not encoded. No lane beyond so many is set to work for it.
        Raises what the encoder raises for this one, or the search.
        """
        coming = _coming()
        with self._changed:
            self._waiting.append(coming.arrived(encoder, media, sought))
            self._changed.notify_all()
            if self._at_work >= max(1, lanes - self._is_one_alone):
                return coming.answer
            self._at_work += 1
        self._crew.run(self._run_lane)
        return coming.answer

    def is_alone(self, coming: Coming) -> bool:
        """Whether nothing else is on its way or at work."""
        with self._changed:
            return self._has_no_company(coming)

    def at_once(
        self, coming: Coming, encoder: Encoder, media: Waveform | Pixels, sought: Sought | None
    ) -> Encoded | None:
        """As `submit` does, but in the calling thread, for what was coming and is there; None when there is
        company, or nobody waits for it any more: its deadline is over, or its block.
        """
        one = coming.arrived(encoder, media, sought)
        with self._changed:
            if not self._has_no_company(coming) or one.is_too_late():
                return None
            self._coming.clear()  # nobody is to wait for it
            self._is_one_alone = True
        try:
            result = self._run([one])[0]
        finally:
            with self._changed:
                self._is_one_alone = False
        if isinstance(result, Exception):
            raise result
        return result

    def _has_no_company(self, coming: Coming) -> bool:
        return self._coming == {coming} and not self._at_work and not self._is_one_alone

    def _run_lane(self) -> None:
        """Run after run until nothing waits."""
        while batch := self._next_or_leave():
            try:
                results = self._run(batch)
            except Exception as error:  # noqa: BLE001 - no fault of an input's, and they are not to wait for it
                results = [error] * len(batch)
            try:
                batch[0].answer.get_loop().call_soon_threadsafe(self._hand_out, batch, results)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
                continue

    def _next_or_leave(self) -> list[Waiting]:
        """Nothing when the lane has ended: in one step, for what comes then is to begin a new one."""
        with self._changed:
            batch: list[Waiting] = []
            try:
                batch = self._next()
            finally:
                if not batch:
                    self._at_work -= 1
            return batch

    def _run(self, batch: list[Waiting]) -> list[Encoded | Exception]:
        modality = modality_of(batch[0].media)
        self._metrics.batch_size.labels(modality).observe(len(batch))
        results = run_together(batch)
        return results if self._traces is None else _traced(self._traces, results, modality)

    def _hand_out(self, batch: list[Waiting], results: list[Encoded | Exception]) -> None:
        """On the event loop: everybody gets theirs, when the loop has a turn for what they do with it."""
        for one, result in zip(batch, results, strict=True):
            self._turns.add(partial(_give, one, result))

    def _next(self) -> list[Waiting]:
        """What runs next, or nothing when nothing waits. Lets go of the lock while it waits for company."""
        while True:
            self._waiting = [one for one in self._waiting if not one.is_too_late()]
            if not self._waiting:
                return []
            oldest = self._waiting[0]
            room = oldest.encoder.fits(oldest.media)
            batch = [one for one in self._waiting if one.like == oldest.like][:room]
            left = oldest.arrived + self._wait_seconds - perf_counter()
            if len(batch) == room or not self._coming or left <= 0:
                taken = set(batch)
                self._waiting = [one for one in self._waiting if one not in taken]
                return batch
            self._changed.wait(left)


def _coming() -> Coming:
    """What the calling task waits for from now on."""
    return Coming(anyio.current_effective_deadline(), asyncio.get_running_loop().create_future())


def _give(one: Waiting, result: Encoded | Exception) -> None:
    if one.answer.done():
        return  # cancelled meanwhile
    if isinstance(result, Encoded):
        one.answer.set_result(result)
    else:
        one.answer.set_exception(result)


def _traced(traces: Traces, results: list[Encoded | Exception], modality: str) -> list[Encoded | Exception]:
    """The results of a run, each with the span of the run."""
    done = [one for one in results if isinstance(one, Encoded)]
    if not done:
        return results
    took = Took(done[0].took.started, done[0].took.started, done[-1].took.ended)
    run = traces.run(modality, len(done), took)
    return [
        replace(one, took=one.took._replace(run=run)) if isinstance(one, Encoded) else one for one in results
    ]
