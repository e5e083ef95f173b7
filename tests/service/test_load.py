"""More clients than it can serve, over real connections.

Who is turned away learns it at once, who is let in is answered, who hangs up is forgotten.
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from service.app import create_app
from service.settings import Settings
from tests.fixtures.encoded import raw_png
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_png, make_wav

CLIP = make_wav(1.0)
PATIENCE_SECONDS = 120.0  # for what comes sooner or later, however slow the machine is


@dataclass
class SlowModel:
    """Stands before the real encoder: while `open` is unset, no run ends."""

    open: threading.Event = field(default_factory=threading.Event)
    inputs: int = 0


AT_ONCE = 2  # runs on two cores: of what came alone, where it was decoded, and of the rest, in the one lane


@contextmanager
def serving(index: Path, **settings: Any) -> Iterator[tuple[int, FastAPI, SlowModel]]:
    app = create_app(Settings(index=index, threads=2, canary_seconds=600, **settings))
    model = SlowModel()
    model.open.set()
    with live_server(app) as port, pytest.MonkeyPatch.context() as patch:
        encoder = app.state.service.keeper.holder.current.encoder
        for name in ("speech", "image"):
            patch.setattr(encoder, name, _slowed(model, getattr(encoder, name)))
        try:
            yield port, app, model
        finally:
            model.open.set()


def _slowed(
    model: SlowModel, encode: Callable[[Any], NDArray[np.float32]]
) -> Callable[[Any], NDArray[np.float32]]:
    def slow(media: Any) -> NDArray[np.float32]:
        model.inputs += len(media)
        model.open.wait(PATIENCE_SECONDS)
        return encode(media)

    return slow


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def ask(
    port: int,
    data: bytes = CLIP,
    path: str = "/v1/search/images",
    method: str = "POST",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)
    finally:
        connection.close()


def at_once(port: int, number: int, **asked: Any) -> tuple[list[threading.Thread], list[Answer]]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(port, **asked))) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, answers


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def at_work(app: FastAPI) -> int:
    return len(app.state.service.admission._tickets)


def test_who_comes_when_it_is_full_is_told_at_once_and_who_was_let_in_is_answered(index: Path) -> None:
    with serving(index, max_waiting=4, deadline_seconds=PATIENCE_SECONDS) as (port, app, model):
        model.open.clear()
        threads, answers = at_once(port, 4)
        until(lambda: at_work(app) == 4)
        calls: list[dict[str, Any]] = [
            {},
            {"data": make_png(1), "path": "/v1/search/captions"},
            {"path": "/v1/embeddings"},
            {"path": "/v1/search/images/batch"},
            {"data": b"", "path": "/v1/items/images/scene-0/neighbours", "method": "GET"},
            {"data": b"\0" * 5_000_000},  # its body is not waited for
        ]
        for call in calls:
            refused = ask(port, **call)
            assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert at_work(app) == 4  # it was told before any of those was answered
        for free in ("/livez", "/v1/index", "/v1/items/images/scene-0"):
            assert ask(port, b"", free, "GET").status == 200
        model.open.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert [answer.status for answer in answers] == [200] * 4
        until(lambda: at_work(app) == 0)
        assert ask(port).status == 200


def test_ten_times_too_many(index: Path) -> None:
    """Some are refused, and whoever asks again is answered in the end; then it is as before."""
    with serving(index, deadline_seconds=10.0, max_waiting=6, max_batch=1) as (port, app, model):
        model.open.clear()
        answers: list[Answer] = []

        def client() -> None:
            while (answer := ask(port)).status == 503:
                answers.append(answer)
                time.sleep(0.1)
            answers.append(answer)

        threads = [threading.Thread(target=client) for _ in range(60)]
        for thread in threads:
            thread.start()
        until(lambda: any(answer.body["type"] == "/problems/overloaded" for answer in tuple(answers)))
        model.open.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        refused = [answer for answer in answers if answer.status != 200]
        assert len(answers) - len(refused) == len(threads)
        assert {answer.status for answer in refused} == {503}
        assert {answer.body["type"] for answer in refused} <= {
            "/problems/overloaded",
            "/problems/out-of-time",
        }
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        until(lambda: app.state.service.admission._bytes == 0)
        assert ask(port).status == 200


def test_the_deadline_passes(index: Path) -> None:
    with serving(index, deadline_seconds=3.0, max_batch=1) as (port, app, model):
        app.state.service.admission._pace.seed(10_000.0)  # let in all five, however slow the machine is
        model.open.clear()
        threads, answers = at_once(port, 5)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert [(answer.status, answer.body["type"]) for answer in answers] == [
            (503, "/problems/out-of-time")
        ] * 5
        model.open.set()
        asked = 1
        patient_until = time.monotonic() + PATIENCE_SECONDS
        while ask(port).status != 200:  # a busy machine may miss so short a deadline again
            asked += 1
            assert time.monotonic() < patient_until
        assert model.inputs <= AT_ONCE + asked  # what was running; the rest was dropped before its turn


def test_a_client_that_hangs_up_is_forgotten(index: Path) -> None:
    with serving(index) as (port, app, model):
        model.open.clear()
        connections = []
        for number in range(AT_ONCE + 4):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
            connection.request("POST", "/v1/search/images", CLIP)
            connections.append(connection)
            if number < AT_ONCE:  # where it stays: from then on nothing can begin
                until(lambda: model.inputs == len(connections))
        until(lambda: len(app.state.service.searcher._way._batcher._waiting) == 4)
        for connection in connections:
            connection.close()
        until(lambda: at_work(app) == 0)
        model.open.set()
        assert ask(port).status == 200
        assert model.inputs == AT_ONCE + 1
        until(lambda: app.state.service.keeper.holder._readers == {})


def test_heads_without_their_bodies_keep_others_out_for_no_longer_than_a_body_takes(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.admission._BODY_SECONDS", 1.0)
    with (
        serving(index, max_waiting=1) as (port, app, _),
        socket.create_connection(("127.0.0.1", port)) as slow,
    ):
        admission = app.state.service.admission
        head = f"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CLIP)}\r\n\r\n"
        slow.sendall(head.encode())
        until(lambda: len(admission._places) == 1)
        assert ask(port).status == 503
        until(lambda: admission._on_their_way() == 0)
        assert ask(port).status == 200
        slow.sendall(CLIP)
        assert slow.recv(12) == b"HTTP/1.1 200"
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.sendall(head.encode())
            until(lambda: len(admission._places) == 1)
        until(lambda: len(admission._places) == 0)
        assert admission.is_idle


def test_queries_begin_and_get_their_answers_in_one_line(index: Path) -> None:
    with serving(index) as (_, app, _):
        service = app.state.service
        (at_the_door,) = [layer.kwargs["turns"] for layer in app.user_middleware if "turns" in layer.kwargs]
        assert service.searcher._way._batcher._turns is service.turns is at_the_door


def test_bodies_are_bounded_together(index: Path) -> None:
    with serving(index, max_body_bytes=300_000, max_waiting_bytes=300_000) as (port, app, model):
        model.open.clear()
        threads, answers = at_once(port, 1, data=make_wav(6.0))  # 192 kB
        until(lambda: at_work(app) == 1)
        refused = ask(port, make_wav(5.0))
        assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
        assert refused.body["detail"] == "The server holds as many bytes of requests as it may."
        small = make_wav(0.5)
        model.open.set()
        assert ask(port, small).status == 200
        threads[0].join(PATIENCE_SECONDS)
        assert answers[0].status == 200
        until(lambda: app.state.service.admission._bytes == 0)


def test_a_header_that_claims_too_much_is_told_so_and_keeps_nobody_out(index: Path) -> None:
    claims = raw_png(b"", 50_000, 50_000, bits=8, colour=2)
    with serving(index, deadline_seconds=PATIENCE_SECONDS) as (port, app, model):
        model.open.clear()
        threads, answers = at_once(port, 1)
        until(lambda: at_work(app) == 1)
        for path in ("/v1/search/images", "/v1/embeddings"):
            refused = ask(port, claims, path)
            assert (refused.status, refused.body["type"]) == (413, "/problems/media-too-large")
        model.open.set()
        threads[0].join(PATIENCE_SECONDS)
        assert answers[0].status == 200


def test_a_client_over_its_rate_is_held_back_and_told_until_when(index: Path) -> None:
    with serving(index, rate_limit=0.5, rate_burst=3) as (port, _, _model):
        statuses = [ask(port).status for _ in range(3)]
        held = ask(port)
        assert statuses == [200] * 3
        assert (held.status, held.body["type"]) == (429, "/problems/too-fast")
        assert 1 <= int(held.headers["retry-after"]) <= 2
        assert ask(port, b"", "/v1/items/images/scene-0", "GET").status == 200
        limits = ask(port, b"", "/v1/limits", "GET").body
        assert (limits["rate_limit"], limits["rate_burst"]) == (0.5, 3)


def test_clients_of_a_trusted_proxy_have_a_rate_each(index: Path) -> None:
    """uvicorn believes the X-Forwarded-For of those in FORWARDED_ALLOW_IPS, by default of this machine."""

    def statuses(port: int, *forwarded: str) -> list[int]:
        return [ask(port, headers={"X-Forwarded-For": one}).status for one in forwarded]

    with serving(index, rate_limit=0.01, rate_burst=1) as (port, _, _model):
        assert statuses(port, "203.0.113.1", "203.0.113.1", "203.0.113.2") == [200, 429, 200]
        # What a client says of itself stands before what the proxy adds.
        assert statuses(port, "198.51.100.1, 203.0.113.2") == [429]
        # One subscriber has 64 bits of addresses.
        assert statuses(port, "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1") == [200, 429, 200]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")
        with serving(index, rate_limit=0.01, rate_burst=1) as (port, _, _model):
            assert statuses(port, "203.0.113.1", "203.0.113.2") == [200, 429]


def test_queries_at_the_same_time_share_runs_and_get_their_own_answers(index: Path) -> None:
    with serving(index, deadline_seconds=PATIENCE_SECONDS) as (port, app, model):
        model.open.clear()
        lone: list[tuple[list[threading.Thread], list[Answer]]] = []
        while len(lone) < AT_ONCE:
            lone.append(at_once(port, 1))
            until(lambda: model.inputs == len(lone))
        several = [at_once(port, 3, data=make_png(n), path="/v1/embeddings") for n in (1, 2)]
        until(lambda: len(app.state.service.searcher._way._batcher._waiting) == 6)
        model.open.set()
        for threads, _ in (*lone, *several):
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
        vectors = [[answer.body["data"][0]["embedding"] for answer in answers] for _, answers in several]
        for same in vectors:
            np.testing.assert_allclose(same[1:], same[:1] * 2, atol=1e-5)
        assert not np.allclose(vectors[0][0], vectors[1][0], atol=1e-3)
        figures = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        figures.request("GET", "/metrics")
        text = figures.getresponse().read().decode()
        figures.close()
        assert 'saysee_batch_size_count{modality="image"} 1.0' in text
        assert 'saysee_batch_size_sum{modality="image"} 6.0' in text
