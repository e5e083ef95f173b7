"""Worker processes for long work that comes in pieces: they end with whoever started them. No torch here."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_TASKS_AHEAD = 4  # tasks waiting a worker: enough that none idles, few enough that a kill loses little


class WorkerDied(Exception):
    """A worker process ended without an answer."""


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of `workers` processes; what waits in it is dropped when the context ends.

    They are spawned, so a script needs its `__main__` guard: the caller may hold threads (a progress bar, a
    trainer) or a library's state, which fork would copy half alive. Raises WorkerDied where one dies.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise WorkerDied(
            "A worker process died (out of memory, or killed); give the same command again to go on, "
            "with fewer --workers if it does so again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def spread(function: Callable[[_Task], _Result], tasks: Iterable[_Task], workers: int) -> Iterator[_Result]:
    """Results in the order they come; tasks are taken as they are needed. One worker means this process."""
    if workers == 1:
        yield from map(function, tasks)
        return
    waiting_tasks = iter(tasks)
    with worker_pool(workers) as pool:
        running: set[Future[_Result]] = {
            pool.submit(function, task) for task in islice(waiting_tasks, workers * _TASKS_AHEAD)
        }
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(function, task) for task in islice(waiting_tasks, len(finished))}
            for future in finished:
                yield future.result()


def _end_with_parent() -> None:
    """A worker whose parent was killed would otherwise wait for its next task for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
