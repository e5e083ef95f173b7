"""When a call is sent again and when not, on a clock of its own; no connection."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from service.client import ClientError, NoAnswer, Refused, Retries, Unreachable
from service.client.exchange import converse
from service.client.message import Call, Lost, Reply, Request

REQUEST = Request("POST", "/v1/search/images", body=b"clip")
ANSWER = Reply(200, {}, b"the answer")
PROBLEM = b'{"type": "/problems/overloaded", "title": "Busy", "detail": "Too much to do.", "status": 503}'
NOBODY = Lost(Unreachable("Nobody."), again=True, sent=False)
BROKEN = Lost(NoAnswer("It broke."), again=True, sent=True)
LATE = Lost(NoAnswer("Too late."), again=False, sent=True)


def busy(retry_after: str | None, status: int = 503) -> Reply:
    headers = {"content-type": "application/problem+json"}
    return Reply(status, headers if retry_after is None else {**headers, "retry-after": retry_after}, PROBLEM)


def held(
    *came: Reply | Lost,
    repeatable: bool = True,
    final: frozenset[str] = frozenset(),
    retries: Retries = Retries(),  # noqa: B008  frozen
    draw: Callable[[], float] = lambda: 0.0,
    seconds_each: float = 0.0,
) -> tuple[bytes | ClientError, list[float]]:
    """The answer or the fault, and the pauses before it; the last of `came` comes again and again."""
    now = 0.0
    left = list(came)
    pauses: list[float] = []
    call = Call(REQUEST, lambda reply: reply.body, repeatable, final)
    steps = converse(call, retries, lambda: now, draw)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Request):
                assert step == REQUEST
                now += seconds_each
                step = steps.send(left.pop(0) if len(left) > 1 else left[0])
            else:
                pauses.append(step.seconds)
                now += step.seconds
                step = next(steps)
    except StopIteration as ended:
        answer: bytes = ended.value
        return answer, pauses
    except ClientError as fault:
        return fault, pauses


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_told_when_to_come_back_comes_then(status: int) -> None:
    assert held(busy("3", status), busy("7", status), ANSWER) == (b"the answer", [3.0, 7.0])


def test_nobody_comes_earlier_than_told_and_not_all_at_once() -> None:
    for drawn in (0.0, 0.3, 0.99):
        _, (pause,) = held(busy("8"), ANSWER, draw=lambda drawn=drawn: drawn)  # type: ignore[misc]
        assert 8.0 <= pause <= 10.0
    _, (pause,) = held(busy("0"), ANSWER)
    assert pause > 0.1  # a server that says "at once" is not hammered


def test_a_date_will_do_and_nonsense_is_as_good_as_nothing() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    _, (pause,) = held(busy(soon), ANSWER)
    assert 15 < pause <= 20
    for past in ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00"):
        assert held(busy(past), ANSWER)[1] == [0.25]
    for nonsense in ("soon", "-5", "1e99", "inf", "٣", None):
        assert held(busy(nonsense), ANSWER)[1] == [0.25]


def test_without_advice_pauses_grow() -> None:
    fault, pauses = held(busy(None))
    assert isinstance(fault, Refused)
    assert pauses == [0.25, 0.5, 1.0, 2.0]
    assert held(NOBODY) == (NOBODY.fault, [0.25, 0.5, 1.0, 2.0])


def test_tries_are_bounded_in_number_and_in_time() -> None:
    assert len(held(busy("1"), retries=Retries(most=2))[1]) == 2
    many = held(NOBODY, retries=Retries(most=5000, total_s=1e9))[1]
    assert (len(many), max(many)) == (5000, 8.0)
    assert held(busy("1"), retries=Retries(most=0))[1] == []
    assert held(busy("10"), retries=Retries(most=100, total_s=35))[1] == [10.0] * 3
    fault, pauses = held(busy("1000"))
    assert isinstance(fault, Refused)
    assert (fault.retry_after_s, pauses) == (1000.0, [])
    assert len(held(BROKEN, seconds_each=25.0)[1]) == 2  # the tries themselves take time, too


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 500, 502, 504])
def test_what_will_not_change_is_not_asked_again(status: int) -> None:
    fault, pauses = held(busy("1", status), ANSWER)
    assert isinstance(fault, Refused)
    assert (fault.status, pauses) == (status, [])


def test_a_problem_that_is_final_for_a_call_is_not_asked_again() -> None:
    fault, pauses = held(busy("1"), ANSWER, final=frozenset({"/problems/overloaded"}))
    assert isinstance(fault, Refused)
    assert pauses == []
    assert held(busy("1"), ANSWER, final=frozenset({"/problems/out-of-time"})) == (b"the answer", [1.0])


def test_what_was_sent_and_broke_is_sent_again_only_where_that_changes_nothing() -> None:
    assert held(BROKEN, ANSWER) == (b"the answer", [0.25])
    assert held(BROKEN, ANSWER, repeatable=False) == (BROKEN.fault, [])
    assert held(NOBODY, ANSWER, repeatable=False) == (b"the answer", [0.25])
    fault, pauses = held(busy("1"), ANSWER, repeatable=False)
    assert isinstance(fault, Refused)
    assert pauses == []
    assert held(LATE, ANSWER) == (LATE.fault, [])


def test_a_problem_becomes_an_error_that_carries_it() -> None:
    fault, _ = held(busy("1000"))
    assert isinstance(fault, Refused)
    assert (fault.status, fault.type, fault.title) == (503, "/problems/overloaded", "Busy")
    assert str(fault) == fault.detail == "Too much to do."
    sent_home = pickle.loads(pickle.dumps(fault))
    assert vars(sent_home) == vars(fault)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"detail": 7, "type": null}'])
def test_an_error_that_is_no_problem_is_one_by_its_status(body: bytes) -> None:
    for kind in ("text/html", "application/problem+json"):
        fault, _ = held(Reply(502, {"content-type": kind}, body))
        assert isinstance(fault, Refused)
        assert (fault.status, fault.type, fault.title) == (502, "about:blank", "Bad Gateway")
        assert str(fault) == "The server answered 502 (Bad Gateway) and did not say what is wrong."
    moved, _ = held(Reply(301, {"location": "https://elsewhere.example/"}, b""))
    assert "301 (Moved Permanently), leading to https://elsewhere.example/" in str(moved)
    assert "599 (a status of no name)" in str(held(Reply(599, {}, b""))[0])
