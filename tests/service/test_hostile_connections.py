"""Clients that hold connections and give little for them: they are hung up on, and nothing of them stays.

`python -m tests.bench.hostile_connections` holds a thousand and more against a server of its own.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.connection import Connection
from service.settings import Settings
from tests.bench.load import closed_loop, queries
from tests.fixtures.hostile_clients import HOSTILE, besieged, open_sockets
from tests.fixtures.live_server import Hasty, live_server
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.own_loop import run_async

PATIENCE_SECONDS = 60.0  # far more than anything here takes
REQUESTS = queries("clips", [make_wav(0.5)])


@pytest.fixture(scope="module")
def app(index: Path) -> FastAPI:
    return create_app(Settings(index=index, threads=1))


@pytest.fixture(scope="module")
def hasty_port(app: FastAPI) -> Iterator[int]:
    with live_server(app, Hasty) as port:
        yield port


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.02)


def connections() -> int:
    """Objects of the server that anything still refers to."""
    gc.collect()
    return sum(issubclass(type(each), Connection) for each in gc.get_objects())


@pytest.mark.parametrize("name", HOSTILE)
def test_they_are_hung_up_on_and_leave_nothing(app: FastAPI, hasty_port: int, name: str) -> None:
    until(lambda: connections() == 0)
    sockets_before = open_sockets()

    async def test() -> None:
        # Each comes back only once the server has hung up, or it has gone by itself.
        await asyncio.gather(*(HOSTILE[name](hasty_port) for _ in range(10)))

    run_async(test, PATIENCE_SECONDS)
    admission = app.state.service.admission
    until(lambda: not admission._tickets and admission._bytes == 0)
    until(lambda: connections() == 0)
    until(lambda: open_sockets() <= sockets_before)


def test_searches_are_answered_among_hundreds_of_them(index: Path) -> None:
    app = create_app(Settings(index=index, threads=1))
    with live_server(app) as port:
        until(lambda: connections() == 0)
        sockets_before = open_sockets()

        async def test() -> None:
            async with besieged(port, dict.fromkeys(HOSTILE, 15) | {"ask_nothing": 200}):
                while connections() < 250:
                    await asyncio.sleep(0.1)
                answers = await closed_loop(port, REQUESTS, 2, 2.0)
                assert {answer.status for answer in answers} == {200}

        run_async(test, PATIENCE_SECONDS)
        until(lambda: connections() == 0)
        until(lambda: open_sockets() <= sockets_before)
