"""Servers that are busy, break off, or talk nonsense: real ones, small, and both clients."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from service.client import NoAnswer, NotUnderstood, Refused, Retries, Unreachable
from service.schemas import IndexAnswer, LimitsAnswer, SearchAnswer, SwapAnswer
from tests.fixtures.both_clients import Ask, example
from tests.fixtures.scripted_server import Told, free_port, in_turn, scripted_server

ONCE = {"retries": Retries(most=0)}


def told(answer: type) -> Told:
    return Told(body=json.dumps(example(answer)).encode())


def problem(status: int, name: str, **headers: str) -> Told:
    body = {"type": f"/problems/{name}", "title": "T", "status": status, "detail": "D.", "instance": "/"}
    kind = {"Content-Type": "application/problem+json"}
    return Told(
        status, json.dumps(body).encode(), {**kind, **{k.replace("_", "-"): headers[k] for k in headers}}
    )


ANSWER = told(SearchAnswer)


@pytest.mark.parametrize(("status", "name"), [(503, "overloaded"), (429, "too-fast")])
def test_a_busy_server_is_asked_again_when_it_said(ask: Ask, status: int, name: str) -> None:
    busy = problem(status, name, Retry_After="1")
    with scripted_server(in_turn(busy, busy, ANSWER)) as server:
        answer = ask(server.address, "search", b"a clip", k=5)
        assert answer.hits[0].id == "scene-000123"
        assert [asked.body for asked in server.asked] == [b"a clip"] * 3
        assert {asked.path for asked in server.asked} == {"/v1/search/images?k=5"}
        pauses = [b.at - a.at for a, b in zip(server.asked, server.asked[1:], strict=False)]
        assert all(pause >= 0.99 for pause in pauses)


def test_who_may_not_try_again_is_told_at_once(ask: Ask) -> None:
    with scripted_server(in_turn(problem(503, "overloaded", Retry_After="600"))) as server:
        began = time.monotonic()
        with pytest.raises(Refused) as refused:
            ask(server.address, "search", b"a clip")
        assert time.monotonic() - began < 30
        assert (refused.value.retry_after_s, len(server.asked)) == (600.0, 1)


@pytest.mark.parametrize("broken", [Told(0), Told(200, b'{"query"', missing_bytes=50)])
def test_a_broken_connection_is_tried_again_where_that_changes_nothing(ask: Ask, broken: Told) -> None:
    with scripted_server(in_turn(broken, ANSWER)) as server:
        assert ask(server.address, "search", b"a clip").target == "images"
        assert len(server.asked) == 2
    with scripted_server(in_turn(broken, told(SwapAnswer))) as server:
        with pytest.raises(NoAnswer, match="broke before an answer came"):
            ask(server.address, "rollback")
        assert len(server.asked) == 1


def test_a_server_that_starts_late_is_waited_for(ask: Ask) -> None:
    port = free_port()
    begun, over = threading.Event(), threading.Event()

    def start_late() -> None:
        time.sleep(0.6)
        with scripted_server(in_turn(told(SwapAnswer)), port):
            begun.set()
            over.wait(60)

    thread = threading.Thread(target=start_late)
    thread.start()
    try:
        # Even this: nothing was sent, so nothing was done.
        assert ask(f"http://127.0.0.1:{port}", "rollback", client={"retries": Retries(most=8)}).model
    finally:
        over.set()
        thread.join(60)
    assert begun.is_set()


def test_nobody_there(ask: Ask) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=f"Nobody answers at {address} .*: is it running"):
        ask(address, "index", client=ONCE)
    with pytest.raises(Unreachable, match=r"Nobody answers at http://no-such-host\.invalid"):
        ask("http://no-such-host.invalid", "index")


def test_what_cannot_be_trusted_is_not_asked(ask: Ask) -> None:
    with scripted_server(in_turn(Told())) as server, pytest.raises(Unreachable, match="https and its certif"):
        ask(server.address.replace("http:", "https:"), "index")
    assert server.asked == []


def test_a_slow_answer_is_waited_for_once_and_so_long(ask: Ask) -> None:
    with scripted_server(in_turn(Told(after_s=5.0))) as server:
        with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
            ask(server.address, "search", b"a clip", client={"timeout_s": 0.3})
        assert len(server.asked) == 1


@pytest.mark.parametrize("swap", [("promote", "newest"), ("rollback",)])
def test_a_promotion_is_waited_for_longer_than_a_search_and_no_longer_than_told(
    ask: Ask, swap: tuple[str, ...]
) -> None:
    with scripted_server(in_turn(Told(after_s=0.6, body=told(SwapAnswer).body))) as server:
        assert ask(server.address, *swap, client={"timeout_s": 0.3}).model
        with pytest.raises(NoAnswer, match=r"within 0\.2 s"):
            ask(server.address, *swap, timeout_s=0.2)
        assert len(server.asked) == 2


@pytest.mark.parametrize("body", [b"", b"<!doctype html>", b"[]", b'{"target": "images"}', b"\xff"])
def test_an_answer_of_another_program_is_told_from_ours(ask: Ask, body: bytes) -> None:
    with (
        scripted_server(in_turn(Told(200, body))) as server,
        pytest.raises(NotUnderstood, match="no SearchAnswer of this service"),
    ):
        ask(server.address, "search", b"a clip")


def test_a_newer_server_may_say_more(ask: Ask) -> None:
    more: dict[str, Any] = {"newer": {"still": [1]}}
    index = {**example(IndexAnswer), **more}
    index["collections"] = {"images": {**index["collections"]["images"], **more}}
    with scripted_server(in_turn(Told(200, json.dumps(index).encode()))) as server:
        assert ask(server.address, "index").collections["images"].count == 512
    answer = {**example(SearchAnswer), **more}
    answer["hits"] = [{**hit, **more} for hit in answer["hits"]]
    with scripted_server(in_turn(Told(200, json.dumps(answer).encode()))) as server:
        assert ask(server.address, "search", b"a clip").hits[0].rank == 1


def test_a_path_before_the_service_and_a_key_are_sent_along(ask: Ask) -> None:
    with scripted_server(in_turn(told(LimitsAnswer))) as server:
        ask(f"{server.address}/saysee/", "limits", client={"key": "s\u00e9cret"})
        (asked,) = server.asked
        assert (asked.method, asked.path) == ("GET", "/saysee/v1/limits")
        assert asked.headers["authorization"] == "Bearer s\u00e9cret"
        ask(server.address, "limits", client={"key": " "})
        assert "authorization" not in server.asked[1].headers
