"""Query bytes to neighbours: decode, encode, search on worker threads, all on one snapshot. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from indexer.media import MediaLimits, MediaSpec, Pixels, Waveform, decode_image, decode_speech, sniff
from indexer.store import CollectionName as Collection
from indexer.store import Hit
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
    """Runs the stages of one query on worker threads, and notes how long each took and how long it waited."""

    limiter: anyio.CapacityLimiter
    ms: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    async def run(self, stage: Stage, work: Callable[[], _T]) -> _T:
        asked = perf_counter()

        def timed() -> tuple[float, _T, float]:
            started = perf_counter()
            return started, work(), perf_counter()

        started, result, ended = await anyio.to_thread.run_sync(timed, limiter=self.limiter)
        self.ms["queue"] += 1000 * (started - asked)
        self.ms[stage] += 1000 * (ended - started)
        return result


class Searcher:
    """All that a query needs. `cores` is how many stages run at once; the others wait, which is measured.

    Raises MediaError for bytes that cannot be used, UnknownItem, and NotReady while nothing is served.
    """

    def __init__(self, holder: Holder, limits: MediaLimits, cores: int, metrics: Metrics) -> None:
        self._holder = holder
        self._limits = limits
        self._limiter = anyio.CapacityLimiter(cores)
        self._metrics = metrics

    async def search(self, data: bytes, target: Collection, k: int) -> Neighbours:
        """The k items of `target` nearest to a clip or a picture; which of the two is found out from the
        bytes.
        """
        stages = _Stages(self._limiter)
        with self._holder.borrow() as snapshot:
            media = await stages.run("decode", lambda: self._decode(data, snapshot))
            vectors_1D = await self._encode(stages, snapshot, [media])
            hits = await stages.run("search", lambda: snapshot.generation.search(target, vectors_1D, k)[0])
            return self._neighbours(snapshot, _describe(media), target, hits, stages)

    async def neighbours(
        self, collection: Collection, item_id: str, target: Collection, k: int
    ) -> Neighbours:
        """The k items of `target` nearest to an indexed item, which is never its own neighbour."""
        stages = _Stages(self._limiter)
        with self._holder.borrow() as snapshot:

            def look() -> list[Hit]:
                vector_D = snapshot.generation.vector(collection, item_id)
                hits = snapshot.generation.search(target, vector_D[np.newaxis], k + (target == collection))[0]
                return [hit for hit in hits if target != collection or hit.id != item_id][:k]

            hits = await stages.run("search", look)
            return self._neighbours(snapshot, Indexed(collection, item_id), target, hits, stages)

    async def embed(self, files: Sequence[bytes]) -> Embedded:
        """The vector of each file. Raises FileRefused, caused by a MediaError, for the first that cannot be
        used.
        """
        stages = _Stages(self._limiter)
        with self._holder.borrow() as snapshot:
            media: list[Waveform | Pixels] = []
            for position, data in enumerate(files):
                try:
                    media.append(await stages.run("decode", partial(self._decode, data, snapshot)))
                except ValueError as error:
                    raise FileRefused(position) from error
            vectors_ND = await self._encode(stages, snapshot, media)
            self._observe(stages)
            return Embedded([_describe(m) for m in media], vectors_ND, snapshot.id, snapshot.model, stages.ms)

    def _decode(self, data: bytes, snapshot: Snapshot) -> Waveform | Pixels:
        spec: MediaSpec = snapshot.generation.bundle.manifest.media
        decode = decode_speech if sniff(data).modality == "speech" else decode_image
        return decode(data, spec, self._limits)

    async def _encode(
        self, stages: _Stages, snapshot: Snapshot, media: Sequence[Waveform | Pixels]
    ) -> NDArray[np.float32]:
        """Float32 [N, dim] in the order given. The seam where batching across requests belongs."""
        clips = [n for n, m in enumerate(media) if isinstance(m, Waveform)]
        pictures = [n for n, m in enumerate(media) if isinstance(m, Pixels)]
        vectors_ND = np.empty((len(media), snapshot.encoder.dim), dtype=np.float32)
        if clips:
            waveforms = [m for m in media if isinstance(m, Waveform)]
            vectors_ND[clips] = await stages.run("encode", lambda: snapshot.encoder.speech(waveforms))
        if pictures:
            pixels = [m for m in media if isinstance(m, Pixels)]
            vectors_ND[pictures] = await stages.run("encode", lambda: snapshot.encoder.image(pixels))
        return vectors_ND

    def _neighbours(
        self, snapshot: Snapshot, query: Query, target: Collection, hits: list[Hit], stages: _Stages
    ) -> Neighbours:
        self._observe(stages)
        return Neighbours(query, target, snapshot.id, snapshot.model, hits, stages.ms)

    def _observe(self, stages: _Stages) -> None:
        for stage, milliseconds in stages.ms.items():
            self._metrics.stage_seconds.labels(stage).observe(milliseconds / 1000)


def _describe(media: Waveform | Pixels) -> Clip | Picture:
    if isinstance(media, Waveform):
        return Clip(round(media.source_seconds, 3), media.truncated)
    return Picture(media.source_width, media.source_height)
