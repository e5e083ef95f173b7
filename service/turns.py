"""A share of the event loop for queries that begin and for answers, so that no burst of them stops the rest.

To begin a query takes the loop as long as to turn away ten, and so does to write its answer. Two hundred at
once would keep it from everybody else, and from those most whom it only has to turn away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

SPACING_SECONDS = 0.008


class Turns:
    """What has to be done on the loop, in order: one thing in each of its turns, and one more for every
    `spacing_seconds` that the turn before took. So there is an end to waiting, however long its turns are.
    """

    def __init__(self, spacing_seconds: float = SPACING_SECONDS) -> None:
        self._spacing_seconds = spacing_seconds
        self._line: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn_began: float | None = None  # None while there is nothing to do

    def add(self, what: Callable[[], None]) -> None:
        """On the loop: it is done at once, unless another thing was in this turn."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what waited in one that has ended has ended with it
            self._loop, self._turn_began = loop, None
            self._line.clear()
        if self._turn_began is None:
            self._take_turn()
            what()
        else:
            self._line.append(what)

    async def mine(self) -> None:
        """Return when the caller's turn has come."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.add(lambda: None if turn.done() else turn.set_result(None))  # done: cancelled meanwhile
        if not turn.done():
            await turn

    def _take_turn(self) -> None:
        self._turn_began = perf_counter()
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        assert self._turn_began is not None
        took_seconds = perf_counter() - self._turn_began
        self._turn_began = None
        if not self._line:
            return
        self._take_turn()
        for _ in range(min(len(self._line), max(1, int(took_seconds / self._spacing_seconds)))):
            self._line.popleft()()
