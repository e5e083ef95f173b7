"""Work for a client ends when the client goes away: nobody reads its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from starlette.requests import ClientDisconnect, Request

from service.admission import Overloaded
from service.body_limit import BodyTooLarge


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancels the block when the client hangs up, and raises ClientDisconnect. The body was read before."""

    async def watch() -> None:
        # A body where none belongs: nobody reads it, and the server hangs up.
        with suppress(BodyTooLarge, Overloaded):
            while (await request.receive())["type"] != "http.disconnect":
                pass
        scope.cancel()

    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
    if scope.cancelled_caught:
        raise ClientDisconnect
