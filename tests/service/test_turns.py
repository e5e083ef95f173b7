"""The line for the loop's turns: in order, one a turn, and nobody waits without need."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from starlette.types import Receive, Scope, Send

from service.account import current, open_account
from service.admission import Admission, Overloaded, Pace
from service.door import Door
from service.keys import load_keys
from service.metrics import Metrics
from service.rate_limit import RateLimit
from service.settings import Settings
from service.turns import Turns
from tests.fixtures.own_loop import run_async

NEVER = 60.0  # no turn takes so long


class _Clock:
    """Counts the loop's turns."""

    def __init__(self) -> None:
        self.now = 0
        self._tick()

    def _tick(self) -> None:
        self.now += 1
        asyncio.get_running_loop().call_soon(self._tick)


def begun_at(count: int, cancelled: Sequence[int] = (), spacing_seconds: float = NEVER) -> dict[int, int]:
    """In which turn of the loop each of so many that came together had theirs, in the order they had it."""
    begun: dict[int, int] = {}

    async def test() -> None:
        turns, clock = Turns(spacing_seconds), _Clock()

        async def one(number: int) -> None:
            await turns.mine()
            begun[number] = clock.now

        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        await asyncio.sleep(0)
        assert len(turns._line) == count - 1
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(turns._line) == 0

    run_async(test)
    return begun


def test_a_burst_is_begun_in_order_and_one_a_turn() -> None:
    begun = begun_at(50)
    assert list(begun) == list(range(50))
    first, *rest = begun.values()
    assert rest == list(range(rest[0], rest[0] + 49))
    assert rest[0] in (first + 1, first + 2)


def test_who_went_away_holds_nobody_up() -> None:
    begun = begun_at(50, cancelled=range(10, 40))
    assert list(begun) == [*range(10), *range(40, 50)]


def test_long_turns_of_the_loop_are_shared_by_several() -> None:
    """However much else the loop has to do, so many a second are begun."""
    first, *rest = begun_at(50, spacing_seconds=1e-9).values()
    assert len(set(rest)) == 1
    assert rest[0] > first


def test_who_comes_alone_begins_at_once() -> None:
    async def test() -> None:
        turns, clock = Turns(), _Clock()
        for _ in range(3):
            before = clock.now
            await turns.mine()
            assert clock.now == before
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run_async(test)


def test_who_comes_later_is_behind_those_who_wait() -> None:
    async def test() -> None:
        turns, order = Turns(NEVER), list[int]()

        async def one(number: int) -> None:
            await turns.mine()
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(one(number))
                if number % 3 == 0:
                    await asyncio.sleep(0)
        assert order == list(range(20))

    run_async(test)


@pytest.mark.parametrize(
    ("path", "is_paced"), [("/v1/search/images", True), ("/v1/embeddings", True), ("/v1/limits", False)]
)
def test_queries_come_in_one_a_turn_and_all_else_at_once(tmp_path: Path, path: str, is_paced: bool) -> None:
    async def test() -> None:
        settings, metrics, clock, begun = Settings(index=tmp_path), Metrics(), _Clock(), list[int]()
        waited = list[float]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(clock.now)
            waited.append(current().query().ms["queue"])

        async def never(*_: object) -> NoReturn:
            raise AssertionError(_)

        admission = Admission(Pace(), deadline_seconds=1, max_waiting=100, max_bytes=100, metrics=metrics)
        door = Door(app, load_keys(settings), admission, Turns(NEVER), RateLimit(0, 1), metrics, refuse=never)
        scope: Scope = {"type": "http", "path": path, "headers": [], "client": None}

        async def ask() -> None:
            open_account(None)
            await door(dict(scope), never, never)

        await asyncio.gather(*(ask() for _ in range(20)))
        assert len(set(begun)) == (20 if is_paced else 1)
        if is_paced:  # and each says how long it waited for that
            assert waited[-1] > waited[0] > 0
        else:
            assert waited == [0.0] * 20

    run_async(test)


def test_those_in_line_take_up_room() -> None:
    """Searches by item, which the turnstile does not see, cannot make the line longer than there is room."""

    async def test() -> None:
        metrics, refused, begun = Metrics(), list[Scope](), list[Scope]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope)

        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            assert isinstance(scope["saysee.refused"], Overloaded)
            refused.append(scope)

        async def never(*_: object) -> NoReturn:
            raise AssertionError(_)

        admission = Admission(Pace(), deadline_seconds=1, max_waiting=3, max_bytes=100, metrics=metrics)
        rate, turns = RateLimit(1, 5), Turns(NEVER)
        door = Door(app, load_keys(Settings(index=Path())), admission, turns, rate, metrics, refuse)
        scope: Scope = {
            "type": "http",
            "path": "/v1/items/images/x/neighbours",
            "headers": [],
            "client": None,
        }
        await asyncio.gather(*(door(dict(scope), never, never) for _ in range(40)))
        assert (len(begun), len(refused)) == (4, 36)  # the first one begins at once
        await door(dict(scope), never, never)
        assert len(begun) == 5, "who was refused for want of room has used up nothing of a rate"

    run_async(test)


def test_another_loop_begins_anew() -> None:
    turns = Turns(NEVER)

    async def leave_one_waiting() -> None:
        turns.add(lambda: None)
        turns.add(lambda: None)
        assert len(turns._line) == 1

    run_async(leave_one_waiting)
    run_async(turns.mine)
    assert len(turns._line) == 0
