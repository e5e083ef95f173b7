"""Clients that keep a connection and send little or nothing: told so, hung up on, and in nobody's way."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import Hasty, live_server
from tests.fixtures.media_bytes import make_wav

PATIENCE_SECONDS = 60.0  # far more than anything here takes
CLIP = make_wav(1.0)


@pytest.fixture(scope="module")
def app(index: Path) -> FastAPI:
    return create_app(Settings(index=index, threads=1))


@pytest.fixture(scope="module")
def port(app: FastAPI) -> Iterator[int]:
    with live_server(app, Hasty) as port:
        yield port


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        yield connection


def until_hung_up(connection: socket.socket) -> bytes:
    """Everything that came before the end."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received


def problem(received: bytes) -> str:
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    told = json.loads(body)
    assert told["status"] == int(head.split()[1])
    assert f"x-request-id: {told['request_id']}".encode() in head
    return str(told["type"]).removeprefix("/problems/")


def drip(connection: socket.socket, data: bytes, seconds: float) -> None:
    """A byte each so often until it hangs up."""
    with contextlib.suppress(OSError):
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(seconds)


POST = b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\n"


def test_who_asks_nothing_is_hung_up_on_without_a_word(port: int) -> None:
    with connected(port) as connection:
        assert until_hung_up(connection) == b""


@pytest.mark.parametrize("sent", [b"GET /livez HTTP/1.1\r\nHost: local", b"G", POST[:-2]])
def test_a_head_that_does_not_end(port: int, sent: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(sent)
        assert problem(until_hung_up(connection)) == "request-too-slow"


def test_a_head_that_comes_little_by_little_for_ever(port: int) -> None:
    with connected(port) as connection:
        head = b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 2000
        dripping = threading.Thread(target=drip, args=(connection, head, 0.02), daemon=True)
        dripping.start()
        began = time.monotonic()
        assert problem(until_hung_up(connection)) == "request-too-slow"
        assert time.monotonic() - began < 20
        dripping.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("framing", [b"Content-Length: 90000", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come(port: int, framing: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(POST + framing + b"\r\n\r\n")
        assert problem(until_hung_up(connection)) == "request-too-slow"


def test_a_body_that_comes_little_by_little_for_ever(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(POST + b"Content-Length: 90000\r\n\r\n")
        dripping = threading.Thread(target=drip, args=(connection, bytes(90_000), 0.01), daemon=True)
        dripping.start()
        assert problem(until_hung_up(connection)) == "request-too-slow"
        dripping.join(PATIENCE_SECONDS)


def test_a_slow_body_that_comes_at_the_rate_is_waited_for(port: int) -> None:
    clip = make_wav(3.0)
    with connected(port) as connection:
        connection.sendall(POST + f"Content-Length: {len(clip)}\r\n\r\n".encode())
        connection.sendall(clip[:-1])  # 96 kB, which are worth a second
        time.sleep(0.8)
        connection.sendall(clip[-1:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_much_that_came_at_first_gives_no_time_for_the_rest(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(POST + b"Content-Length: 20000001\r\n\r\n" + bytes(20_000_000))  # worth 200 s
        assert problem(until_hung_up(connection)) == "request-too-slow"


def test_a_body_that_nobody_reads_cannot_hold_the_connection(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n")
        drip_on = threading.Thread(target=drip, args=(connection, bytes(90_000), 0.01), daemon=True)
        drip_on.start()
        received = until_hung_up(connection)
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"HTTP/1.1") == 1  # it had its answer: no other one follows
        drip_on.join(PATIENCE_SECONDS)


def test_a_head_without_end_is_refused_at_its_limit(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        with contextlib.suppress(OSError):
            for _ in range(30):
                connection.sendall(b"y" * 1_000)
                time.sleep(0.005)
        assert problem(until_hung_up(connection)) == "head-too-large"


@pytest.mark.parametrize(
    ("lines", "fits"),
    [
        (b"X: " + b"y" * 60_000 + b"\r\n", True),
        (b"X: " + b"y" * 70_000 + b"\r\n", False),
        (b"a: \r\n" * 10_000, True),
        (b"a: \r\n" * 14_000, False),
    ],
    ids=["long", "too long", "many", "too many"],
)
def test_a_head_that_comes_whole_is_held_to_the_same_limit(index: Path, lines: bytes, fits: bool) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n"
    app = create_app(Settings(index=index, threads=1))
    with live_server(app) as port, connected(port) as connection:
        connection.sendall(head + POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nno")
        received = until_hung_up(connection)
    if fits:
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"HTTP/1.1 ") == 2
    else:
        assert problem(received) == "head-too-large"
        assert received.count(b"HTTP/1.1 ") == 1  # what stood behind it is for nobody


def test_a_head_is_not_charged_with_the_body_before_it(index: Path) -> None:
    clip = make_wav(3.0)  # 96 kB
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with live_server(create_app(Settings(index=index, threads=1))) as port, connected(port) as connection:
        connection.sendall(POST + f"Content-Length: {len(clip)}\r\n\r\n".encode() + clip + head[:40])
        time.sleep(0.5)
        connection.sendall(head[40:])
        assert until_hung_up(connection).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("behind", "type_"),
    [
        (b"GET /livez HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "head-too-large"),
        (b"hello\r\n\r\n", "bad-request"),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000, "too-many-ahead"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n", "bad-request"),
    ],
    ids=["large head", "no HTTP", "too many", "bad body"],
)
def test_what_is_wrong_behind_a_query_waits_for_its_answer(index: Path, behind: bytes, type_: str) -> None:
    clip = make_wav(1.0)
    query = POST + f"Content-Length: {len(clip)}\r\n\r\n".encode() + clip
    with live_server(create_app(Settings(index=index, threads=1))) as port, connected(port) as connection:
        connection.sendall(query + query)
        with contextlib.suppress(OSError):  # it does not read to the end
            connection.sendall(behind)
        received = until_hung_up(connection)
    parts = received.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts[:2]] == [b"200", b"200"]
    assert {part[:3] for part in parts[2:-1]} <= {b"200"}
    assert problem(b"HTTP/1.1 " + parts[-1]) == type_


def test_many_requests_ahead_are_answered_up_to_the_limit(port: int) -> None:
    ask = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(port) as connection:
        connection.sendall(ask * 31 + ask.replace(b"Host", b"Connection: close\r\nHost"))
        assert until_hung_up(connection).count(b"HTTP/1.1 200") == 32
    with connected(port) as connection:
        connection.sendall(ask * 33)
        received = until_hung_up(connection)
        assert received.count(b"HTTP/1.1 200") == 32
        assert b"/problems/too-many-ahead" in received


def test_a_query_with_another_behind_it_ends_when_its_client_goes(index: Path) -> None:
    """And so does the other one, which nobody has begun yet."""
    with held_model(index) as (app, port):
        service = app.state.service
        with connected(port) as connection:
            query = POST + f"Content-Length: {len(CLIP)}\r\n\r\n".encode() + CLIP
            connection.sendall(query + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: bool(service.admission._tickets))
        until(lambda: not service.admission._tickets)
    assert service.metrics.requests.labels("/livez", "GET", "200")._value.get() == 0


@contextlib.contextmanager
def held_model(index: Path) -> Iterator[tuple[FastAPI, int]]:
    """A service whose model does not come back until the block ends."""
    app = create_app(Settings(index=index, threads=1, deadline_seconds=10 * PATIENCE_SECONDS))
    opened = threading.Event()
    with live_server(app) as port:
        encoder = app.state.service.keeper.holder.current.encoder
        speech = encoder.speech
        encoder.speech = lambda media: opened.wait() and speech(media)
        try:
            yield app, port
        finally:
            opened.set()


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_empty_lines_between_requests_keep_nothing_open(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        drip_on = threading.Thread(target=drip, args=(connection, b"\r\n" * 5_000, 0.01), daemon=True)
        drip_on.start()
        assert b"HTTP/1.1 200" not in until_hung_up(connection)
        drip_on.join(PATIENCE_SECONDS)


def test_what_is_no_http_is_told_as_a_problem(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"hello\r\n\r\n")
        assert problem(until_hung_up(connection)) == "bad-request"


def test_an_answer_that_is_not_fetched_is_given_up(app: FastAPI, port: int) -> None:
    """Its connection is aborted on this side, whatever the client thinks of it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            _ask_without_reading(connection)


def _ask_without_reading(connection: socket.socket) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.001)


def test_a_client_that_closes_its_half_harms_nobody(app: FastAPI, port: int) -> None:
    clip = make_wav(1.0)
    whole = POST + f"Content-Length: {len(clip)}\r\n\r\n".encode() + clip
    for sent in (b"", whole[:30], whole[:-1], whole):
        with connected(port) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            until_hung_up(connection)
    until(lambda: not app.state.service.admission._tickets)


def test_hundreds_that_wait_are_in_nobodys_way(port: int) -> None:
    clip = make_wav(0.5)
    with contextlib.ExitStack() as kept:
        for number in range(300):
            connection = kept.enter_context(connected(port))
            connection.sendall(POST[: number % len(POST)])
        with connected(port) as asking:
            asking.sendall(POST + f"Content-Length: {len(clip)}\r\n\r\n".encode() + clip)
            assert asking.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("now", "most", "wanted"), [(256, 4096, 4096), (512, 512, 512)])
def test_as_many_connections_as_the_user_may_have(now: int, most: int, wanted: int) -> None:
    """In a process of its own, because a limit that was lowered cannot be raised again."""
    said = subprocess.run(
        [sys.executable, "-c", _LIMITS, str(now), str(most)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(wanted), str(most)]


_LIMITS = """
import resource, sys
from service.listener import allow_many_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_many_connections()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
