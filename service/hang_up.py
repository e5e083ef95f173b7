"""Work for a client ends when the client goes away: nobody reads its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from starlette.requests import ClientDisconnect, Request

from service.admission import Overloaded
from service.body_limit import BodyTooLarge

_LOOK_AFTER_SECONDS = 0.02  # most work is done by then, and a task to watch over it costs as much as the rest


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancels the block when the client hangs up, and raises ClientDisconnect. The body was read before."""
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        # A body where none belongs: nobody reads it, and the server hangs up.
        with suppress(BodyTooLarge, Overloaded):
            while (await request.receive())["type"] != "http.disconnect":
                pass
        scope.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    with anyio.CancelScope() as scope:
        timer = asyncio.get_running_loop().call_later(_LOOK_AFTER_SECONDS, begin)
        try:
            yield
        finally:
            timer.cancel()
            if watcher is not None:
                watcher.cancel()
    if scope.cancelled_caught:
        raise ClientDisconnect
