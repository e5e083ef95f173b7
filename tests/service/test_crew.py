"""The threads behind the event loop: in order, no more than there are, and nothing kept of what is done."""

import asyncio
import gc
import os
import sys
import threading
import time
import weakref

import pytest

from service.crew import Crew
from tests.fixtures.own_loop import run_async


def test_everybody_gets_their_own_result_or_error() -> None:
    async def test() -> None:
        crew = Crew(3, "hand")

        def work(n: int) -> int:
            if n % 7 == 3:
                raise ValueError(n)
            return n * n

        answers = await asyncio.gather(
            *(crew.run(lambda n=n: work(n)) for n in range(500)),  # type: ignore[misc]
            return_exceptions=True,
        )
        assert [str(a) if isinstance(a, ValueError) else a for a in answers] == [
            str(n) if n % 7 == 3 else n * n for n in range(500)
        ]
        crew.close()

    run_async(test)


def test_no_more_hands_than_there_are_and_the_oldest_first() -> None:
    async def test() -> None:
        crew, gate = Crew(2, "hand"), threading.Event()
        begun: list[int] = []

        def work(n: int) -> None:
            begun.append(n)
            gate.wait(30)

        answers = [crew.run(lambda n=n: work(n)) for n in range(6)]  # type: ignore[misc]
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert sorted(begun) == [0, 1]
        gate.set()
        await asyncio.gather(*answers)
        assert begun[2:] in ([2, 3, 4, 5], [3, 2, 4, 5], [2, 3, 5, 4], [3, 2, 5, 4])
        crew.close()

    run_async(test)


def test_what_was_cancelled_before_its_turn_is_never_begun() -> None:
    async def test() -> None:
        crew, gate = Crew(1, "hand"), threading.Event()
        begun: list[str] = []
        first = crew.run(lambda: gate.wait(30))
        late = crew.run(lambda: begun.append("late"))
        late.cancel()
        last = crew.run(lambda: begun.append("last"))
        gate.set()
        await asyncio.gather(first, last)
        assert begun == ["last"]
        crew.close()

    run_async(test)


def test_what_is_cancelled_while_it_is_done_disturbs_nobody() -> None:
    async def test() -> None:
        crew, gate = Crew(1, "hand"), threading.Event()
        started = threading.Event()

        def work() -> None:
            started.set()
            gate.wait(30)

        first = crew.run(work)
        while not started.is_set():
            await asyncio.sleep(0.01)
        first.cancel()
        second = crew.run(lambda: "second")
        gate.set()
        assert await second == "second"
        crew.close()

    run_async(test)


def test_nothing_is_kept_of_what_is_done() -> None:
    class Body:
        pass

    async def test() -> None:
        crew, body = Crew(2, "hand"), Body()
        gone = weakref.ref(body)
        assert isinstance(await crew.run(lambda kept=body: kept), Body)  # type: ignore[misc]
        del body
        for _ in range(200):
            gc.collect()
            if gone() is None:
                break
            await asyncio.sleep(0.01)
        assert gone() is None
        crew.close()

    run_async(test)


def test_hands_go_when_it_is_closed_and_come_again_for_another_loop() -> None:
    crew = Crew(2, "passing")

    async def test() -> None:
        assert await crew.run(threading.current_thread) in threading.enumerate()

    def there() -> int:
        return sum(thread.name.startswith("passing") for thread in threading.enumerate())

    run_async(test)
    run_async(test)  # another loop: the hands of the first one go
    crew.close()
    deadline = time.monotonic() + 30
    while there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("closed_first", [False, True])
def test_a_loop_that_ended_meanwhile_is_no_fault(closed_first: bool) -> None:
    crew, gate, done = Crew(1, "hand"), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(30)
        done.set()

    async def test() -> None:
        crew.run(work)

    run_async(test)
    if closed_first:
        crew.close()
    gate.set()
    assert done.wait(30)

    async def again() -> None:
        assert await crew.run(lambda: 5) == 5
        crew.close()

    run_async(again)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such policy")
def test_hands_leave_the_loop_its_core() -> None:
    async def test() -> None:
        crew = Crew(1, "hand")
        assert await crew.run(lambda: os.sched_getscheduler(0)) == os.SCHED_BATCH
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
        before = os.nice(0)
        assert await crew.run(lambda: os.nice(0)) == min(19, before + 10)
        assert os.nice(0) == before
        crew.close()

    run_async(test)
