"""Queries for which there is no room at all, refused where they come in: before there is a task for them.

What asks for ten times more than can be done keeps a server busy with saying no. Through all of the app that
takes longer than the model takes for a picture; here it takes little more than reading the request. For the
same reason there is no line of the log for each, and no trace, but one line a second that counts them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from service.account import request_id
from service.admission import Admission, Overloaded
from service.logs import event
from service.metrics import Metrics
from service.problem_json import problem_bytes
from service.problems import PROBLEMS

log = logging.getLogger(__name__)

STATE = "saysee.turnstile"
"""Where a connection finds it in the state of the app's lifespan."""

_PROBLEM = PROBLEMS["overloaded"]
_TOLD_EVERY_SECONDS = 1.0


class Turnstile:
    """For the queries POSTed to `paths`, which are counted in the metrics as they are. How long they took is
    not told: so many that took no time would pass for a server that is fast.

    `headers` go with every answer. Where pages of other origins may ask, a browser's requests are left to the
    app, whose answer depends on who asks.
    """

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        *,
        paths: Sequence[str],
        headers: Sequence[tuple[bytes, bytes]],
        others_may_ask: bool,
    ) -> None:
        self._admission = admission
        self._paths = {path.encode(): path for path in paths}
        status = str(_PROBLEM.status)
        self._counts = {path: metrics.requests.labels(path, "POST", status) for path in paths}
        self._problems = metrics.problems.labels(_PROBLEM.name)
        self._headers = (*headers, (b"vary", b"Origin")) if others_may_ask else headers
        self._others_may_ask = others_may_ask
        self._passed = 0  # in this turn of the loop: in the next they have a place
        self._untold = 0

    def refuses(self, path: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The answer to a POST for which there is no room; None for what the app is to answer."""
        try:
            if path in self._paths:
                self._admission.knock(self._passed)
                self._pass()
            return None
        except Overloaded as refused:
            given = dict(headers)
            if self._others_may_ask and b"origin" in given:
                return None
            self._count(self._paths[path])
            return problem_bytes(
                _PROBLEM,
                detail=str(refused),
                instance=self._paths[path],
                request_id=request_id(given.get(b"x-request-id", b"").decode("latin-1")),
                headers=[*self._headers, (b"retry-after", refused.headers["Retry-After"].encode())],
            )

    def _pass(self) -> None:
        self._passed += 1
        if self._passed == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._passed = 0

    def _count(self, path: str) -> None:
        self._counts[path].inc()
        self._problems.inc()
        self._untold += 1
        if self._untold == 1:
            asyncio.get_running_loop().call_later(_TOLD_EVERY_SECONDS, self._tell)

    def _tell(self) -> None:
        count, self._untold = self._untold, 0
        log.info(
            "%d queries were turned away in the last second: there was no room for them.",
            count,
            extra=event("turned-away", count=count),
        )
