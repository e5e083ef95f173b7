"""One call until it is answered: what to send, how long to wait, when to give up. Nothing is sent here.

A call is sent again where the server says that it has no room now (503) or that this client asks too often
(429), where nobody answers, and where the connection breaks; never where it may already have changed
something. What the server says of when to come back is kept to, and never undercut.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from service.client.errors import ClientError
from service.client.message import Call, Lost, Reply, Request, refused

_T = TypeVar("_T")

_COME_BACK = (429, 503)
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0  # where nobody says how long it should be
_JITTER = 0.25  # of a pause, so that clients turned away together do not come back together


@dataclass(frozen=True)
class Retries:
    """At most `most` further tries of a call, all begun within `total_s` seconds of its first."""

    most: int = 4
    total_s: float = 60.0


@dataclass(frozen=True)
class Wait:
    """Let so many seconds pass."""

    seconds: float


Conversation = Generator[Request | Wait, Reply | Lost | None, _T]
"""Gives what to do next, is sent what came of it (None of a Wait), and returns the answer."""


def converse(
    call: Call[_T],
    retries: Retries,
    clock: Callable[[], float] = time.monotonic,
    draw: Callable[[], float] = random.random,
) -> Conversation[_T]:
    """Raises the last fault, a ClientError, when trying again is of no use or was tried often enough."""
    began = clock()
    tries, usual_s = 0, _FIRST_PAUSE_S
    while True:
        got = yield call.request
        if isinstance(got, Reply) and 200 <= got.status < 300:
            return call.read(got)
        fault, pause_s = _judged(got, call, usual_s)
        tries, usual_s = tries + 1, min(2 * usual_s, _LONGEST_PAUSE_S)
        if pause_s is None or tries > retries.most:
            raise fault
        pause_s *= 1 + _JITTER * draw()
        if clock() - began + pause_s > retries.total_s:
            raise fault
        yield Wait(pause_s)


def _judged(got: Reply | Lost | None, call: Call[_T], usual_s: float) -> tuple[ClientError, float | None]:
    """What is wrong, and the least pause before another try, or None where there is to be none."""
    if isinstance(got, Lost):
        return got.fault, usual_s if got.again and (call.repeatable or not got.sent) else None
    if got is None:
        raise TypeError("A request was given, and what came of it was not sent back.")
    fault = refused(got)
    if got.status not in _COME_BACK or not call.repeatable or fault.type in call.final:
        return fault, None
    return fault, usual_s if fault.retry_after_s is None else max(fault.retry_after_s, _FIRST_PAUSE_S)
