"""What only a real connection shows: chunks, lying lengths, paths as they are, clients that hang up."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_wav

LIMIT = 1_000_000


def _post(data: bytes, query: str = "") -> bytes:
    head = f"POST /v1/search/images{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@pytest.fixture(scope="module")
def port(index: Path) -> Iterator[int]:
    app = create_app(Settings(index=index, threads=2, max_body_bytes=LIMIT))
    with live_server(app) as port:
        yield port


def _answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer with a Content-Length."""
    stream = connection.makefile("rb")
    with closing(stream):
        status = int(stream.readline().split()[1])
        headers: dict[str, str] = {}
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, stream.read(int(headers.get("content-length", "0")))


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def _get(port: int, path: str, *lines: str) -> tuple[int, dict[str, str], bytes]:
    with _connect(port) as connection:
        connection.sendall("\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode())
        return _answer(connection)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/items/images/../../../../etc/passwd",
        "/v1/items/images/../CURRENT",
        "/v1/items/images/..%2f..%2fCURRENT/media",
        "/v1/items/images/%2e%2e/%2e%2e/etc/passwd/media",
        "/v1/items/images//etc/passwd/media",
        "/v1/items/images/%ff%fe/thumbnail",
        "/v1/items/images/%zz%",
        "/v1/../v1/index",
        "/page/../settings.py",
        "/page/%2e%2e/settings.py",
        "/page//etc/passwd",
        "/docs/assets/../__init__.py",
    ],
)
def test_no_path_leads_out(port: int, path: str) -> None:
    status, headers, body = _get(port, path)
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == 404
    assert json.loads(body)["detail"].endswith(".")


def test_chunks_over_the_limit_are_refused_while_the_client_still_sends(port: int) -> None:
    chunk = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
    with _connect(port) as connection:
        connection.sendall(
            b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3 * LIMIT // 0x10000):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        status, headers, body = _answer(connection)
        assert status == 413
        assert json.loads(body)["type"] == "/problems/body-too-large"
        assert headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_client_that_sends_for_ever_is_cut_off(port: int) -> None:
    with _connect(port) as connection:
        connection.sendall(
            b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.settimeout(60)
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as it comes
            _send_for_ever(connection)


def _send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"400\r\n" + b"\0" * 1024 + b"\r\n")
        time.sleep(0.0005)


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(port: int) -> None:
    with _connect(port) as connection:
        connection.sendall(
            b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            + f"Content-Length: {LIMIT + 1}\r\n\r\n".encode()
        )
        status, headers, body = _answer(connection)
        assert (status, headers["connection"]) == (413, "close")
        assert json.loads(body)["type"] == "/problems/body-too-large"


def test_a_declared_length_that_is_too_small_cuts_the_body(port: int) -> None:
    clip = make_wav()
    with _connect(port) as connection:
        connection.sendall(
            b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n" + clip
        )
        # 400 from the HTTP parser where it sees the rest first, which is no request; else from the decoder.
        assert _answer(connection)[0] in (400, 422)


def test_clients_that_hang_up_harm_nobody(port: int) -> None:
    for sent in (
        b"POST /v1/search/images HT",
        b"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab",
    ):
        with _connect(port) as connection:
            connection.sendall(sent)
    with _connect(port) as connection:
        connection.sendall(_post(make_wav(7.5)))
    status, _, body = _get(port, "/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ready")


def test_one_connection_serves_many_requests_and_faults(port: int) -> None:
    with _connect(port) as connection:
        for k, wanted in (("3", 200), ("0", 400), ("abc", 400), ("2", 200), ("999", 400), ("1", 200)):
            connection.sendall(_post(make_wav(0.5), f"?k={k}"))
            assert _answer(connection)[0] == wanted


def test_a_range_over_a_real_connection(port: int) -> None:
    status, headers, body = _get(port, "/v1/items/captions/scene-0_0/media", "Range: bytes=0-3")
    assert (status, body) == (206, b"RIFF")
    assert headers["content-range"].startswith("bytes 0-3/")


def test_the_event_loop_is_free_while_queries_are_at_work(index: Path) -> None:
    app = create_app(Settings(index=index, threads=2))
    searcher, hold = app.state.service.searcher, threading.Event()
    decode = searcher._way._decode

    def slowly(*arguments: object) -> object:
        hold.wait(30)
        return decode(*arguments)

    searcher._way._decode = slowly
    with live_server(app) as port:
        connections = [_connect(port) for _ in range(8)]
        for connection in connections:
            connection.sendall(_post(make_wav(0.5)))
        try:
            for call in ("/livez", "/readyz", "/v1/items/images/scene-0", "/metrics", "/"):
                assert _get(port, call)[0] == 200
        finally:
            hold.set()
        for connection in connections:
            with connection:
                status, _, body = _answer(connection)
                assert status == 200
                assert json.loads(body)["timings_ms"]["queue"] >= 0
