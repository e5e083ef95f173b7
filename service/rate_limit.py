"""How often one client may ask: a token bucket each, filled at a steady rate.

Of several workers any may be asked, so the buckets lie in a file that all of them share.
"""

from __future__ import annotations

import fcntl
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import BinaryIO

_MOST_CLIENTS = 10_000  # who was not heard of for longest is forgotten, and begins anew
_TAKEN_BETWEEN_FORGETTING = 1_000
_TABLE = "CREATE TABLE IF NOT EXISTS buckets (client TEXT PRIMARY KEY, tokens REAL, counted REAL)"
_FORGET = (
    "DELETE FROM buckets WHERE client IN (SELECT client FROM buckets ORDER BY counted DESC LIMIT -1 OFFSET ?)"
)


class TooFast(Exception):
    """This client asks more often than it may; `Retry-After` says when its next token is there."""

    def __init__(self, per_second: float, wait_seconds: float) -> None:
        super().__init__(f"This client sent more queries than the {per_second:g} a second that one may send.")
        self.headers = {"Retry-After": str(max(1, math.ceil(wait_seconds)))}


class RateLimit:
    """`per_second` tokens for each client, up to `burst` of them; 0 a second sets no limit.

    `shared`: the file where others with the same limit count, too; without one it counts alone. `now` is the
    same clock for all of them.
    """

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        shared: Path | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._shared = shared
        self._now = now
        self._buckets: sqlite3.Connection | None = None
        self._turn: BinaryIO | None = None
        self._taken = 0

    def take(self, client: str) -> None:
        """One token of the client's, or TooFast."""
        if not self._per_second:
            return
        with self._alone() as buckets:
            tokens, now = self._left(buckets, client)
            if tokens < 1:
                raise TooFast(self._per_second, (1 - tokens) / self._per_second)
            _keep(buckets, client, tokens - 1, now)
            self._taken += 1
            if self._taken % _TAKEN_BETWEEN_FORGETTING == 0:
                buckets.execute(_FORGET, [_MOST_CLIENTS])

    def owe(self, client: str, queries: int) -> None:
        """So many queries more came in the request that was let in: the client waits for them afterwards."""
        if self._per_second:
            with self._alone() as buckets:
                tokens, now = self._left(buckets, client)
                _keep(buckets, client, tokens - queries, now)

    def close(self) -> None:
        """Let go of the files."""
        if self._buckets is not None:
            self._buckets.close()
            self._buckets = None
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """While the block lasts nobody else changes a bucket.

        Who waits for a lock of the system goes on the moment it is free; SQLite's own would sleep on it.
        """
        if self._shared is not None:
            if self._turn is None:
                self._turn = self._shared.with_suffix(".turn").open("wb")
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            if self._buckets is None:
                self._buckets = _open(self._shared)
            yield self._buckets
        finally:
            if self._turn is not None:
                fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _left(self, buckets: sqlite3.Connection, client: str) -> tuple[float, float]:
        """The client's tokens, and the time it is."""
        now = self._now()
        found = buckets.execute("SELECT tokens, counted FROM buckets WHERE client = ?", [client]).fetchone()
        tokens, counted = found or (float(self._burst), now)
        return min(self._burst, tokens + self._per_second * (now - counted)), now


def _open(shared: Path | None) -> sqlite3.Connection:
    # Each statement is whole by itself. An app may be made in one thread and asked in another.
    buckets = sqlite3.connect(shared or ":memory:", isolation_level=None, check_same_thread=False)
    # What is there does not outlive the service, so nothing waits for a disk.
    buckets.execute("PRAGMA journal_mode = PERSIST")
    buckets.execute("PRAGMA synchronous = OFF")
    buckets.execute(_TABLE)
    return buckets


def _keep(buckets: sqlite3.Connection, client: str, tokens: float, now: float) -> None:
    buckets.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", [client, tokens, now])
