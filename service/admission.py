"""The one point where work is let in: every query, whatever its shape, by its cost and until its deadline.

Costs count in seconds of speech. What is let in is expected to be done in time at the pace measured so far;
the rest is refused at once, with the time after which there will be room. Nothing here knows HTTP.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import NoReturn

import anyio

from indexer.media import MediaError
from service.metrics import Metrics

_HALF_LIFE_SECONDS = 3.0
_SLOWEST = 0.05
_WAITING_SHARE = 0.6  # of a deadline that may be spent waiting; the rest is for a pace that turns out slower
_BODY_SECONDS = 0.1  # in which most have come


class Busy(Exception):
    """There is more work waiting than can be done in time; `retry_seconds` says when to ask again."""

    def __init__(self, sentence: str, retry_seconds: float) -> None:
        super().__init__(sentence)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_seconds)))}


class Overloaded(Busy):
    """Turned away at once."""


class Expired(Busy):
    """Let in, and not done by its deadline."""


class Pace:
    """Cost done in a second of being busy, lately. Seeded by whoever has timed the model."""

    def __init__(self, per_second: float = 50.0) -> None:
        self.seed(per_second)

    @property
    def per_second(self) -> float:
        return max(_SLOWEST, self._cost / self._seconds)

    def seed(self, per_second: float) -> None:
        """Believe this until there is more to go by."""
        self._cost, self._seconds = per_second, 1.0

    def add(self, cost: float, seconds: float) -> None:
        """So much was done in so many seconds of being busy."""
        kept = 0.5 ** (seconds / _HALF_LIFE_SECONDS)
        self._cost = self._cost * kept + cost
        self._seconds = self._seconds * kept + seconds


class Ticket:
    """One piece of work that was let in. `cost` is put right once the media is decoded."""

    def __init__(self, cost: float) -> None:
        self.cost = cost


_place: ContextVar[object] = ContextVar("saysee_place", default=None)  # that of the query under way


class Admission:
    """Bounded three ways: in requests, in bytes of bodies, in the seconds that what waits will take."""

    def __init__(
        self, pace: Pace, *, deadline_seconds: float, max_waiting: int, max_bytes: int, metrics: Metrics
    ) -> None:
        self._pace = pace
        self._deadline_seconds = deadline_seconds
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._overloaded = metrics.turned_away.labels("overloaded")
        metrics.limits(max_waiting, self.longest_wait_seconds, deadline_seconds)
        self._tickets: set[Ticket] = set()
        self._places: dict[object, float] = {}  # of queries on their way: until when; the oldest first
        self._cost = 0.0
        self._bytes = 0
        self._counted_until = 0.0

    def knock(self, before: int = 0) -> None:
        """Raise Overloaded when there is no room for anything: asked before a body is read, and with so many
        others before it that have no place yet.
        """
        before += self._on_their_way()
        if len(self._tickets) + before >= self._max_waiting or self._seconds(0) > self.longest_wait_seconds:
            self._refuse(before=before)

    @contextmanager
    def place(self) -> Iterator[Callable[[], None]]:
        """Whoever found room when it knocked is counted until it is admitted in this block, so that no others
        are let in for the same room, to be refused late. What it gives is called when the body is read: from
        then on it counts no longer than most bodies take, for one that comes little by little keeps nobody
        out.
        """
        me = object()
        self._places[me] = math.inf
        token = _place.set(me)

        def read() -> None:
            self._places[me] = perf_counter() + _BODY_SECONDS

        try:
            yield read
        finally:
            self._places.pop(me, None)
            _place.reset(token)

    def hold(self, size_bytes: int) -> None:
        """So many bytes of bodies more, or less, are in memory. Raises Overloaded when they are too many."""
        self._bytes += size_bytes
        if size_bytes > 0 and self._bytes > self._max_bytes:
            self._turn_away("The server holds as many bytes of requests as it may.")

    @asynccontextmanager
    async def admit(self, cost: float) -> AsyncIterator[Ticket]:
        """Room for work of this cost. Raises Overloaded, or Expired when the deadline cuts the block off."""
        self._places.pop(_place.get(), None)
        is_full = len(self._tickets) >= self._max_waiting  # others on their way do not go first
        if is_full or (self._tickets and self._seconds(cost) > self.longest_wait_seconds):
            self._refuse(cost)
        ticket = Ticket(0.0)
        self._count()
        self._tickets.add(ticket)
        self.settle(ticket, cost)
        began = perf_counter()
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + self._deadline_seconds) as scope:
                yield ticket
                self._count(done=ticket.cost)
            if scope.cancelled_caught:
                self._metrics.turned_away.labels("expired").inc()
                raise Expired(
                    f"The answer was not ready within {self._deadline_seconds:g} s, because the server has "
                    "too much to do at this moment.",
                    self._seconds(0),
                )
        except anyio.get_cancelled_exc_class():
            self._counted_until = perf_counter()  # the client hung up: what was not finished tells no pace
            raise
        except Exception as error:  # whatever it is goes on; the pace hears of it
            if isinstance(error, MediaError) or isinstance(error.__cause__, MediaError):
                self._count(done=self.in_vain(ticket.cost, perf_counter() - began))
            raise
        finally:
            self._metrics.query_seconds.observe(perf_counter() - began)
            self._count()
            self._tickets.discard(ticket)
            self._cost = self._cost - ticket.cost if self._tickets else 0.0
            self._show()

    def settle(self, ticket: Ticket, cost: float) -> None:
        """What it really costs, now that it is known."""
        self._cost += cost - ticket.cost
        ticket.cost = cost
        self._show()

    def in_vain(self, cost: float, seconds: float) -> float:
        """What work counts for that ended after so long because its media cannot be used.

        Time well spent, or bad files would pass for a slow server; but no more was done than could be, or
        files that are refused at a glance would pass for a fast one.
        """
        return min(cost, self._pace.per_second * seconds)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is let in at the moment, nor on its way."""
        return not self._tickets and not self._on_their_way()

    @property
    def longest_wait_seconds(self) -> float:
        """How long what was let in may take together, for more to be let in."""
        return _WAITING_SHARE * self._deadline_seconds

    def _on_their_way(self) -> int:
        """How many have a place."""
        now = perf_counter()
        while self._places and self._places[oldest := next(iter(self._places))] < now:
            del self._places[oldest]
        return len(self._places)

    def _seconds(self, more: float) -> float:
        """How long all that was let in, and `more`, will take."""
        return (self._cost + more) / self._pace.per_second

    def _count(self, done: float = 0.0) -> None:
        """Tell the pace of the time since this was called last, if there was work in it."""
        now = perf_counter()
        if self._tickets:
            self._pace.add(done, now - self._counted_until)
        self._counted_until = now

    def _refuse(self, more: float = 0.0, before: int = 0) -> NoReturn:
        waiting = len(self._tickets) + before
        wait = "requests wait" if waiting > 1 else "request waits"
        said = f"The server has as much to do as it can do in time: {max(1, waiting):,} {wait}."
        self._turn_away(said, more)

    def _turn_away(self, sentence: str, more: float = 0.0) -> NoReturn:
        self._overloaded.inc()
        # Half of what waits now: room there will be earlier, but not for all who are told so.
        raise Overloaded(sentence, self._seconds(more) / 2)

    def _show(self) -> None:
        self._metrics.queue_requests.set(len(self._tickets))
        self._metrics.queue_seconds.set(self._seconds(0))
