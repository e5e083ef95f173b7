"""Query bytes to neighbours: let in by cost, decoded, encoded in batches, searched, all on one snapshot.

No HTTP here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import anyio
import numpy as np
from numpy.typing import NDArray

from indexer.encoder import EncoderError
from indexer.media import (
    Extent,
    MediaError,
    MediaLimits,
    NoRoom,
    Pixels,
    Waveform,
    extent,
)
from indexer.store import CollectionName as Collection
from indexer.store import Hit
from service.account import current
from service.admission import Admission
from service.batching import Batcher
from service.costs import Prices, extent_of, within
from service.found import Clip, Embedded, FileRefused, Indexed, Neighbours, Picture, Query, Several
from service.snapshot import Holder, Snapshot
from service.stages import Stages, longest
from service.together import Sought
from service.way import Way

UNUSABLE = (MediaError, NoRoom, EncoderError)
"""What may be wrong with one file of several while the others are answered."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Sound:
    """One file of several that could be used: what it is, its vector float32 [dim], how long it took."""

    query: Clip | Picture
    vector_D: NDArray[np.float32]
    stages: Stages


class Searcher:
    """All that a query needs. `cores` is how many are decoded at once.

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
    ) -> None:
        self._holder = holder
        self._limits = limits
        self._admission = admission
        self._way = Way(limits, cores, batcher)

    def close(self) -> None:
        """Let the threads go."""
        self._way.close()

    async def search(self, data: bytes, target: Collection, k: int) -> Neighbours:
        """The k items of `target` nearest to a clip or a picture; which of the two is found out from the
        bytes.
        """
        stages = current().query()
        with self._holder.borrow() as snapshot:
            prices = snapshot.prices
            claimed = within(self._limits, extent(data))
            async with self._admission.admit(prices.of(claimed, k)) as ticket:
                sought = Sought(snapshot.generation, target, k)
                media, found = await self._way.decode_or_all(stages, data, snapshot, sought)
                self._admission.settle(ticket, prices.of(extent_of(media), k))
                if found is None:
                    found = await self._way.encode(stages, media, snapshot, sought)
            return _neighbours(snapshot, _describe(media), target, found.hits, stages)

    async def neighbours(
        self, collection: Collection, item_id: str, target: Collection, k: int
    ) -> Neighbours:
        """The k items of `target` nearest to an indexed item, which is never its own neighbour."""
        stages = current().query()
        with self._holder.borrow() as snapshot:

            def look() -> list[Hit]:
                vector_D = snapshot.generation.vector(collection, item_id)
                hits = snapshot.generation.search(target, vector_D[np.newaxis], k + (target == collection))[0]
                return [hit for hit in hits if target != collection or hit.id != item_id][:k]

            async with self._admission.admit(snapshot.prices.of(Extent(), k)):
                hits = await stages.run("search", look, self._way.crew)
            return _neighbours(snapshot, Indexed(collection, item_id), target, hits, stages)

    async def search_each(self, files: Sequence[bytes], target: Collection, k: int) -> Several:
        """As `search` does, for each file by itself, all let in as one and on one snapshot. A file that
        cannot be used gets the reason, one of UNUSABLE, in place of neighbours.
        """
        with self._holder.borrow() as snapshot:
            costs = [_cost_or_fault(data, snapshot.prices, self._limits, k) for data in files]
            async with self._embedded(snapshot, files, costs, k) as embedded:
                sound = [one for one in embedded if isinstance(one, _Sound)]
                found = iter(await self._search_together(snapshot, target, sound, k))
            results = [
                _neighbours(snapshot, one.query, target, next(found), one.stages)
                if isinstance(one, _Sound)
                else one
                for one in embedded
            ]
            whole = longest(one.stages for one in sound)
            return Several(results, target, snapshot.id, snapshot.model, whole.ms)

    async def embed(self, files: Sequence[bytes]) -> Embedded:
        """The vector of each file. Raises FileRefused, caused by one of UNUSABLE, for the first that cannot
        be used.
        """
        with self._holder.borrow() as snapshot:
            costs = [_cost_or_fault(data, snapshot.prices, self._limits, 0) for data in files]
            _all_sound(costs)  # a fault seen at a glance, before anything is done for the others
            async with self._embedded(snapshot, files, costs, 0) as embedded:
                sound = _all_sound(embedded)
            whole = longest(one.stages for one in sound)
            vectors_ND = np.stack([one.vector_D for one in sound])
            return Embedded([one.query for one in sound], vectors_ND, snapshot.id, snapshot.model, whole.ms)

    @asynccontextmanager
    async def _embedded(
        self,
        snapshot: Snapshot,
        files: Sequence[bytes],
        costs: Sequence[float | Exception],
        neighbours: int,
    ) -> AsyncIterator[list[_Sound | Exception]]:
        """Each file's vector or fault; all are let in as one by what they cost, the block's work included."""
        done: dict[int, _Sound | Exception] = {}
        spent = [0.0 if isinstance(cost, Exception) else cost for cost in costs]

        async def embed(position: int) -> None:
            stages, began = current().query(), perf_counter()
            try:
                media = await self._way.decode(stages, files[position], snapshot)
                spent[position] = snapshot.prices.of(extent_of(media), neighbours)
                self._admission.settle(ticket, sum(spent))
                encoded = await self._way.encode(stages, media, snapshot)
                done[position] = _Sound(_describe(media), encoded.vector_D, stages)
            except UNUSABLE as fault:
                done[position] = fault
                spent[position] = self._admission.in_vain(spent[position], perf_counter() - began)
                self._admission.settle(ticket, sum(spent))

        async with self._admission.admit(sum(spent)) as ticket:
            async with anyio.create_task_group() as tasks:
                for position, cost in enumerate(costs):
                    if isinstance(cost, Exception):
                        done[position] = cost
                    else:
                        tasks.start_soon(embed, position)
            yield [done[position] for position in range(len(files))]

    async def _search_together(
        self, snapshot: Snapshot, target: Collection, sound: Sequence[_Sound], k: int
    ) -> list[list[Hit]]:
        """The neighbours of each, from one search; its time is that of every one."""
        if not sound:
            return []
        shared, vectors_ND = Stages(times=current().times), np.stack([one.vector_D for one in sound])
        found = await shared.run(
            "search", lambda: snapshot.generation.search(target, vectors_ND, k), self._way.crew
        )
        for one in sound:
            one.stages.join(shared)
        return found


def _cost_or_fault(data: bytes, prices: Prices, limits: MediaLimits, neighbours: int) -> float | Exception:
    """What a file may cost, or what is wrong with it at a glance."""
    try:
        return prices.of(within(limits, extent(data)), neighbours)
    except MediaError as fault:
        return fault


def _all_sound(each: Sequence[_T | Exception]) -> list[_T]:
    """All of them, or FileRefused for the first that is a fault."""
    sound = []
    for position, one in enumerate(each):
        if isinstance(one, Exception):
            raise FileRefused(position) from one
        sound.append(one)
    return sound


def _describe(media: Waveform | Pixels) -> Clip | Picture:
    if isinstance(media, Waveform):
        return Clip(round(media.source_seconds, 3), media.truncated)
    return Picture(media.source_width, media.source_height)


def _neighbours(
    snapshot: Snapshot, query: Query, target: Collection, hits: list[Hit], stages: Stages
) -> Neighbours:
    return Neighbours(query, target, snapshot.id, snapshot.model, hits, stages.ms)
