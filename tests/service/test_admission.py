"""What is let in, what is turned away and with which advice; costs, pace, rate: all on a clock of its own."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from indexer.media import MediaError
from service.admission import Admission, Expired, Overloaded, Pace
from service.found import FileRefused
from service.metrics import Metrics
from service.rate_limit import RateLimit, TooFast
from tests.fixtures.own_loop import run_async


def admission(
    *, per_second: float = 10.0, deadline: float = 10.0, most: int = 100, most_bytes: int = 10_000
) -> tuple[Admission, Metrics]:
    metrics = Metrics()
    made = Admission(
        Pace(per_second),
        deadline_seconds=deadline,
        max_waiting=most,
        max_bytes=most_bytes,
        metrics=metrics,
    )
    return made, metrics


def figure(metrics: Metrics, line: str) -> float:
    return float(
        next(one for one in metrics.exposition().decode().splitlines() if one.startswith(line)).split()[-1]
    )


def test_what_cannot_be_done_in_time_is_refused_with_the_time_after_which_it_can() -> None:
    async def test() -> None:
        door, metrics = admission(per_second=10, deadline=10)  # 6 s may be waited: 60 of cost
        async with door.admit(55):
            with pytest.raises(Overloaded) as refused:
                async with door.admit(20):
                    pass
            assert int(refused.value.headers["Retry-After"]) == 4  # half of 75 at 10 a second
            assert str(refused.value).endswith("in time: 1 request waits.")
            async with door.admit(4):  # what fits is let in all the same
                assert figure(metrics, "saysee_queue_requests ") == 2
                assert figure(metrics, "saysee_queue_seconds ") == pytest.approx(5.9, abs=0.5)
        assert figure(metrics, "saysee_queue_requests ") == 0
        assert figure(metrics, 'saysee_turned_away_total{reason="overloaded"}') == 1

    run_async(test)


def test_the_first_is_let_in_whatever_it_costs() -> None:
    async def test() -> None:
        door, _ = admission(per_second=1, deadline=5)
        async with door.admit(1_000):
            with pytest.raises(Overloaded):
                door.knock()
        door.knock()

    run_async(test)


def test_no_more_than_so_many_and_no_more_bytes_than_so_many() -> None:
    async def test() -> None:
        door, _ = admission(most=2, most_bytes=1_000)
        async with door.admit(0.1), door.admit(0.1):
            with pytest.raises(Overloaded):
                door.knock()
        door.hold(900)
        with pytest.raises(Overloaded):
            door.hold(200)
        door.hold(-1_100)
        door.hold(1_000)

    run_async(test)


def test_who_is_on_the_way_is_counted_and_no_longer_when_its_body_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        door, _ = admission(most=2)
        with door.place() as first, door.place():
            with pytest.raises(Overloaded, match="2 requests wait"):
                door.knock()
            async with door.admit(0.1):  # by the one that came last: it is counted once, as one thing
                with pytest.raises(Overloaded):
                    door.knock()
            door.knock()  # for one is done
            first()
            with door.place(), pytest.raises(Overloaded):
                door.knock()
            monkeypatch.setattr("service.admission.perf_counter", lambda: time.perf_counter() + 10)
            with door.place():
                door.knock()
                was_idle = door.is_idle
                async with door.admit(0.1), door.admit(0.1):  # the slow one comes all the same,
                    with pytest.raises(Overloaded):
                        async with door.admit(0.1):  # where those let in leave it room
                            pass
        assert (was_idle, door.is_idle) == (False, True)
        door.knock(1)
        with pytest.raises(Overloaded):
            door.knock(2)

    run_async(test)


def test_a_place_is_kept_for_a_query_whatever_comes_meanwhile() -> None:
    async def test() -> None:
        door, _ = admission(most=1)

        async def query(may_go: asyncio.Event) -> None:
            door.knock()
            with door.place():
                await may_go.wait()
                async with door.admit(0.1):
                    pass

        may_go = asyncio.Event()
        asked = asyncio.create_task(query(may_go))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(Overloaded):
                door.knock()
        may_go.set()
        await asked
        door.knock()

    run_async(test)


def test_a_cost_that_turns_out_smaller_makes_room() -> None:
    async def test() -> None:
        door, _ = admission(per_second=10, deadline=10)
        async with door.admit(59) as ticket:
            with pytest.raises(Overloaded):
                async with door.admit(8):
                    pass
            door.settle(ticket, 3)
            async with door.admit(8):
                pass

    run_async(test)


def test_what_is_late_is_given_up_and_says_so() -> None:
    async def test() -> None:
        door, metrics = admission(deadline=0.05)
        with pytest.raises(Expired) as expired:
            async with door.admit(0.1):
                await asyncio.sleep(20)
        assert int(expired.value.headers["Retry-After"]) >= 1
        assert figure(metrics, "saysee_queue_requests ") == 0
        assert figure(metrics, 'saysee_turned_away_total{reason="expired"}') == 1

    run_async(test)


def test_an_error_inside_is_no_work_done_and_leaves_nothing_behind() -> None:
    async def test() -> None:
        door, metrics = admission()
        with pytest.raises(KeyError):
            async with door.admit(5):
                raise KeyError
        assert figure(metrics, "saysee_queue_requests ") == 0
        assert figure(metrics, "saysee_queue_seconds ") == 0

    run_async(test)


@pytest.mark.parametrize(("cost", "seconds"), [(5.0, 0.5), (500.0, 0.001), (500.0, 1.0)])
def test_files_that_cannot_be_used_leave_the_pace_as_it_was(
    monkeypatch: pytest.MonkeyPatch, cost: float, seconds: float
) -> None:
    now = [0.0]
    monkeypatch.setattr("service.admission.perf_counter", lambda: now[0])

    async def test() -> None:
        door, _ = admission(per_second=10, deadline=10)
        silent = MediaError("silent", "The recording is silent.")

        async def refused(one_of_several: bool) -> None:
            async with door.admit(cost):
                now[0] += seconds
                if one_of_several:
                    raise FileRefused(1) from silent
                raise silent

        for n in range(100):
            with pytest.raises((MediaError, FileRefused)):
                await refused(n % 2 == 0)
        async with door.admit(55):
            with pytest.raises(Overloaded):
                async with door.admit(20):
                    pass
            async with door.admit(4):
                pass

    run_async(test)


def test_clients_that_hang_up_leave_the_pace_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("service.admission.perf_counter", lambda: now[0])

    async def test() -> None:
        door, _ = admission(per_second=10, deadline=10)
        for _ in range(100):
            with anyio.CancelScope() as scope:
                async with door.admit(5):
                    now[0] += 1.0
                    scope.cancel()
                    await anyio.sleep(0)
            assert scope.cancelled_caught
        async with door.admit(55), door.admit(4):
            pass

    run_async(test)


def test_the_pace_follows_what_is_really_done() -> None:
    pace = Pace(per_second=1000)
    for _ in range(400):
        pace.add(cost=2.0, seconds=0.1)
    assert pace.per_second == pytest.approx(20, rel=0.02)
    for _ in range(400):
        pace.add(cost=0.05, seconds=0.1)
    assert pace.per_second == pytest.approx(0.5, rel=0.02)
    for _ in range(10_000):
        pace.add(cost=0.0, seconds=1.0)
    assert pace.per_second > 0


def test_the_pace_is_measured_over_busy_time_alone() -> None:
    async def test() -> None:
        door, metrics = admission(per_second=5)
        for _ in range(8):
            async with door.admit(10):
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.2)  # idle: says nothing of how fast work goes
        async with door.admit(100):
            assert 100 / figure(metrics, "saysee_queue_seconds ") > 35

    run_async(test)


def test_a_rate_is_kept_by_each_client_for_itself() -> None:
    now = 0.0
    rate = RateLimit(2.0, 3, now=lambda: now)
    for _ in range(3):
        rate.take("a")
    with pytest.raises(TooFast) as refused:
        rate.take("a")
    assert refused.value.headers == {"Retry-After": "1"}
    rate.take("b")
    now = 0.6  # 1.2 tokens later
    rate.take("a")
    with pytest.raises(TooFast):
        rate.take("a")
    now = 100.0  # never more than the burst
    for _ in range(3):
        rate.take("a")
    with pytest.raises(TooFast):
        rate.take("a")


def test_what_came_with_one_query_is_waited_for_afterwards() -> None:
    now = 0.0
    rate = RateLimit(2.0, 3, now=lambda: now)
    rate.take("a")
    rate.owe("a", 7)  # more than the burst: let in all the same
    with pytest.raises(TooFast) as refused:
        rate.take("a")
    assert refused.value.headers == {"Retry-After": "3"}  # from 5 below nothing to 1, at 2 a second
    rate.take("b")
    now = 3.0
    rate.take("a")


def test_without_a_rate_nobody_is_held_back_and_many_clients_take_no_room() -> None:
    free = RateLimit(0.0, 1)
    for n in range(100):
        free.take(str(n % 2))
        free.owe(str(n % 2), 100)
    rate = RateLimit(0.001, 1)
    for n in range(12_000):
        rate.take(str(n))
    rate.take("0")  # forgotten, so it begins anew
    with pytest.raises(TooFast):
        rate.take("11999")
    rate.close()


def test_of_several_workers_each_counts_what_all_let_in(tmp_path: Path) -> None:
    file, now = tmp_path / "rates.sqlite", 0.0
    rates = [RateLimit(2.0, 4, shared=file, now=lambda: now) for _ in range(2)]
    for rate in rates:
        rate.take("a")
    rates[0].owe("a", 2)
    for rate in rates:
        with pytest.raises(TooFast):
            rate.take("a")
        rate.take("b")
    now = 0.5
    rates[1].take("a")
    with pytest.raises(TooFast):
        rates[0].take("a")
    for rate in rates:
        rate.close()


def test_workers_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each opens the file by itself, at the same moment."""
    rates = [RateLimit(0.001, 300, shared=tmp_path / "rates.sqlite") for _ in range(4)]
    begin = threading.Barrier(4)

    def take_all(rate: RateLimit) -> int:
        begin.wait()
        for taken in range(300):
            try:
                rate.take("a")
            except TooFast:
                return taken
        return 300

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take_all, rates)) == 300
    for rate in rates:
        rate.close()
