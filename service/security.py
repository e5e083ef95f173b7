"""ASGI middleware: what every answer forbids a browser, and what HTML pages may load (only from here)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        "media-src 'self' blob:",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
# Swagger UI sets style attributes on its own elements.
DOCS_POLICY = f"{PAGE_POLICY}; style-src 'self' 'unsafe-inline'"

_EVERYWHERE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)


def headers_everywhere(embeddable: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer carries. Unless `embeddable`, no page of another origin may show or play it."""
    policy = b"cross-origin" if embeddable else b"same-origin"
    return (*_EVERYWHERE, (b"cross-origin-resource-policy", policy))


class SecurityHeaders:
    """Adds the headers to every answer, and the page policy to every HTML answer that states none itself.

    Unless answers are `embeddable`, no page of another origin may show or play what is fetched here.
    """

    def __init__(self, app: ASGIApp, *, embeddable: bool = False) -> None:
        self._app = app
        self._everywhere = headers_everywhere(embeddable)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *self._everywhere]
                named = {name.lower(): value for name, value in message["headers"]}
                html = named.get(b"content-type", b"").startswith(b"text/html")
                if html and b"content-security-policy" not in named:
                    headers.append((b"content-security-policy", PAGE_POLICY.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, guarded)
