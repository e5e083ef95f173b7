"""Queries refused where they come in: the same answer as the app's, and the connection goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from service.app import create_app, create_service
from service.settings import Settings
from service.turnstile import Turnstile
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.own_loop import run_async

CLIP = make_wav(0.5)
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def full(index: Path) -> Iterator[tuple[FastAPI, int]]:
    """A server that has no room, until it is given some."""
    app = create_app(Settings(index=index, threads=1, cors_origins="http://other.example"))
    admission = app.state.service.admission
    room, admission._max_waiting = admission._max_waiting, 0
    with live_server(app) as port:
        yield app, port
        admission._max_waiting = room


def post(path: str = "/v1/search/images", *lines: str, body: bytes = CLIP, method: str = "POST") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def answers(port: int, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """What is answered to requests sent one after the other over one connection."""
    got = []
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        stream = connection.makefile("rb")
        for request in requests:
            connection.sendall(request)
            status = int(stream.readline().split()[1])
            headers: dict[str, str] = {}
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            got.append((status, headers, stream.read(int(headers["content-length"]))))
    return got


def test_it_is_the_answer_that_the_app_would_give(
    full: tuple[FastAPI, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = full
    request = post("/v1/search/captions?k=3", "X-Request-ID: mine-1")
    ((status, headers, body),) = answers(port, request)
    monkeypatch.setattr(Turnstile, "refuses", lambda *_: None)
    ((by_app, app_headers, app_body),) = answers(port, request)
    assert (status, json.loads(body)) == (by_app, json.loads(app_body))
    assert status == 503
    assert json.loads(body)["request_id"] == "mine-1"
    for told in (headers, app_headers):
        told.pop("date", None)
    assert headers == app_headers


def test_the_connection_goes_on(full: tuple[FastAPI, int]) -> None:
    app, port = full
    live = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    large = post(body=bytes(3_000_000))
    chunked = (
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    )
    got = answers(port, post(), live, large, post(), chunked, live)
    assert [status for status, _, _ in got] == [503, 200, 503, 503, 503, 200]
    ids = [headers["x-request-id"] for _, headers, _ in got]
    assert len(set(ids)) == len(ids)
    admission = app.state.service.admission
    admission._max_waiting = 5
    try:
        assert [status for status, _, _ in answers(port, post(), post())] == [200, 200]
    finally:
        admission._max_waiting = 0
    assert answers(port, post())[0][0] == 503


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post("/v1/search/nothing"), 503),
        (post(method="GET"), 503),
        (post("/v1/search/images", "Upgrade: websocket", "Connection: Upgrade"), 503),
        (post("/v1/items/images/scene-0/neighbours", method="GET", body=b""), 503),
        (post("/v1/index/rollback", body=b""), 403),
        (post("/v1/limits", method="GET", body=b""), 200),
    ],
)
def test_the_rest_is_left_to_the_app(
    full: tuple[FastAPI, int], monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int
) -> None:
    _, port = full
    refused: list[str] = []
    monkeypatch.setattr(Turnstile, "_count", lambda _, path: refused.append(path))
    assert answers(port, sent)[0][0] == status
    assert refused == []


def test_pages_of_other_origins_can_read_it(full: tuple[FastAPI, int]) -> None:
    _, port = full
    ((status, headers, _),) = answers(port, post("/v1/search/images", "Origin: http://other.example"))
    assert (status, headers["access-control-allow-origin"]) == (503, "http://other.example")


def test_who_wants_to_be_hung_up_on_is(full: tuple[FastAPI, int]) -> None:
    _, port = full
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(post("/v1/search/images", "Connection: close"))
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert received.startswith(b"HTTP/1.1 503")
    assert b"connection: close" in received.lower()


def test_they_are_counted_and_told_in_one_line(
    full: tuple[FastAPI, int], caplog: pytest.LogCaptureFixture
) -> None:
    app, port = full
    path = "/v1/search/captions"
    registry = app.state.service.metrics.registry
    counts: list[tuple[str, dict[str, str]]] = [
        ("saysee_requests_total", {"route": path, "method": "POST", "status": "503"}),
        ("saysee_problems_total", {"problem": "overloaded"}),
        ("saysee_turned_away_total", {"reason": "overloaded"}),
    ]

    def counted() -> list[float]:
        return [registry.get_sample_value(*count) or 0.0 for count in counts]

    def timed() -> float | None:
        found: float | None = registry.get_sample_value("saysee_request_seconds_count", {"route": path})
        return found

    before, timed_before = counted(), timed()
    with caplog.at_level(logging.INFO, "service.turnstile"):
        answers(port, *[post(path)] * 20)
        assert counted() == [count + 20 for count in before]
        assert timed() == timed_before  # they took no time, and would hide how long the others took
        ends = time.monotonic() + PATIENCE_SECONDS
        while not caplog.records:
            assert time.monotonic() < ends
            time.sleep(0.02)
    assert [record.name for record in caplog.records] == ["service.turnstile"]


def test_no_more_pass_in_a_turn_than_there_is_room_for(index: Path) -> None:
    """Many that come at once are not all believed to find the last place."""
    app = create_app(Settings(index=index, threads=1, max_waiting=3))
    with live_server(app) as port:
        connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(40)]
        for connection in connections:
            connection.sendall(post())
        statuses = [int(connection.recv(65_536).split()[1]) for connection in connections]
        for connection in connections:
            connection.close()
    assert set(statuses) == {200, 503}


def test_those_on_their_way_take_up_room(index: Path) -> None:
    service = create_service(Settings(index=index, max_waiting=5))

    async def test() -> None:
        turnstile = Turnstile(
            service.admission, service.metrics, paths=["/v1/search/images"], headers=[], others_may_ask=False
        )

        def refuses() -> bool:
            return turnstile.refuses(b"/v1/search/images", []) is not None

        with service.admission.place(), service.admission.place():
            in_one_turn = [refuses() for _ in range(5)]
            assert in_one_turn == [False, False, False, True, True]
            await asyncio.sleep(0)
            assert [refuses() for _ in range(4)] == [False, False, False, True]
        await asyncio.sleep(0)
        assert [refuses() for _ in range(6)] == [False] * 5 + [True]

    run_async(test)
