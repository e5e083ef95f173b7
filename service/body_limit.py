"""ASGI middleware: counts the bytes of every request body before anything parses it, and stops at the limit.

A declared length over the limit is refused before a byte is read; a body without a length, or with a wrong
one, is refused at the byte that is too many. The refusal is sent at once, then the rest of the body is read
and thrown away for a little while: closing at once would reset the connection and lose the answer on its way
to the client.
"""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 256 * 1024 * 1024


class BodyTooLarge(Exception):
    """The request body is over the limit; the message says the limit."""

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"The request body is larger than the {max_body_bytes:,} bytes that are taken here.")


class BodyLimit:
    """`refuse` is the ASGI app that answers a refused request, told why in `scope["saysee.refused"]`."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, refuse: ASGIApp) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            scope["saysee.refused"] = BodyTooLarge(self._max_body_bytes)
            await self._refuse(scope, receive, _Lingering(receive, send))
            return
        seen = 0
        over = False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body_bytes:
                over = True
                raise BodyTooLarge(self._max_body_bytes)
            return message

        lingering = _Lingering(receive, send)

        async def answered(message: Message) -> None:
            await (lingering if over else send)(message)

        await self._app(scope, counted, answered)


class _Lingering:
    """Sends the answer with `Connection: close`, throws the rest of the body away, then ends the answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
            await self._send({**message, "headers": [*headers, (b"connection", b"close")]})
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _discard(self) -> None:
        discarded = 0
        with anyio.move_on_after(_LINGER_SECONDS):
            while discarded < _LINGER_BYTES:
                message = await self._receive()
                discarded += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
