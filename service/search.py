"""Query bytes to neighbours: let in by cost, decoded, encoded in batches, searched, all on one snapshot.

No HTTP here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from indexer.media import (
    Extent,
    MediaError,
    MediaLimits,
    Pixels,
    Waveform,
    decode_image,
    decode_speech,
    extent,
    sniff,
)
from indexer.store import CollectionName as Collection
from indexer.store import Hit
from service.admission import Admission, cost_of, extent_of
from service.batching import Batcher
from service.metrics import Metrics
from service.snapshot import Holder, Snapshot

Stage = Literal["decode", "queue", "encode", "search"]
STAGES: tuple[Stage, ...] = ("decode", "queue", "encode", "search")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Clip:
    """The query was a clip of so many seconds; `truncated` when the model hears only its beginning."""

    seconds: float
    truncated: bool


@dataclass(frozen=True)
class Picture:
    """The query was a picture of that size in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Indexed:
    """The query was an item of the index."""

    collection: Collection
    id: str


Query = Clip | Picture | Indexed


@dataclass(frozen=True)
class Neighbours:
    """The answer to a search: best hit first, all from `generation`."""

    query: Query
    target: Collection
    generation: str
    model: str
    hits: list[Hit]
    timings_ms: dict[Stage, float]


@dataclass(frozen=True)
class Embedded:
    """Vectors float32 [N, dim] in the order of the files, and what each file was."""

    files: list[Clip | Picture]
    vectors_ND: NDArray[np.float32]
    generation: str
    model: str
    timings_ms: dict[Stage, float]


class FileRefused(Exception):
    """One of several files cannot be used; says which, the cause says why."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


@dataclass
class _Stages:
    """How long the stages of one query took, and how long it waited between them."""

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
        self.ms["queue"] += 1000 * queue_seconds
        self.ms[stage] += 1000 * seconds


class Searcher:
    """All that a query needs. `cores` is how many are decoded, and how many searched, at once.

    Raises MediaError for bytes that cannot be used, UnknownItem, NotReady while nothing is served, and Busy
    when there is too much to do.
    """

    def __init__(
        self,
        holder: Holder,
        limits: MediaLimits,
        cores: int,
        admission: Admission,
        batcher: Batcher,
        metrics: Metrics,
    ) -> None:
        self._holder = holder
        self._limits = limits
        self._decoders = anyio.CapacityLimiter(cores)
        self._searchers = anyio.CapacityLimiter(cores)
        self._admission = admission
        self._batcher = batcher
        self._metrics = metrics

    async def search(self, data: bytes, target: Collection, k: int) -> Neighbours:
        """The k items of `target` nearest to a clip or a picture; which of the two is found out from the
        bytes.
        """
        stages = _Stages()
        with self._holder.borrow() as snapshot:
            spec = snapshot.media
            async with self._admission.admit(cost_of(extent(data), spec, k)) as ticket:
                media = await self._decode_aside(stages, data, snapshot)
                self._admission.settle(ticket, cost_of(extent_of(media), spec, k))
                vectors_1D = await self._encode(stages, snapshot, [media])
                hits = await stages.run(
                    "search", lambda: snapshot.generation.search(target, vectors_1D, k)[0], self._searchers
                )
            return self._neighbours(snapshot, _describe(media), target, hits, stages)

    async def neighbours(
        self, collection: Collection, item_id: str, target: Collection, k: int
    ) -> Neighbours:
        """The k items of `target` nearest to an indexed item, which is never its own neighbour."""
        stages = _Stages()
        with self._holder.borrow() as snapshot:

            def look() -> list[Hit]:
                vector_D = snapshot.generation.vector(collection, item_id)
                hits = snapshot.generation.search(target, vector_D[np.newaxis], k + (target == collection))[0]
                return [hit for hit in hits if target != collection or hit.id != item_id][:k]

            async with self._admission.admit(cost_of(Extent(), snapshot.media, k)):
                hits = await stages.run("search", look, self._searchers)
            return self._neighbours(snapshot, Indexed(collection, item_id), target, hits, stages)

    async def embed(self, files: Sequence[bytes]) -> Embedded:
        """The vector of each file. Raises FileRefused, caused by a MediaError, for the first that cannot be
        used.
        """
        stages = _Stages()
        with self._holder.borrow() as snapshot:
            spec = snapshot.media
            costs = []
            for position, data in enumerate(files):
                with _refused_as(position):
                    costs.append(cost_of(extent(data), spec, 0))
            async with self._admission.admit(sum(costs)) as ticket:
                media: list[Waveform | Pixels] = []
                for position, data in enumerate(files):
                    with _refused_as(position):
                        media.append(await self._decode_aside(stages, data, snapshot))
                    costs[position] = cost_of(extent_of(media[-1]), spec, 0)
                    self._admission.settle(ticket, sum(costs))
                vectors_ND = await self._encode(stages, snapshot, media)
            self._observe(stages)
            return Embedded([_describe(m) for m in media], vectors_ND, snapshot.id, snapshot.model, stages.ms)

    async def _decode_aside(self, stages: _Stages, data: bytes, snapshot: Snapshot) -> Waveform | Pixels:
        """Decode on a worker thread; the model may wait for it a little, to take it along."""
        with self._batcher.coming():
            return await stages.run("decode", lambda: self._decode(data, snapshot), self._decoders)

    def _decode(self, data: bytes, snapshot: Snapshot) -> Waveform | Pixels:
        decode = decode_speech if sniff(data).modality == "speech" else decode_image
        return decode(data, snapshot.media, self._limits)

    async def _encode(
        self, stages: _Stages, snapshot: Snapshot, media: Sequence[Waveform | Pixels]
    ) -> NDArray[np.float32]:
        """Float32 [N, dim] in the order given."""
        encoded = await asyncio.gather(*(self._batcher.submit(snapshot.encoder, one) for one in media))
        # They ran side by side: the longest is what the request waited for.
        stages.add("encode", max(e.queue_seconds for e in encoded), max(e.encode_seconds for e in encoded))
        return np.stack([one.vector_D for one in encoded])

    def _neighbours(
        self, snapshot: Snapshot, query: Query, target: Collection, hits: list[Hit], stages: _Stages
    ) -> Neighbours:
        self._observe(stages)
        return Neighbours(query, target, snapshot.id, snapshot.model, hits, stages.ms)

    def _observe(self, stages: _Stages) -> None:
        for stage, milliseconds in stages.ms.items():
            self._metrics.stage_seconds.labels(stage).observe(milliseconds / 1000)


@contextmanager
def _refused_as(position: int) -> Iterator[None]:
    """A MediaError of the file at `position` says so."""
    try:
        yield
    except MediaError as error:
        raise FileRefused(position) from error


def _describe(media: Waveform | Pixels) -> Clip | Picture:
    if isinstance(media, Waveform):
        return Clip(round(media.source_seconds, 3), media.truncated)
    return Picture(media.source_width, media.source_height)
