"""Requests and replies as values, and what a reply that is no answer means. No connection is opened here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Generic, TypeVar

from service.client.errors import ClientError, Refused

_T = TypeVar("_T")


@dataclass(frozen=True)
class Request:
    """What is sent: `body` as it is, or each of `files` as a multipart field; `path` is percent-encoded.

    `timeout_s`: how long a try may wait for the server to go on, where that is not the client's own time.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    files: tuple[bytes, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True)
class Reply:
    """What came back whole; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Lost:
    """No whole reply came. `again`: another try may help; `sent`: the server may have got the request."""

    fault: ClientError
    again: bool
    sent: bool


@dataclass(frozen=True)
class Call(Generic[_T]):
    """A request and how its answer is read. `repeatable`: doing it twice does no more than doing it once.

    `final`: types of problems after which the very same is not sent again, whatever the status says.
    """

    request: Request
    read: Callable[[Reply], _T]
    repeatable: bool = True
    final: frozenset[str] = frozenset()


def refused(reply: Reply) -> Refused:
    """The fault that a reply with an error status tells of, whoever sent it: also a proxy in between."""
    told = _problem(reply)
    if told.get("type") == "/problems/no-such-address":
        path = told.get("instance", "such address")
        told["detail"] = f"The server has no {path}: give its address without a path."
    status = f"{reply.status} ({_phrase(reply.status)})"
    where = f", leading to {reply.headers['location']}" if "location" in reply.headers else ""
    return Refused(
        reply.status,
        told.get("type", "about:blank"),
        told.get("title", _phrase(reply.status)),
        told.get("detail", f"The server answered {status}{where} and did not say what is wrong."),
        reply.headers.get("x-request-id", ""),
        _retry_after_s(reply.headers.get("retry-after", "")),
    )


def _problem(reply: Reply) -> dict[str, str]:
    """The members of a problem+json that are text; nothing where it is none."""
    if reply.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return {}
    try:
        told = json.loads(reply.body)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status of no name"


def _retry_after_s(value: str) -> float | None:
    """Seconds from now on, given as such or as a date (RFC 9110, 10.2.3); None where it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
