"""Who asks for a WebSocket, where a library for them is installed, gets an answer and stays where he is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import server
from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import Hasty, serving

PATIENCE_SECONDS = 60.0
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
TO_A_SOCKET = (
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class WithoutTimes(asyncio.Protocol):
    """Stands for the library's: it has the connection from now on, and waits for ever."""

    def __init__(self, **_: object) -> None: ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


@pytest.fixture
def port(index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server as `serve` makes it, with times that a test can wait for."""
    monkeypatch.setattr("uvicorn.protocols.websockets.auto.AutoWebSocketsProtocol", WithoutTimes)
    monkeypatch.setattr(server, "allow_many_connections", lambda: None)
    monkeypatch.setattr(server, "Connection", Hasty)
    settings = Settings(index=index, threads=1)
    with serving(server._config(settings, create_app(settings))) as port:
        yield port


def test_it_gets_an_ordinary_answer_and_keeps_the_times_of_its_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        stream = connection.makefile("rb")
        for sent in (TO_A_SOCKET, TO_A_SOCKET.replace(UPGRADE, b"")):
            connection.sendall(sent)
            assert stream.readline().startswith(b"HTTP/1.1 200")
            headers = dict(line.split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
            stream.read(int(headers[b"content-length"]))
        connection.sendall(TO_A_SOCKET[:40])  # and never the rest
        assert stream.readline().startswith(b"HTTP/1.1 408")
