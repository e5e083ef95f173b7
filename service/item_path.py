"""Item ids in paths. An id may hold any character, also '/', and may even end in the name of a call.

ASGI servers decode the whole path before routing, so `x%2Fmedia` (the item "x/media") and `x/media` (the
media of the item "x") would look alike. This middleware decodes everything but the two characters that carry
the difference; `decode_id` decodes those once the route is known. Unencoded slashes in an id work as long as
no call's name ends it.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

ITEMS = "/v1/items/"
_KEPT = re.compile(rb"%(2[Ff5])")


class KeepEncodedSlashes:
    """Leaves %2F and %25 of item paths encoded for the router."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if scope["type"] == "http" and raw and scope["path"].startswith(ITEMS):
            path = _KEPT.sub(rb"%25\1", raw.split(b"?", 1)[0])
            scope["path"] = unquote(path.decode("ascii", "replace"))
        await self._app(scope, receive, send)


def decode_id(path_part: str) -> str:
    """The item id in a path part that came through KeepEncodedSlashes."""
    return unquote(path_part)


def item_url(collection: str, item_id: str, call: str = "") -> str:
    """The address of an item, or of one of its calls, valid for any id."""
    return f"{ITEMS}{collection}/{quote(item_id, safe='')}{'/' + call if call else ''}"
