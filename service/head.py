"""ASGI middleware: HEAD is answered as GET is; the server leaves the body out (RFC 9110, 9.1)."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_MEDIA = re.compile(r"/v1/items/[^/]+/.+/media$")
"""Have a route of their own for it, for their bytes need not be read."""


class AnswerHead:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and not _MEDIA.match(scope["path"]):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
