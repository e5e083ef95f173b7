"""Who rates what next: pairs in the tasks' order, each until enough people have, nobody twice.

Raters at work at once are kept from making one rating too many: a pair handed out counts as half given for a
while. Safe to call from several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from service.rate.ledger import Ledger, Verdict
from service.rate.tasks import Pair, Tasks

HELD_SECONDS = 300.0
LONGEST_NAME = 60


class RatingRefused(Exception):
    """A rating that cannot be kept; nothing was."""


class NameRefused(Exception):
    """What was given is no name."""


@dataclass(frozen=True)
class Turn:
    """What a rater sees: the next pair, or None when nothing is left for them."""

    pair: Pair | None
    rated: int
    of: int
    ratings: int
    ratings_wanted: int
    can_take_back: bool


class Desk:
    """Hands out pairs and takes ratings."""

    def __init__(self, tasks: Tasks, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self.tasks, self._ledger, self._clock = tasks, ledger, clock
        self._pairs = {pair.id: pair for pair in tasks.pairs}
        self._held: dict[str, dict[str, float]] = {}
        self._lock = Lock()

    def pair(self, pair_id: str) -> Pair | None:
        """A pair by its id."""
        return self._pairs.get(pair_id)

    def turn(self, rater: str) -> Turn:
        """The rater's next pair and how far all have come. Raises NameRefused."""
        with self._lock:
            return self._turn(named(rater))

    def rate(self, rater: str, pair: str, verdict: Verdict) -> Turn:
        """Keep a rating, then the next turn. Raises RatingRefused, NameRefused."""
        rater = named(rater)
        with self._lock:
            if pair not in self._pairs:
                raise RatingRefused(f"There is no pair {pair[:80]!r} in these tasks.")
            given = self._ledger.given.get(pair, {})
            if rater in given:
                raise RatingRefused(f"{rater} has rated {pair} already; take it back to rate it again.")
            if len(given) >= self.tasks.raters:
                raise RatingRefused(
                    f"{pair} has its {self.tasks.raters} ratings already; go on with the next one."
                )
            self._ledger.add(pair, rater, verdict, _now())
            self._held.get(pair, {}).pop(rater, None)
            return self._turn(rater)

    def take_back(self, rater: str) -> Turn:
        """Withdraw the rater's newest rating; its pair comes again. Raises RatingRefused, NameRefused."""
        rater = named(rater)
        with self._lock:
            pair = self._ledger.withdraw(rater, _now())
            if pair is None:
                raise RatingRefused(f"{rater} has given no rating that could be taken back.")
            return self._turn(rater, pair)

    def _turn(self, rater: str, again: str | None = None) -> Turn:
        now = self._clock()
        for holders in self._held.values():
            holders.pop(rater, None)  # nobody holds two
        found = again or next((pair.id for pair in self.tasks.pairs if self._free(pair.id, rater, now)), None)
        if found is not None:
            self._held.setdefault(found, {})[rater] = now + HELD_SECONDS
        own = self._ledger.order.get(rater, [])
        left = sum(self._open(pair.id, rater) for pair in self.tasks.pairs)
        given = sum(len(raters) for raters in self._ledger.given.values())
        wanted = len(self.tasks.pairs) * self.tasks.raters
        pair = None if found is None else self._pairs[found]
        return Turn(pair, len(own), len(own) + left, given, wanted, bool(own))

    def _open(self, pair: str, rater: str) -> bool:
        given = self._ledger.given.get(pair, {})
        return rater not in given and len(given) < self.tasks.raters

    def _free(self, pair: str, rater: str, now: float) -> bool:
        held = sum(until > now for until in self._held.get(pair, {}).values())
        return self._open(pair, rater) and len(self._ledger.given.get(pair, {})) + held < self.tasks.raters


def named(rater: str) -> str:
    """The name with single spaces. Raises NameRefused."""
    name = " ".join(rater.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise NameRefused(f"A rater's name is 1 to {LONGEST_NAME} printable characters, not {rater[:80]!r}.")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
