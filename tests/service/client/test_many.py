"""Many files: batches within the server's limits, so many at a time, an outcome for each in order."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.client import AsyncClient, Client, Outcome, Refused, Retries, Unreachable
from service.schemas import LimitsAnswer, SearchAnswer
from service.settings import Settings
from tests.fixtures.both_clients import Ask, example
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.own_loop import run_async
from tests.fixtures.scripted_server import Asked, Told, scripted_server

CLIP, PICTURE = make_wav(0.8, 290, seed=1), make_png(1, width=160, height=120)


def told(outcome: Outcome) -> str:
    """A word for what became of a file."""
    assert (outcome.answer is None) != (outcome.error is None)
    if isinstance(outcome.error, Refused):
        return outcome.error.type.removeprefix("/problems/")
    return type(outcome.error).__name__ if outcome.answer is None else outcome.answer.query.modality


def test_every_file_has_its_own_outcome_in_order(ask: Ask, index: Path, tmp_path: Path) -> None:
    clip, text, large = tmp_path / "clip.wav", tmp_path / "notes.txt", tmp_path / "large.wav"
    clip.write_bytes(CLIP)
    text.write_text("no media at all")
    large.write_bytes(bytes(200_000))
    every = [clip, text, str(clip), tmp_path / "gone.wav", PICTURE, large, b"", *[CLIP] * 6, PICTURE]
    app = create_app(Settings(index=index, threads=2, max_files=3, max_body_bytes=100_000))
    with live_server(app) as port:
        outcomes = ask(f"http://127.0.0.1:{port}", "search_many", every, "captions", 2)
        assert ask(f"http://127.0.0.1:{port}", "search_many", []) == []
        figures = app.state.service.metrics.exposition().decode()
    first = ["speech", "unsupported-media", "speech", "FileUnusable", "image", "FileUnusable", "empty-media"]
    assert [told(outcome) for outcome in outcomes] == [*first, *["speech"] * 6, "image"]
    assert [outcome.media for outcome in outcomes] == every
    assert outcomes[0].name == str(clip)
    assert outcomes[4].name == "file 5"
    assert str(outcomes[5].error).startswith(f"{large} is larger than the 98,976 bytes")
    assert all(len(outcome.answer.hits) == 2 for outcome in outcomes if outcome.answer)
    # Within 3 files and 100 kB: five batches of what is worth sending, and never a 413.
    assert 'route="/v1/search/captions/batch",status="200"} 5.0' in figures


def test_a_server_that_keeps_a_rate_is_not_run_over(ask: Ask, index: Path) -> None:
    app = create_app(Settings(index=index, threads=2, max_files=2, rate_limit=2.0, rate_burst=2))
    with live_server(app) as port:
        outcomes = ask(f"http://127.0.0.1:{port}", "search_many", [CLIP] * 6, k=1)
    assert [told(outcome) for outcome in outcomes] == ["speech"] * 6


LIMITS, ANSWER = example(LimitsAnswer), example(SearchAnswer)
FILE = b'; name="file"'


def problem(name: str, retry_after: str) -> Told:
    body = json.dumps({"type": f"/problems/{name}", "title": "T", "detail": "D."}).encode()
    return Told(503, body, {"Content-Type": "application/problem+json", "Retry-After": retry_after})


def batch_answer(asked: Asked) -> Told:
    one = {name: ANSWER[name] for name in ("target", "generation", "model", "timings_ms")}
    results = [ANSWER] * asked.body.count(FILE)
    return Told(body=json.dumps({**one, "results": results}).encode())


@contextmanager
def batches_of_two(tell: Callable[[Asked], Told], max_files: int = 2) -> Iterator[tuple[str, list[Asked]]]:
    """A server whose batches hold two files, or as many as said; `tell` answers them."""

    def answer(asked: Asked) -> Told:
        return (
            Told(body=json.dumps({**LIMITS, "max_files": max_files}).encode())
            if asked.method == "GET"
            else tell(asked)
        )

    with scripted_server(answer) as server:
        yield server.address, server.asked


@pytest.mark.parametrize("in_flight", [1, 3])
def test_so_many_at_a_time_and_no_more(ask: Ask, in_flight: int) -> None:
    lock, inside, most = threading.Lock(), 0, 0

    def slowly(asked: Asked) -> Told:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with lock:
            inside -= 1
        return batch_answer(asked)

    with batches_of_two(slowly) as (address, asked):
        outcomes = ask(address, "search_many", [b"clip"] * 15, in_flight=in_flight)
    assert len(outcomes) == 15
    assert len(asked) == 1 + 8
    assert most == in_flight


def test_what_is_wrong_with_a_request_is_an_error_of_its_files_alone(ask: Ask) -> None:
    def picky(asked: Asked) -> Told:
        return Told(500) if b"spoilt" in asked.body else batch_answer(asked)

    with batches_of_two(picky) as (address, _):
        outcomes = ask(address, "search_many", [b"good", b"good", b"good", b"spoilt", b"good"])
    assert [told(outcome) for outcome in outcomes] == [
        "speech",
        "speech",
        "about:blank",
        "about:blank",
        "speech",
    ]


def test_what_a_slow_server_cannot_do_in_time_it_is_asked_in_halves(ask: Ask) -> None:
    def slow(asked: Asked) -> Told:
        if asked.body.count(FILE) > 1 or b"long" in asked.body:
            return problem("out-of-time", "1")
        return batch_answer(asked)

    with batches_of_two(slow) as (address, asked):
        retries = {"retries": Retries(most=0)}
        outcomes = ask(address, "search_many", [b"a", b"b", b"c", b"long", b"e"], client=retries)
    assert [told(outcome) for outcome in outcomes] == ["speech", "speech", "speech", "out-of-time", "speech"]
    assert len(asked) == 1 + 3 + 3 + 1


def test_several_files_are_never_asked_twice_for_what_took_the_whole_deadline(ask: Ask) -> None:
    def slow(asked: Asked) -> Told:
        if asked.body.count(FILE) > 1:
            return problem("out-of-time", "20")
        return problem("out-of-time", "0") if b"long" in asked.body else batch_answer(asked)

    with batches_of_two(slow, max_files=4) as (address, asked):
        began = time.monotonic()
        outcomes = ask(address, "search_many", [b"a", b"b", b"c", b"d"])
        assert time.monotonic() - began < 15  # nor is the server's pause kept, for these are other requests
        assert [told(outcome) for outcome in outcomes] == ["speech"] * 4
        assert [one.body.count(FILE) for one in asked] == [0, 4, 2, 1, 1, 2, 1, 1]
        # A file by itself is tried again as ever.
        (alone,) = ask(address, "search_many", [b"long"], client={"retries": Retries(most=1)})
        assert told(alone) == "out-of-time"
        assert [one.body.count(FILE) for one in asked[8:]] == [0, 1, 1]


def test_a_batch_for_which_there_is_no_room_is_asked_in_halves_once_its_retries_are_used_up(ask: Ask) -> None:
    def small(asked: Asked) -> Told:
        several = asked.body.count(FILE) > 1
        return problem("overloaded", "0") if several or b"huge" in asked.body else batch_answer(asked)

    retries = {"retries": Retries(most=1)}
    with batches_of_two(small, max_files=4) as (address, asked):
        outcomes = ask(address, "search_many", [b"a", b"b", b"huge", b"d"], client=retries)
        assert [told(outcome) for outcome in outcomes] == ["speech", "speech", "overloaded", "speech"]
        assert [one.body.count(FILE) for one in asked] == [0, 4, 4, 2, 2, 1, 1, 2, 2, 1, 1, 1]


def test_a_server_without_any_room_is_not_waited_for_file_by_file(ask: Ask) -> None:
    with batches_of_two(lambda _: problem("overloaded", "0"), max_files=8) as (address, asked):
        retries = {"retries": Retries(most=1)}
        outcomes = ask(address, "search_many", [b"clip"] * 8, client=retries)
    assert [told(outcome) for outcome in outcomes] == ["overloaded"] * 8
    # In turn 8, 4, 2, 1 of them are tried twice; what is left of each once, together.
    assert [one.body.count(FILE) for one in asked] == [0, 8, 8, 4, 4, 2, 2, 1, 1, 1, 2, 4]


def test_a_file_that_cannot_be_read_says_nothing_of_room(ask: Ask, tmp_path: Path) -> None:
    with batches_of_two(lambda _: problem("overloaded", "0"), max_files=4) as (address, asked):
        files = [b"a", tmp_path / "missing.wav", b"b", b"c"]
        outcomes = ask(address, "search_many", files, client={"retries": Retries(most=1)})
    assert [told(outcome) for outcome in outcomes] == [
        "overloaded",
        "FileUnusable",
        "overloaded",
        "overloaded",
    ]
    assert [one.body.count(FILE) for one in asked] == [0, 3, 3, 1, 1, 2]


def test_fewer_answers_than_files_are_not_handed_to_the_wrong_ones(ask: Ask) -> None:
    with batches_of_two(lambda asked: batch_answer(Asked("", "", {}, FILE, 0.0))) as (address, _):
        outcomes = ask(address, "search_many", [b"a", b"b", b"c"])
    assert [told(outcome) for outcome in outcomes] == ["NotUnderstood", "NotUnderstood", "speech"]


def test_when_nobody_answers_any_more_it_ends(ask: Ask) -> None:
    with pytest.raises(Unreachable):
        ask("http://127.0.0.1:9", "search_many", [CLIP], client={"retries": Retries(most=0)})


def test_progress_is_told(ask: Ask) -> None:
    shown: list[tuple[Any, ...]] = []

    class Bar:
        @contextmanager
        def stage(self, title: str, total: int | None = None) -> Iterator[Bar]:
            shown.append((title, total))
            yield self

        def reach(self, done: int, note: str = "") -> None:
            shown.append((done, note))

    with batches_of_two(batch_answer) as (address, _):
        ask(address, "search_many", [b"a", Path("/no/such/file"), b"c"], progress=Bar())
        assert shown == [("search", 3), (1, ""), (2, "1 failed"), (3, "1 failed")]
        ask(address, "search_many", (data for data in [b"a"]), progress=Bar())
        assert shown[4] == ("search", None)


def test_who_stops_early_is_not_kept_waiting() -> None:
    """The second batch is in a long pause when the first outcome is taken and the rest is not wanted."""

    def busy_later(asked: Asked) -> Told:
        first = b"first" in asked.body
        return batch_answer(asked) if first else Told(503, headers={"Retry-After": "50"})

    with batches_of_two(busy_later) as (address, asked), Client(address) as client:
        began = time.monotonic()
        outcomes = client.search_many([b"first", *[b"clip"] * 20], in_flight=2)
        next(outcomes)
        while len(asked) < 3:
            time.sleep(0.01)
        outcomes.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 40


def test_a_task_that_is_cancelled_leaves_nothing_behind() -> None:
    with batches_of_two(lambda asked: Told(503, headers={"Retry-After": "50"})) as (address, asked):

        async def test() -> None:
            async with AsyncClient(address) as client:

                async def search() -> list[Outcome]:
                    return [outcome async for outcome in client.search_many([b"clip"] * 20)]

                task = asyncio.create_task(search())
                while len(asked) < 5:  # limits, and four batches
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert asyncio.all_tasks() == {asyncio.current_task()}

        run_async(test)


def test_a_file_is_read_only_when_its_turn_comes() -> None:
    class Late:
        """A file object that notes when it is read."""

        name = "late.wav"
        was_read = False

        def read(self) -> bytes:
            self.was_read = True
            return CLIP

    late = Late()
    with batches_of_two(batch_answer) as (address, _), Client(address) as client:
        outcomes = client.search_many([b"a", b"b", *[b"c"] * 30, late], in_flight=1)  # type: ignore[list-item]
        assert next(outcomes).answer
        assert not late.was_read
        assert [outcome.name for outcome in outcomes][-1] == "late.wav"
        assert late.was_read
