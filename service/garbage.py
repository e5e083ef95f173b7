"""When Python searches for garbage: while nobody waits, and in the middle of work only if it must.

Queries leave none. Connections do, some objects each, when they close. But a search looks through all that is
new: of a full queue these are 65,000 objects, and it held all up for 35 ms to find nothing.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

_OBJECTS_EACH = 500  # twice what a query that waits holds, with its connection
_FEWEST_OBJECTS = 10_000
_LOOK_SECONDS = 2.0
_WORTH_A_SEARCH = 1_000  # objects: of some two hundred connections


def spare_the_collector(max_waiting: int) -> None:
    """What is there when serving begins stays: with it a search takes 30 ms each time (100,000 objects), and
    0.02 ms without. Of what is new there may be twice as much as so many queries hold before one begins.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(_FEWEST_OBJECTS, _OBJECTS_EACH * max_waiting))


async def search_when_idle(is_idle: Callable[[], bool], look_seconds: float = _LOOK_SECONDS) -> None:
    """For ever; cancel it to end it. Not where nothing was set aside before: there a search takes long."""
    if not gc.get_freeze_count():  # asked once: it counts them one by one, for 10 ms
        return
    while True:
        await asyncio.sleep(look_seconds)
        if gc.get_count()[0] > _WORTH_A_SEARCH and is_idle():
            gc.collect()
