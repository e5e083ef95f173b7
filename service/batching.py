"""Inputs of several requests through the model in one run: collected between decode and encode.

Nothing waits for company while there is none to come: a run starts as soon as a lane is free, and waits, at
most `wait_seconds`, only while something is being decoded that could join. Inputs run together when they are
of one encoder, one modality and one bucket of length, so that nobody pays for another's padding; the oldest
goes first. What is sought with the vectors is found in the same run, in one search for all who seek alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import anyio
import numpy as np
from numpy.typing import NDArray

from indexer.encoder import Encoder
from indexer.media import Pixels, Waveform
from indexer.store import CollectionName as Collection
from indexer.store import Generation, Hit
from service.crew import Crew
from service.metrics import Metrics
from service.stages import Took
from service.tracing import Traces

LANES = 2
"""Runs at once. The second is there when the first ends, so the model never waits for the event loop."""


@dataclass(frozen=True)
class Sought:
    """The k nearest items of a collection of one generation."""

    generation: Generation
    target: Collection
    k: int


@dataclass(frozen=True)
class Encoded:
    """A vector float32 [dim], what was found with it, and when each was asked for and worked on."""

    vector_D: NDArray[np.float32]
    took: Took
    hits: list[Hit] = field(default_factory=list)
    searched: Took | None = None


@dataclass(eq=False)
class _Waiting:
    encoder: Encoder
    media: Waveform | Pixels
    sought: Sought | None
    like: tuple[int, str, int]  # what inputs of one run have in common
    arrived: float
    deadline: float  # in the event loop's time
    answer: asyncio.Future[Encoded]


class Batcher:
    """All of it runs on the event loop but the runs themselves, which have threads of their own."""

    def __init__(self, wait_seconds: float, metrics: Metrics, traces: Traces | None = None) -> None:
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._traces = traces
        self._waiting: list[_Waiting] = []
        self._coming = 0
        self._changed = asyncio.Event()
        self._lanes: set[asyncio.Task[None]] = set()
        self._crew = Crew(LANES, "lane")

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While the block lasts, an input is on its way, and a run may wait for it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._changed.set()

    def close(self) -> None:
        """Let the threads go."""
        self._crew.close()

    def submit(
        self, encoder: Encoder, media: Waveform | Pixels, sought: Sought | None = None
    ) -> asyncio.Future[Encoded]:
        """The vector of one input and what is sought with it, to be awaited in the calling task: cancelled
        with it, or past its deadline, the input is not encoded. Raises what the encoder raises for this one,
        or the search.
        """
        answer: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()
        like = id(encoder), modality_of(media), encoder.bucket(media)
        deadline = anyio.current_effective_deadline()
        self._waiting.append(_Waiting(encoder, media, sought, like, perf_counter(), deadline, answer))
        self._changed.set()
        if len(self._lanes) < LANES:
            self._lanes.add(asyncio.create_task(self._run_lane()))
        return answer

    async def _run_lane(self) -> None:
        """Run after run until nothing waits."""
        try:
            while batch := await self._next():
                self._metrics.batch_size.labels(modality_of(batch[0].media)).observe(len(batch))
                results = await self._crew.run(partial(_run, batch))
                if self._traces is not None:
                    results = _traced(self._traces, results, modality_of(batch[0].media))
                for one, result in zip(batch, results, strict=True):
                    if one.answer.done():
                        continue  # cancelled meanwhile
                    if isinstance(result, Encoded):
                        one.answer.set_result(result)
                    else:
                        one.answer.set_exception(result)
        finally:
            # In the turn in which nothing was found to wait: what comes in the next must not count on a lane
            # that has ended.
            self._lanes -= {asyncio.current_task()}

    async def _next(self) -> list[_Waiting]:
        """What runs next, or nothing when nothing waits."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            self._waiting = [one for one in self._waiting if not one.answer.done() and now < one.deadline]
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
            self._changed.clear()
            with anyio.move_on_after(left):
                await self._changed.wait()


def modality_of(media: Waveform | Pixels) -> str:
    return "speech" if isinstance(media, Waveform) else "image"


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


def _run(batch: list[_Waiting]) -> list[Encoded | Exception]:
    """A result for each, in order. An input that fails a run of several fails it for itself alone."""
    started = perf_counter()
    try:
        vectors_ND = _encode(batch[0].encoder, [one.media for one in batch])
        ended = perf_counter()
        encoded = [
            Encoded(vector_D, Took(one.arrived, started, ended))
            for one, vector_D in zip(batch, vectors_ND, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - handed to the one who asked, whose request it ends
        if len(batch) == 1:
            return [error]
        return [result for one in batch for result in _run([one])]
    results: list[Encoded | Exception] = [*encoded]
    alike: dict[Sought, list[int]] = {}
    for position, one in enumerate(batch):
        if one.sought is not None:
            alike.setdefault(one.sought, []).append(position)
    for sought, positions in alike.items():
        started = perf_counter()
        try:
            found = sought.generation.search(sought.target, vectors_ND[positions], sought.k)
        except Exception as error:  # noqa: BLE001 - as above
            for position in positions:
                results[position] = error
            continue
        searched = Took(ended, started, perf_counter())
        for position, hits in zip(positions, found, strict=True):
            results[position] = replace(encoded[position], hits=hits, searched=searched)
    return results


def _encode(encoder: Encoder, media: Sequence[Waveform | Pixels]) -> NDArray[np.float32]:
    waveforms = [one for one in media if isinstance(one, Waveform)]
    pictures = [one for one in media if isinstance(one, Pixels)]
    return encoder.speech(waveforms) if waveforms else encoder.image(pictures)
