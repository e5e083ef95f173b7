"""An end that no client notices: /readyz says no first, and the port closes when that has got around.

Whoever spreads requests over several replicas learns of an end from /readyz, or from whoever sent SIGTERM,
and in either case a little late.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from service.logs import event
from service.readiness import Readiness

log = logging.getLogger(__name__)


@contextmanager
def draining(readiness: Readiness, seconds: float) -> Iterator[None]:
    """While the block lasts, a SIGTERM reaches its handler only `seconds` later, and /readyz says no until
    then. A second one reaches it at once. For the main thread; in others nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, handler = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, handler)
        loop.call_soon_threadsafe(begin, number)

    def begin(number: int) -> None:
        readiness.leave()
        told = event("stopping", drain_seconds=seconds)
        when = f"in {seconds:g} s" if seconds else "now"
        log.info("Asked to stop: the port closes %s.", when, extra=told)
        loop.call_later(seconds, signal.raise_signal, number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
