"""Memory for unpacking pictures: all that are unpacked at once, by any number of threads, share one bound."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

# Never waits: most pictures are this small, and one large one must not hold them up.
_SMALL_BYTES = 16_000_000
# A build on a slow machine may wait for minutes; no thread may for ever.
_LONGEST_WAIT_SECONDS = 600.0


class NoRoom(Exception):
    """Others held the memory for too long: nothing is wrong with the picture."""


class Room:
    """Bytes in use, and threads that wait for others to be done with theirs."""

    def __init__(self, longest_wait_seconds: float = _LONGEST_WAIT_SECONDS) -> None:
        self._longest_wait_seconds = longest_wait_seconds
        self._changed = Condition()
        self._used = 0

    @contextmanager
    def taken(self, size_bytes: int, most_bytes: int) -> Iterator[None]:
        """Hold `size_bytes` once that makes no more than `most_bytes` in all; one alone may hold more.

        Raises NoRoom after ten minutes in which there was none.
        """
        if size_bytes <= _SMALL_BYTES:
            yield
            return
        with self._changed:
            if not self._changed.wait_for(
                lambda: not self._used or self._used + size_bytes <= most_bytes, self._longest_wait_seconds
            ):
                raise NoRoom(
                    f"Unpacking this picture takes {size_bytes:,} bytes, and other pictures left no room for "
                    f"it in {self._longest_wait_seconds:g} s: send it again later."
                )
            self._used += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._used -= size_bytes
                self._changed.notify_all()
