"""ASGI middleware: whether a request may come in, said before its body is read; its bytes are counted then.

Whatever tells of the index takes a read key, where there are any; queries besides need room and keep to a
rate. A refusal costs next to nothing, so that a server with too much to do can say so to everybody, at once.
"""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.account import current
from service.admission import Admission, Overloaded
from service.keys import KeyMissing, KeyRefused, Keys
from service.metrics import Metrics
from service.rate_limit import RateLimit, TooFast
from service.turns import Turns

READING = re.compile(r"/v1/|/metrics$")
"""Paths that take a read key, where there are any."""
_QUERIES = re.compile(r"/v1/(search/|embeddings$|items/.*/neighbours$)")


class Door:
    """`refuse` is the ASGI app that answers a refused request, told why in `scope["saysee.refused"]`.

    A query was taken for one by its client's rate; a call that finds more in its body says how many more to
    `scope["saysee.owe"]`.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        admission: Admission,
        turns: Turns,
        rate: RateLimit,
        metrics: Metrics,
        refuse: ASGIApp,
    ) -> None:
        self._app = app
        self._keys = keys
        self._admission = admission
        self._turns = turns
        self._rate = rate
        self._metrics = metrics
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not READING.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        is_query = _QUERIES.match(scope["path"])
        try:
            headers = Headers(scope=scope)
            key = self._keys.reader(headers.get("authorization", ""), headers.get("cookie", ""))
            current().key = key.name if key is not None else None
            if is_query:
                client = _network(scope) if key is None else key.sha256.hex()
                self._admission.knock()
                self._rate.take(client)
                scope["saysee.owe"] = partial(self._rate.owe, client)
        except (KeyMissing, KeyRefused, TooFast, Overloaded) as refused:
            if isinstance(refused, TooFast):
                self._metrics.turned_away.labels("rate").inc()
            scope["saysee.refused"] = refused
            await self._refuse(scope, receive, send)
            return
        if not is_query:
            await self._app(scope, receive, send)
            return
        held = 0

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            held += size
            self._admission.hold(size)
            return message

        with self._admission.place() as read:
            came = perf_counter()
            await self._turns.mine()
            current().waited_seconds = perf_counter() - came
            read()
            try:
                await self._app(scope, counted, send)
            finally:
                self._admission.hold(-held)


def _network(scope: Scope) -> str:
    """Who asks without a key: an IPv4 address, or the 64 bits of an IPv6 address that one subscriber has."""
    address = str(scope["client"][0]) if scope.get("client") else "unknown"
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # no TCP: a Unix socket, or a test
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    return str(known.ipv4_mapped or ipaddress.IPv6Network((int(known), 64), strict=False))
