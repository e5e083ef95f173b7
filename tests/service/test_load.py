"""More clients than it can serve, over real connections.

Who is turned away learns it at once, who is let in is answered, who hangs up is forgotten.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from service.app import create_app
from service.batching import LANES
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_png, make_wav

CLIP = make_wav(1.0)


@dataclass
class SlowModel:
    """Stands before the real encoder: every run takes so long; `open` unset, it takes until that is set."""

    seconds: float = 0.0
    open: threading.Event = field(default_factory=threading.Event)
    inputs: int = 0


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
        model.open.wait(30)
        time.sleep(model.seconds)
        return encode(media)

    return slow


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]
    seconds: float


def ask(port: int, data: bytes = CLIP, path: str = "/v1/search/images", method: str = "POST") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        began = time.perf_counter()
        connection.request(method, path, data)
        response = connection.getresponse()
        body = json.loads(response.read())
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body, time.perf_counter() - began)
    finally:
        connection.close()


def at_once(port: int, number: int, **asked: Any) -> tuple[list[threading.Thread], list[Answer]]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(port, **asked))) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, answers


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def at_work(app: FastAPI) -> int:
    return len(app.state.service.admission._tickets)


def test_who_comes_when_it_is_full_is_told_at_once_and_who_was_let_in_is_answered(index: Path) -> None:
    with serving(index, max_waiting=4) as (port, app, model):
        model.open.clear()
        threads, answers = at_once(port, 4)
        until(lambda: at_work(app) == 4)
        calls: list[dict[str, Any]] = [
            {},
            {"data": make_png(1), "path": "/v1/search/captions"},
            {"path": "/v1/embeddings"},
            {"data": b"", "path": "/v1/items/images/scene-0/neighbours", "method": "GET"},
            {"data": b"\0" * 5_000_000},  # its body is not waited for
        ]
        for call in calls:
            refused = ask(port, **call)
            assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.seconds < 1
        for free in ("/livez", "/v1/index", "/v1/items/images/scene-0"):
            assert ask(port, b"", free, "GET").status == 200
        model.open.set()
        for thread in threads:
            thread.join(60)
        assert [answer.status for answer in answers] == [200] * 4
        until(lambda: at_work(app) == 0)
        assert ask(port).status == 200


def test_ten_times_too_many(index: Path) -> None:
    """Accepted ones are all in time, the others are refused; then it is as before."""
    with serving(index, deadline_seconds=4.0, max_waiting=24, max_batch=1) as (port, app, model):
        model.seconds = 0.05  # two lanes: 40 a second
        answers: list[Answer] = []
        stop = time.monotonic() + 6

        def client() -> None:
            while time.monotonic() < stop:
                answer = ask(port)
                answers.append(answer)
                if answer.status == 503:
                    time.sleep(0.1)

        threads = [threading.Thread(target=client) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        taken = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status == 503]
        assert len(taken) + len(refused) == len(answers)
        assert len(taken) > 50
        assert len(refused) > len(taken)
        assert {answer.body["type"] for answer in refused} == {"/problems/overloaded"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert max(answer.seconds for answer in taken) < 4.0 + 1.0
        until(lambda: app.state.service.admission._bytes == 0)
        model.seconds = 0.0
        assert ask(port).status == 200


def test_the_deadline_passes(index: Path) -> None:
    with serving(index, deadline_seconds=1.0, max_batch=1) as (port, _, model):
        model.open.clear()
        threads, answers = at_once(port, 5)
        for thread in threads:
            thread.join(60)
        assert [(answer.status, answer.body["type"]) for answer in answers] == [
            (503, "/problems/out-of-time")
        ] * 5
        begun = model.inputs
        assert begun == LANES  # what was running; the rest was dropped before its turn
        model.open.set()
        asked = 1
        while ask(port).status != 200:  # a busy machine may miss so short a deadline again
            asked += 1
            assert asked < 20
        assert model.inputs <= begun + asked


def test_a_client_that_hangs_up_is_forgotten(index: Path) -> None:
    with serving(index) as (port, app, model):
        model.open.clear()
        connections = []
        for _ in range(6):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/v1/search/images", CLIP)
            connections.append(connection)
        until(lambda: at_work(app) == 6)
        until(lambda: model.inputs >= 2)
        for connection in connections:
            connection.close()
        until(lambda: at_work(app) == 0)
        begun = model.inputs
        model.open.set()
        assert ask(port).status == 200
        assert model.inputs == begun + 1
        until(lambda: app.state.service.keeper.holder._readers == {})


def test_bodies_are_bounded_together(index: Path) -> None:
    with serving(index, max_waiting_bytes=300_000) as (port, app, model):
        model.open.clear()
        threads, answers = at_once(port, 1, data=make_wav(6.0))  # 192 kB
        until(lambda: at_work(app) == 1)
        refused = ask(port, make_wav(5.0))
        assert (refused.status, refused.body["type"]) == (503, "/problems/overloaded")
        small = make_wav(0.5)
        model.open.set()
        assert ask(port, small).status == 200
        threads[0].join(60)
        assert answers[0].status == 200
        until(lambda: app.state.service.admission._bytes == 0)


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


def test_queries_at_the_same_time_share_runs_and_get_their_own_answers(index: Path) -> None:
    with serving(index) as (port, _, model):
        model.open.clear()
        lone = [at_once(port, 1), at_once(port, 1, data=make_wav(2.0))]  # one for each lane
        until(lambda: model.inputs == 2)
        several = [at_once(port, 3, data=make_png(n), path="/v1/embeddings") for n in (1, 2)]
        time.sleep(0.3)
        model.open.set()
        for threads, _ in (*lone, *several):
            for thread in threads:
                thread.join(60)
        vectors = [[answer.body["data"][0]["embedding"] for answer in answers] for _, answers in several]
        for same in vectors:
            np.testing.assert_allclose(same[1:], same[:1] * 2, atol=1e-5)
        assert not np.allclose(vectors[0][0], vectors[1][0], atol=1e-3)
        figures = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        figures.request("GET", "/metrics")
        text = figures.getresponse().read().decode()
        figures.close()
        assert 'saysee_batch_size_count{modality="image"} 1.0' in text
        assert 'saysee_batch_size_sum{modality="image"} 6.0' in text
