"""What is done on the owner's thread is done in order, and nobody waits for ever for what does not end."""

import threading
import time
from functools import partial

import pytest

from service.owner import Owner


def test_all_is_done_on_one_thread_in_order() -> None:
    owner, done = Owner("owner"), list[tuple[int, str]]()

    def do(number: int) -> None:
        done.append((number, threading.current_thread().name))

    futures = [owner.submit(partial(do, number)) for number in range(50)]
    assert owner.close(60)
    assert done == [(number, "owner") for number in range(50)]
    assert all(future.done() for future in futures)


def test_what_is_raised_is_raised_where_it_is_awaited_and_the_next_is_done() -> None:
    owner = Owner("owner")
    failed, fine = owner.submit(lambda: 1 // 0), owner.submit(lambda: 1)
    with pytest.raises(ZeroDivisionError):
        failed.result(60)
    assert fine.result(60) == 1
    assert owner.close(60)


def test_what_was_cancelled_before_its_turn_is_not_done() -> None:
    owner, gate, done = Owner("owner"), threading.Event(), list[int]()
    owner.submit(gate.wait)
    assert owner.submit(lambda: done.append(1)).cancel()
    gate.set()
    assert owner.close(60)
    assert not done


def test_it_takes_nothing_once_it_is_closed_and_closing_needs_no_thread() -> None:
    owner = Owner("owner")
    assert owner.close(0)
    with pytest.raises(RuntimeError):
        owner.submit(time.monotonic)


def test_what_does_not_come_back_is_left_behind() -> None:
    owner, gate = Owner("owner"), threading.Event()
    owner.submit(gate.wait)
    assert not owner.close(0.1)
    gate.set()
