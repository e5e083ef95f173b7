"""A problem as an answer over HTTP, in the one form that every server of ours gives it: RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import Response

from service.problems import Problem

_TYPE = "application/problem+json"
_dumped = json.JSONEncoder(ensure_ascii=False).encode


def problem_json(
    told: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that tells so much; no cache keeps it."""
    return Response(
        _dumped(told), status, headers={**(headers or {}), "Cache-Control": "no-store"}, media_type=_TYPE
    )


def problem_bytes(
    problem: Problem,
    detail: str,
    instance: str,
    request_id: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """All of such an answer as HTTP/1.1 has it, for where there is no app to send one."""
    body = _dumped(
        {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "instance": instance,
            "request_id": request_id,
        }
    ).encode()
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {_TYPE}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nx-request-id: {request_id}\r\n"
    )
    more = b"".join(b"%b: %b\r\n" % header for header in headers)
    return head.encode() + more + b"\r\n" + body
