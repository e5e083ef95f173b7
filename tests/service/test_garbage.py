"""Refused queries leave nothing to be searched for, and what there is is searched for when nobody waits."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.app import create_app
from service.rate_limit import TooFast
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav

ROOT = Path(__file__).parents[2]

_SWEPT = """
import asyncio, gc, weakref
from service.garbage import search_when_idle, spare_the_collector

class Circle:
    pass

def leave_some():
    circles = [Circle() for _ in range(2000)]
    for circle in circles:
        circle.itself = circle
    return weakref.ref(circles[0])

asked = []
count = gc.get_freeze_count
gc.get_freeze_count = lambda: asked.append(1) or count()

async def main():
    busy = True
    task = asyncio.create_task(search_when_idle(lambda: not busy, 0.01))
    left = leave_some()
    await asyncio.sleep(0.2)
    print(left() is not None)
    busy = False
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if left() is None:
            break
    print(left() is None, len(asked))  # it takes 10 ms: not at every look
    task.cancel()

spare_the_collector(max_waiting=256)
print(gc.get_threshold()[0], count() > 0)
asyncio.run(main())
"""


def test_garbage_is_searched_for_when_nobody_waits() -> None:
    """In a process of its own: what is set aside there stays so."""
    said = subprocess.run(
        [sys.executable, "-c", _SWEPT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.split() == ["128000", "True", "True", "True", "1"]


@contextmanager
def kept_garbage() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()


def test_a_refused_query_leaves_no_garbage(index: Path) -> None:
    """An error that its request holds holds the request, by its traceback."""
    clip = make_wav()
    app = create_app(Settings(index=index, threads=1, rate_limit=0.001, rate_burst=1))
    with LocalClient(app) as client, kept_garbage():
        statuses = [client.post("/v1/search/images", content=clip).status_code for _ in range(6)]
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, TooFast)]
    assert statuses == [200, *[429] * 5]
    assert not left


@pytest.mark.parametrize("max_waiting", [1, 20])
def test_few_that_may_wait_leave_the_threshold_where_it_does_no_harm(max_waiting: int) -> None:
    script = "import gc; from service.garbage import spare_the_collector as spare; "
    script += f"spare({max_waiting}); print(gc.get_threshold()[0])"
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(said.stdout) == 10_000
