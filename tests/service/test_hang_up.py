"""A client that stays is answered; one that goes, or sends what nobody wants, ends its own work alone."""

import asyncio

import anyio
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.admission import Overloaded
from service.body_limit import BodyTooLarge
from service.hang_up import while_connected
from tests.fixtures.own_loop import run_async


def _asks(told: Message | Exception | None) -> Request:
    """A request whose client does this next, or nothing."""

    async def receive() -> Message:
        if told is None:
            await asyncio.Event().wait()
        if isinstance(told, Exception):
            raise told
        assert told is not None
        return told

    return Request({"type": "http"}, receive)


@pytest.mark.parametrize(
    "told", [{"type": "http.disconnect"}, BodyTooLarge(10), Overloaded("There is no room.", 1.0)]
)
def test_work_ends_with_the_client(told: Message | Exception) -> None:
    async def test() -> None:
        with pytest.raises(ClientDisconnect):
            async with while_connected(_asks(told)):
                await anyio.sleep_forever()

    run_async(test)


def test_work_for_a_client_that_stays_is_done() -> None:
    async def test() -> None:
        async with while_connected(_asks(None)):
            await asyncio.sleep(0)

    run_async(test)
