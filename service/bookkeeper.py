"""ASGI middleware: every request gets an id, and at its end is counted, traced, and told in the log.

Nothing that a client sent is counted or logged but the id, which is a plain word: a path may hold anything,
so it is told as the pattern of its route.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.account import Account, open_account
from service.logs import event
from service.metrics import Metrics
from service.readiness import Readiness
from service.snapshot import NotReady
from service.stages import longest
from service.tracing import EndTrace, Traces

log = logging.getLogger(__name__)

ID_HEADER = "X-Request-ID"
Pattern = tuple[re.Pattern[str], str]
"""What the paths of a route look like, and the pattern it is told as."""

_CLOSE = (b"connection", b"close")  # so that the client's next request goes to another server
_STOPPED = "This server has stopped before the request was answered; another one may."
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ASKED_ALL_THE_TIME = frozenset({"/livez", "/readyz", "/metrics"})
_PARTS_OF_PAGES = frozenset({"/page", "/docs/assets"})  # dozens each time that a page is opened
_TOLD_IF_THEY_FAIL = _ASKED_ALL_THE_TIME | _PARTS_OF_PAGES


class Bookkeeper:
    """`refuse` is the ASGI app that answers a request that failed, told why in `scope["saysee.refused"]`."""

    def __init__(
        self,
        app: ASGIApp,
        patterns: Sequence[Pattern],
        metrics: Metrics,
        traces: Traces | None,
        readiness: Readiness,
        refuse: ASGIApp,
    ) -> None:
        self._app = app
        self._patterns = patterns
        self._metrics = metrics
        self._traces = traces
        self._readiness = readiness
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        account = open_account(headers.get(ID_HEADER))
        end_trace: EndTrace | None = None
        if self._traces is not None and scope["path"] not in _ASKED_ALL_THE_TIME:
            end_trace = self._traces.begin(headers, account)
        id_header = (ID_HEADER.lower().encode(), account.id.encode())
        status = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers_more = [id_header, _CLOSE] if self._readiness.leaving else [id_header]
                message = {**message, "headers": [*message["headers"], *headers_more]}
            await send(message)

        started = perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:  # by the server, which stops and has waited long enough
            if status is None:
                scope["saysee.refused"] = NotReady(_STOPPED)
                await self._refuse(scope, receive, noted)
        except Exception as error:  # nobody further out would answer it
            if status is not None:
                raise  # too late for another answer: the server logs it and hangs up
            log.exception("A fault of ours ended a request.", extra=event("fault"))
            scope["saysee.refused"] = error
            await self._refuse(scope, receive, noted)
        finally:
            self._metrics.in_flight.dec()
            seconds, status = perf_counter() - started, status or 500
            route = self._pattern(scope["path"])
            method = scope["method"] if scope["method"] in _METHODS else "other"
            if end_trace is not None:
                end_trace(method, route, status)
            self._close(account, method, route, status, seconds)

    def _close(self, account: Account, method: str, route: str, status: int, seconds: float) -> None:
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        if account.problem is not None:
            self._metrics.problems.labels(account.problem).inc()
        for query in account.queries:
            for stage, ms in query.gone_through.items():
                self._metrics.stage_seconds.labels(stage).observe(ms / 1000)
        level = logging.DEBUG if route in _TOLD_IF_THEY_FAIL and status < 400 else logging.INFO
        if log.isEnabledFor(level):
            went_through = longest(account.queries).gone_through
            told = event(
                "request",
                method=method,
                route=route,
                status=status,
                duration_ms=round(1000 * seconds, 3),
                stages_ms={stage: round(ms, 3) for stage, ms in went_through.items()} or None,
                generation=account.generation,
                modality=account.modality,
                key=account.key,
                problem=account.problem,
            )
            log.log(level, "%s %s %d in %.1f ms", method, route, status, 1000 * seconds, extra=told)

    def _pattern(self, path: str) -> str:
        """One word where no route has such a path, or a scanner would fill the registry."""
        return next((told for paths, told in self._patterns if paths.match(path)), "unmatched")
