"""ASGI middleware: pages from elsewhere get nothing done here through the browser of somebody who may.

A page whose own name is pointed at this machine (DNS rebinding) counts for a browser as one of ours, and only
the Host header tells. A page that stays where it is can still send forms here; the browser says whose it was.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.keys import Keys
from service.settings import Access

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:\[\]@/?#]+)(:\d*)?", re.IGNORECASE)
_CHANGES_NOTHING = {"GET", "HEAD", "OPTIONS"}
_OUR_OWN = {"same-origin", "none"}  # of Sec-Fetch-Site; `none` is a person at the address bar
_SHOWN_CHARACTERS = 80


class WrongHost(Exception):
    """The request names a host that this server is not served under."""

    def __init__(self, host: str) -> None:
        if host:
            super().__init__(
                f"The request asks {host[:_SHOWN_CHARACTERS]!r}, a name that this server is not served "
                "under: use another, or have it started with --allowed-host NAME."
            )
        else:
            super().__init__(
                "The request names no host: send a Host header with a name that this server is served under."
            )


class OtherOrigin(Exception):
    """The page of another origin sent this."""

    def __init__(self, page: str | None, host: str) -> None:
        of = "another origin" if page in (None, "null") else repr(page[:_SHOWN_CHARACTERS])
        super().__init__(
            f"A page of {of} sent this to {host[:_SHOWN_CHARACTERS]!r}, and pages of other origins may send "
            "nothing here."
        )


class RefuseCrossSite:
    """`names`: what the server is served under beside loopback and IP addresses, or None for anything.

    A request that may change something is also refused when a browser says that a page of an origin outside
    `origins` sent it. `refuse` answers what is refused, for the reason in `scope["saysee.refused"]`.
    """

    def __init__(
        self, app: ASGIApp, names: Collection[str] | None, refuse: ASGIApp, origins: Collection[str] = ()
    ) -> None:
        self._app = app
        self._names = None if names is None else {"localhost", *map(_plain, names)}
        self._origins = set(origins)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["method"], Headers(scope=scope))
            except (WrongHost, OtherOrigin) as refused:
                scope["saysee.refused"] = refused
                await self._refuse(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if self._names is not None and not (len(hosts) == 1 and _is_served(hosts[0], self._names)):
            raise WrongHost(", ".join(hosts))
        if method in _CHANGES_NOTHING:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self._origins or "*" in self._origins:
            return
        # Browsers send the second to HTTPS and loopback only; it holds also where a proxy changed the Host.
        own = site in _OUR_OWN if site is not None else origin is None or origin.partition("://")[2] in hosts
        if not own:
            raise OtherOrigin(origin, ", ".join(hosts))


def served_names(access: Access, keys: Keys) -> tuple[str, ...] | None:
    """For RefuseCrossSite. Where reading takes a key any name will do: no page from elsewhere has a key."""
    if not keys.reading_is_open and not access.allowed_hosts:
        return None
    return (access.host, *access.allowed_hosts)


def _is_served(host: str, names: Collection[str]) -> bool:
    """An address is no name: nobody can point it elsewhere."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = _plain(found["name"])
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def _plain(name: str) -> str:
    """One spelling of a name or an address."""
    return name.lower().strip("[]").removesuffix(".")
