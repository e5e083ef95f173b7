"""`AsyncClient`: the methods of `Client`, to be awaited, in one asyncio event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sized
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from indexer.collection import CollectionName as Collection
from indexer.progress import Progress, Silent
from service.client import calls
from service.client.batches import Outcome, Tally, ask, batches
from service.client.exchange import Conversation, Retries, converse
from service.client.media import Media, MediaFile, read_media
from service.client.message import Call, Lost, Reply, Request
from service.client.transport import Server, lost, replied, sent
from service.schemas import (
    EmbeddingsAnswer,
    GenerationsAnswer,
    IndexAnswer,
    ItemAnswer,
    ItemSummary,
    LimitsAnswer,
    MapAnswer,
    SearchAnswer,
    SwapAnswer,
)

_T = TypeVar("_T")


class AsyncClient:
    """A server's calls. Every method raises a ClientError; `service.client.errors` has the tree of them."""

    def __init__(
        self,
        server: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: Retries = Retries(),  # noqa: B008  frozen
    ) -> None:
        """`timeout_s`: how long one try may wait for the server to go on; a promotion has a time of its own.
        Nothing is sent yet.
        """
        self._server = Server(server, key, timeout_s)
        self._retries = retries
        self._http = httpx2.AsyncClient(**self._server.options())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def search(self, media: Media, target: Collection = "images", k: int | None = None) -> SearchAnswer:
        """The k items of `target` nearest to a clip or a picture; the server's default_k if not said."""
        return await self._run(calls.search(await _read(media), target, k))

    async def search_many(
        self,
        every: Iterable[Media],
        target: Collection = "images",
        k: int | None = None,
        *,
        in_flight: int = 4,
        progress: Progress | None = None,
    ) -> AsyncIterator[Outcome]:
        """As `Client.search_many`."""
        limits = await self.limits()
        at_once = 1 if limits.rate_limit else max(1, in_flight)
        total = len(every) if isinstance(every, Sized) else None
        waiting: deque[asyncio.Task[list[Outcome]]] = deque()
        with (progress or Silent()).stage("search", total) as stage:
            tally, coming = Tally(stage), batches(every, limits)
            try:
                while batch := await asyncio.to_thread(next, coming, None):
                    if len(waiting) == at_once:
                        for outcome in tally.passing(await waiting.popleft()):
                            yield outcome
                    steps = ask(batch, target, k, self._retries)
                    waiting.append(asyncio.create_task(self._hold(steps)))
                while waiting:
                    for outcome in tally.passing(await waiting.popleft()):
                        yield outcome
            finally:
                for one in waiting:
                    one.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

    async def neighbours(
        self,
        collection: Collection,
        item_id: str,
        target: Collection | None = None,
        k: int | None = None,
    ) -> SearchAnswer:
        """The items nearest to an indexed one; of the other collection, if no target is said."""
        return await self._run(calls.neighbours(collection, item_id, target, k))

    async def items(self, collection: Collection, page_size: int | None = None) -> AsyncIterator[ItemSummary]:
        """Every item of a collection in the order of ids, fetched by pages."""
        cursor: str | None = None
        while True:
            page = await self._run(calls.items(collection, page_size, cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def item(self, collection: Collection, item_id: str) -> ItemAnswer:
        """What is known of one item."""
        return await self._run(calls.item(collection, item_id))

    async def media(self, collection: Collection, item_id: str) -> MediaFile:
        """The bytes of an item, as they were indexed."""
        return await self._run(calls.media(collection, item_id))

    async def embeddings(self, *every: Media) -> EmbeddingsAnswer:
        """The vector of each clip or picture; one that cannot be used refuses all."""
        return await self._run(calls.embeddings([await _read(media) for media in every]))

    async def index(self) -> IndexAnswer:
        """What is being served."""
        return await self._run(calls.index())

    async def limits(self) -> LimitsAnswer:
        """Every limit in force."""
        return await self._run(calls.limits())

    async def map(self) -> MapAnswer:
        """The items on a map of the joint space, where the index was built with one."""
        return await self._run(calls.map_())

    async def generations(self) -> GenerationsAnswer:
        """The generations there are, newest first; takes an operator key."""
        return await self._run(calls.generations())

    async def promote(self, generation: str, *, timeout_s: float = calls.SWAP_TIMEOUT_S) -> SwapAnswer:
        """Serve another generation, by its id, newest or current; takes an operator key. Never sent twice.

        The server loads, verifies and warms it first, so `timeout_s` is this call's own.
        """
        return await self._run(calls.promote(generation, timeout_s))

    async def rollback(self, *, timeout_s: float = calls.SWAP_TIMEOUT_S) -> SwapAnswer:
        """Serve again what was served before, as `promote` does; takes an operator key. Never sent twice."""
        return await self._run(calls.rollback(timeout_s))

    async def _run(self, call: Call[_T]) -> _T:
        return await self._hold(converse(call, self._retries))

    async def _hold(self, steps: Conversation[_T]) -> _T:
        """Do what the conversation asks for until it ends."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Request):
                    step = steps.send(await self._send(step))
                else:
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
        except StopIteration as ended:
            answer: _T = ended.value
            return answer

    async def _send(self, request: Request) -> Reply | Lost:
        try:
            return replied(await self._http.request(**sent(request)))
        except httpx2.HTTPError as error:
            return lost(self._server, request, error)


async def _read(media: Media) -> bytes:
    return await asyncio.to_thread(read_media, media)
