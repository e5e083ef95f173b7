"""The thread that owns what is served: whatever is done on it is done one after the other.

A daemon, and with an end to waiting for it, so that a model that never comes back cannot keep the process
from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from service.crew import step_back

_T = TypeVar("_T")
_Task = tuple[Future[Any], Callable[[], Any]]


class Owner:
    """Asked from any thread. Its thread comes with the first work and goes with `close`."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._stay, name=name, daemon=True)
        self._lock = threading.Lock()  # holds the two below together
        self._has_begun = False
        self._is_closed = False

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """What the work gives or raises. Raises RuntimeError once it was closed."""
        future: Future[_T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"{self._thread.name} takes no more work.")
            if not self._has_begun:
                self._has_begun = True
                self._thread.start()
            self._queue.put((future, work))
        return future

    def close(self, patience_seconds: float) -> bool:
        """Take no more work, and wait so long for what is there to be done: whether it is."""
        with self._lock:
            self._is_closed = True
            if not self._has_begun:
                return True
            self._queue.put(None)
        self._thread.join(patience_seconds)
        return not self._thread.is_alive()

    def _stay(self) -> None:
        step_back()
        while (task := self._queue.get()) is not None:
            _do(*task)
            del task  # while it waits it keeps nothing alive


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        future.set_exception(error)
