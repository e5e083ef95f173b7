"""Turns of the event loop for queries that were let in: a burst of them is begun one by one.

To begin a query takes the loop as long as to turn away ten. Two hundred begun at once would keep it for a
third of a second from everybody else, and from those most whom it only has to turn away.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A line where who came first is served first, one in each turn of the loop."""

    def __init__(self) -> None:
        self._line: deque[asyncio.Future[None]] = deque()
        self._is_given = False  # the turn that the loop is at

    def __len__(self) -> int:
        """How many wait for theirs."""
        return len(self._line)

    async def mine(self) -> None:
        """Return when it has come: at once, unless the loop's turn was given to another one."""
        loop = asyncio.get_running_loop()
        if self._is_given:
            turn: asyncio.Future[None] = loop.create_future()
            self._line.append(turn)
            await turn
        else:
            self._is_given = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_given = False
        while self._line and not self._is_given:
            turn = self._line.popleft()
            if not turn.done():  # not cancelled meanwhile
                turn.set_result(None)
                self._is_given = True
                asyncio.get_running_loop().call_soon(self._next)
