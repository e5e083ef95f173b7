"""Threads that unpack pictures never hold more together than there is, and none waits for ever."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.media.room import NoRoom, Room

MEGA = 1_000_000


def test_the_bound_holds_whatever_comes_at_once() -> None:
    room, lock = Room(), threading.Lock()
    held, most, alone = 0, 0, 0

    def unpack(size: int) -> None:
        nonlocal held, most, alone
        with room.taken(size * MEGA, 320 * MEGA):
            with lock:
                held += size
                most = max(most, held)
                alone += held > 320
            threading.Event().wait(0.002)
            with lock:
                held -= size

    chance = random.Random(1)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(unpack, [chance.choice((17, 50, 120, 192, 320)) for _ in range(300)]))
    assert (held, alone) == (0, 0)
    assert 192 < most <= 320


def test_one_that_is_larger_than_all_of_it_goes_alone() -> None:
    room = Room()
    with room.taken(500 * MEGA, 320 * MEGA):
        pass


def test_small_ones_never_wait() -> None:
    room = Room()
    with room.taken(320 * MEGA, 320 * MEGA), room.taken(10 * MEGA, 320 * MEGA):
        pass


def test_it_is_given_back_when_unpacking_fails() -> None:
    room = Room()
    for _ in range(3):
        with pytest.raises(RuntimeError), room.taken(300 * MEGA, 320 * MEGA):
            raise RuntimeError


def test_who_waits_too_long_is_told_and_holds_nothing() -> None:
    room = Room(longest_wait_seconds=0.05)
    with room.taken(300 * MEGA, 320 * MEGA), pytest.raises(NoRoom), room.taken(30 * MEGA, 320 * MEGA):
        pass
    with room.taken(320 * MEGA, 320 * MEGA):
        pass
