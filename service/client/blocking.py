"""`Client`: the service's calls as methods that return when they are answered. May be shared by threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
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


class Client:
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
        self._http = httpx2.Client(**self._server.options())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def search(self, media: Media, target: Collection = "images", k: int | None = None) -> SearchAnswer:
        """The k items of `target` nearest to a clip or a picture; the server's default_k if not said."""
        return self._run(calls.search(read_media(media), target, k))

    def search_many(
        self,
        every: Iterable[Media],
        target: Collection = "images",
        k: int | None = None,
        *,
        in_flight: int = 4,
        progress: Progress | None = None,
    ) -> Iterator[Outcome]:
        """What became of each file, in their order: an answer, or an error that is its own.

        Files are read when their turn comes and go in batches, at most `in_flight` of them at a time, one
        where the server limits rates. Raises only when the server cannot be asked at all.
        """
        limits = self.limits()
        at_once = 1 if limits.rate_limit else max(1, in_flight)
        total = len(every) if isinstance(every, Sized) else None
        given_up = threading.Event()
        waiting: deque[Future[list[Outcome]]] = deque()
        with ThreadPoolExecutor(at_once) as pool, (progress or Silent()).stage("search", total) as stage:
            tally = Tally(stage)
            try:
                for batch in batches(every, limits):
                    if len(waiting) == at_once:
                        yield from tally.passing(waiting.popleft().result())
                    steps = ask(batch, target, k, self._retries)
                    waiting.append(pool.submit(self._hold, steps, given_up))
                while waiting:
                    yield from tally.passing(waiting.popleft().result())
            finally:
                given_up.set()
                for one in waiting:
                    one.cancel()

    def neighbours(
        self,
        collection: Collection,
        item_id: str,
        target: Collection | None = None,
        k: int | None = None,
    ) -> SearchAnswer:
        """The items nearest to an indexed one; of the other collection, if no target is said."""
        return self._run(calls.neighbours(collection, item_id, target, k))

    def items(self, collection: Collection, page_size: int | None = None) -> Iterator[ItemSummary]:
        """Every item of a collection in the order of ids, fetched by pages."""
        cursor: str | None = None
        while True:
            page = self._run(calls.items(collection, page_size, cursor))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def item(self, collection: Collection, item_id: str) -> ItemAnswer:
        """What is known of one item."""
        return self._run(calls.item(collection, item_id))

    def media(self, collection: Collection, item_id: str) -> MediaFile:
        """The bytes of an item, as they were indexed."""
        return self._run(calls.media(collection, item_id))

    def embeddings(self, *every: Media) -> EmbeddingsAnswer:
        """The vector of each clip or picture; one that cannot be used refuses all."""
        return self._run(calls.embeddings([read_media(media) for media in every]))

    def index(self) -> IndexAnswer:
        """What is being served."""
        return self._run(calls.index())

    def limits(self) -> LimitsAnswer:
        """Every limit in force."""
        return self._run(calls.limits())

    def map(self) -> MapAnswer:
        """The items on a map of the joint space, where the index was built with one."""
        return self._run(calls.map_())

    def generations(self) -> GenerationsAnswer:
        """The generations there are, newest first; takes an operator key."""
        return self._run(calls.generations())

    def promote(self, generation: str, *, timeout_s: float = calls.SWAP_TIMEOUT_S) -> SwapAnswer:
        """Serve another generation, by its id, newest or current; takes an operator key. Never sent twice.

        The server loads, verifies and warms it first, so `timeout_s` is this call's own.
        """
        return self._run(calls.promote(generation, timeout_s))

    def rollback(self, *, timeout_s: float = calls.SWAP_TIMEOUT_S) -> SwapAnswer:
        """Serve again what was served before, as `promote` does; takes an operator key. Never sent twice."""
        return self._run(calls.rollback(timeout_s))

    def _run(self, call: Call[_T]) -> _T:
        return self._hold(converse(call, self._retries))

    def _hold(self, steps: Conversation[_T], given_up: threading.Event | None = None) -> _T:
        """Do what the conversation asks for until it ends; CancelledError when given up during a pause."""
        pausing = given_up or threading.Event()
        try:
            step = next(steps)
            while True:
                if isinstance(step, Request):
                    step = steps.send(self._send(step))
                elif pausing.wait(step.seconds):
                    raise CancelledError
                else:
                    step = next(steps)
        except StopIteration as ended:
            answer: _T = ended.value
            return answer

    def _send(self, request: Request) -> Reply | Lost:
        try:
            return replied(self._http.request(**sent(request)))
        except httpx2.HTTPError as error:
            return lost(self._server, request, error)
