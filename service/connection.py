"""One client's connection: uvicorn's, with an end to waiting for what does not come.

uvicorn waits for ever for the head of a request, for the rest of a body, and for an answer to be fetched, and
keeps a head of any length. A thousand clients that do nothing, or little by little, would cost nothing to
send and a connection each to hold.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.account import Account
from service.logs import event
from service.problem_json import problem_bytes
from service.problems import PROBLEMS, Problem
from service.turnstile import STATE, Turnstile

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = logging.getLogger(__name__)

_AROUND_BYTES = len(b": \r\n")  # of each line of a head

Part = Literal["head", "body", "nothing"]


class Connection(HttpToolsProtocol):
    """For `http=` of uvicorn.Config. A fault that is seen here is answered as problem+json and ends it."""

    head_seconds = 10.0
    """For the head of a request to come, from the connection's or its first byte on."""
    body_seconds = 20.0
    body_bytes_per_second = 1_000
    """A body may take `body_seconds`, and longer while it comes at this rate. What came before is no credit
    for more than that, or a large body could be held at its last byte for hours.
    """
    fetch_seconds = 60.0
    """For some of what is there of an answer to be fetched."""
    max_head_bytes = 65_536
    idle_seconds = 75  # between two requests; uvicorn counts these, told by `server`
    max_ahead = 32
    """Requests that may come before the first of them is answered: all of a read is parsed at once, and some
    ten thousand would fit.
    """

    _due: asyncio.TimerHandle | None = None  # for what is being waited for
    _fetch_due: asyncio.TimerHandle | None = None
    _unfetched_bytes = 0
    _coming: Part = "head"  # of a request
    _head_bytes = 0
    _begun = 0  # requests, in the read that is being parsed
    _body_bytes = 0  # since it was looked at last
    _is_refused = False  # nothing more that comes is for anybody
    _to_refuse: Problem | None = None  # once the requests before have their answers
    _at_work: RequestResponseCycle | None = None  # for `cycle` is the one that came last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        transport.set_write_buffer_limits(0)  # so that it tells of the first byte that is not taken
        super().connection_made(transport)
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._at_work is not None and not self._at_work.response_complete:
            self._at_work.disconnected = True
            self._at_work.message_event.set()
        self._wait_no_more()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._begun = 0
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:  # _NobodyReads, too
            self._end("bad-request")
        except httptools.HttpParserUpgrade:
            pass  # answered as if it had not asked for that
        if self.transport.is_closing() or self._is_refused:
            return
        if self._coming == "head":
            # Of the read in which it began, all may be what came before; a whole head is weighed by itself.
            self._head_bytes += 1 if self._begun else len(data)
            if self._head_bytes > self.max_head_bytes:
                self._end("head-too-large")
                return
        if self._is_waiting():
            if self._due is None:
                self._wait(self.head_seconds if self._coming != "body" else self.body_seconds)
        else:
            self._wait_no_more()

    def on_message_begin(self) -> None:
        if self._is_refused:
            raise _NobodyReads  # which ends the parsing of this read
        super().on_message_begin()
        self._coming, self._head_bytes = "head", 0
        self._begun += 1

    def on_headers_complete(self) -> None:
        if self._is_refused:
            return
        if self._size_of_head() > self.max_head_bytes:  # and yet it came in one read
            self._end("head-too-large")
            return
        if max(self._begun - 1, len(self.pipeline) + self._is_answering()) >= self.max_ahead:
            self._end("too-many-ahead")
            return
        refusal = self._turned_away()
        if refusal is None:
            super().on_headers_complete()
        else:
            self.transport.write(refusal)
            self.cycle = cast(RequestResponseCycle, _Answered)  # so that the body is thrown away as it comes
            self.on_response_complete()
        self._coming, self._body_bytes = "body", 0
        self._wait_no_more()  # for the head; for the body, if there is more to it, from now on

    def on_body(self, body: bytes) -> None:
        if not self._is_refused:
            super().on_body(body)
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        if not self._is_refused:
            super().on_message_complete()
            self._coming = "nothing"

    def on_response_complete(self) -> None:
        next_is_whole = bool(self.pipeline) and not self.pipeline[-1][0].more_body
        if self._to_refuse is None or next_is_whole:
            super().on_response_complete()
        elif not self.transport.is_closing():
            self._refuse(self._to_refuse)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_to_be_fetched()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._fetch_due is not None:
            self._fetch_due.cancel()
            self._fetch_due = None

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + _AROUND_BYTES for name, value in self.headers)

    def _turned_away(self) -> bytes | None:
        """The answer to a query that there is no room for; None where the app is to answer."""
        turnstile: Turnstile | None = self.app_state.get(STATE)
        if (
            turnstile is None
            or self.parser.get_method() != b"POST"
            or self.parser.should_upgrade()
            or not self.parser.should_keep_alive()
            or self._is_answering()
            or self.flow.write_paused
        ):
            return None
        return turnstile.refuses(self.url.partition(b"?")[0], self.headers)

    def _is_waiting(self) -> bool:
        """Whether the client is to send something, and uvicorn sets it no time."""
        if self._coming != "nothing":
            return True
        return self.timeout_keep_alive_task is None and not self._is_answering()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _wait(self, seconds: float) -> None:
        self._due = self.loop.call_later(seconds, self._look)

    def _wait_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look(self) -> None:
        """The time is over, unless what came was enough to wait for more."""
        self._due = None
        if self.transport.is_closing():
            return
        if self._coming == "body" and self.flow.read_paused:
            self._wait(self.body_seconds)  # it may be there: we do not look
        elif self._coming == "body":
            earned_seconds = self._body_bytes / self.body_bytes_per_second
            self._body_bytes = 0
            if earned_seconds:
                self._wait(min(earned_seconds, self.body_seconds))
            else:
                self._end("request-too-slow")
        elif self._is_answering():
            self._wait(self.head_seconds)  # a next request is begun while we take our time for this one
        elif self._head_bytes:
            self._end("request-too-slow")
        else:
            self.transport.close()  # it never asked for anything

    def _wait_to_be_fetched(self) -> None:
        self._unfetched_bytes = self.transport.get_write_buffer_size()
        self._fetch_due = self.loop.call_later(self.fetch_seconds, self._look_at_fetching)

    def _look_at_fetching(self) -> None:
        if self.transport.get_write_buffer_size() < self._unfetched_bytes:
            self._wait_to_be_fetched()
        else:
            self.transport.abort()

    def _end(self, problem: str) -> None:
        """Say what is wrong, unless this request has its answer, and hang up; once only, and not before the
        requests ahead of it have theirs.
        """
        if self.transport.is_closing() or self._is_refused:
            return
        self._is_refused = True
        cycle: RequestResponseCycle | None = self.cycle  # of the request whose body comes, or the one before
        is_body = self._coming == "body"
        if self._is_answering() and (not is_body or self.pipeline):
            self._to_refuse = PROBLEMS[problem]
        elif is_body and cycle is not None and cycle.response_started:
            self.transport.close()
        else:
            self._refuse(PROBLEMS[problem])

    def _refuse(self, problem: Problem) -> None:
        self.transport.write(self._refusal(problem))
        self.transport.close()

    def _refusal(self, problem: Problem) -> bytes:
        account = Account()
        told = event("refused", status=problem.status, problem=problem.name, request_id=account.id)
        log.info("A connection ended with %d: %s", problem.status, problem.title, extra=told)
        headers = [*self.server_state.default_headers, (b"connection", b"close")]
        return problem_bytes(problem, problem.about, "", account.id, headers)


class _NobodyReads(Exception):
    """What comes after something that was refused."""


class _Answered:
    """Stands where uvicorn keeps a request and its answer, once all of that is over."""

    response_started = response_complete = True
    disconnected = False
    message_event = asyncio.Event()
