"""How often one client may ask: a token bucket each, filled at a steady rate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

_MOST_CLIENTS = 10_000  # who was not heard of for longest is forgotten, and begins anew


class TooFast(Exception):
    """This client asks more often than it may; `Retry-After` says when its next token is there."""

    def __init__(self, per_second: float, wait_seconds: float) -> None:
        super().__init__(f"This client sent more queries than the {per_second:g} a second that one may send.")
        self.headers = {"Retry-After": str(max(1, math.ceil(wait_seconds)))}


class RateLimit:
    """`per_second` tokens for each client, up to `burst` of them; 0 a second sets no limit."""

    def __init__(self, per_second: float, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when counted

    def take(self, client: str) -> None:
        """One token of the client's, or TooFast."""
        if not self._per_second:
            return
        tokens = self._left(client)
        if tokens < 1:
            raise TooFast(self._per_second, (1 - tokens) / self._per_second)
        self._buckets[client] = (tokens - 1, self._now())

    def owe(self, client: str, queries: int) -> None:
        """So many queries more came in the request that was let in: the client waits for them afterwards."""
        if self._per_second:
            self._buckets[client] = (self._left(client) - queries, self._now())

    def _left(self, client: str) -> float:
        """The client's tokens now, as they are kept from here on."""
        now = self._now()
        tokens, counted = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + self._per_second * (now - counted))
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return tokens
