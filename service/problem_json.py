"""A problem as an answer over HTTP, in the one form that every server of ours gives it: RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


def problem_json(
    told: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that tells so much; no cache keeps it."""
    return Response(
        json.dumps(told, ensure_ascii=False),
        status,
        headers={**(headers or {}), "Cache-Control": "no-store"},
        media_type="application/problem+json",
    )
