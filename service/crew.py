"""Threads for what the event loop must not wait for: a fixed number, one queue, the oldest first.

A hand that is done takes what waits next without asking the loop, and the loop is woken once for all that was
done by then: with more to do than cores, hardly anything is ever handed from thread to thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_NICE = 10  # a tenth of the weight of a usual thread


@dataclass
class _Task:
    work: Callable[[], Any]
    context: Context
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(eq=False)
class _Shift:
    """What the hands of one event loop share."""

    loop: asyncio.AbstractEventLoop
    queue: SimpleQueue[_Task | None] = field(default_factory=SimpleQueue)
    done: deque[_Task] = field(default_factory=deque)
    loop_is_told: bool = False


class Crew:
    """So many hands, which come with the first work and go with `close`. One event loop at a time asks."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._shift: _Shift | None = None

    def run(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """What the work gives or raises, to be awaited in the calling task, whose context it is done in: when
        that is cancelled before the work was begun it never is, and later nobody hears of it.
        """
        loop = asyncio.get_running_loop()
        shift = self._shift
        if shift is None or shift.loop is not loop:
            shift = self._begin(loop)
        task = _Task(work, copy_context(), loop.create_future())
        shift.queue.put(task)
        return task.answer

    def close(self) -> None:
        """The hands finish what they are at and go; a later `run` brings new ones."""
        shift, self._shift = self._shift, None
        if shift is not None:
            for _ in range(self._size):
                shift.queue.put(None)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> _Shift:
        self.close()
        self._shift = shift = _Shift(loop)
        for number in range(self._size):
            # A daemon, so that a decoder that never ends cannot keep the process from ending.
            threading.Thread(target=_stay, args=(shift,), name=f"{self._name}-{number}", daemon=True).start()
        return shift


def step_back() -> None:
    """Tell Linux that this thread, and those it starts, work long and need not be quick off the mark.

    They get whatever the event loop leaves of the cores, and none of them takes a core from it just when it
    has woken one up. A loop that waits for its turn behind decoders and the model lets everybody wait, and
    those most whom it only has to turn away. In a container, or where Linux groups by session, only threads
    of the service are weighed against each other; elsewhere what runs beside it goes before its model, too.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        with suppress(OSError):
            os.nice(_NICE)


def _stay(shift: _Shift) -> None:
    step_back()
    while _do_next(shift):
        pass


def _do_next(shift: _Shift) -> bool:
    """The next task, if there is to be one. A call of its own: while it waits it keeps nothing alive."""
    task = shift.queue.get()
    if task is None:
        return False
    if task.answer.cancelled():
        return True
    try:
        task.result = task.context.run(task.work)
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        task.error = error
    shift.done.append(task)
    if not shift.loop_is_told:
        shift.loop_is_told = True
        try:
            shift.loop.call_soon_threadsafe(_tell, shift)
        except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
            return False
    return True


def _tell(shift: _Shift) -> None:
    """On the loop: everybody whose work is done gets it."""
    shift.loop_is_told = False  # said first: what is done from here on tells the loop anew
    while shift.done:
        task = shift.done.popleft()
        if task.answer.done():
            continue  # cancelled meanwhile
        if task.error is not None:
            task.answer.set_exception(task.error)
        else:
            task.answer.set_result(task.result)
