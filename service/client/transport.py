"""The border to httpx2: our requests in its terms, its replies and faults in ours."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from service.client.errors import NoAnswer, Unreachable, WrongUse
from service.client.message import Lost, Reply, Request

_CONNECT_SECONDS = 5.0

_E = TypeVar("_E", bound=BaseException)


@dataclass(frozen=True)
class Server:
    """An address, and how to speak to it. Raises WrongUse for what can be none."""

    address: str
    key: str | None
    timeout_s: float

    def __post_init__(self) -> None:
        try:
            url = httpx2.URL(self.address)
        except httpx2.InvalidURL as error:
            raise WrongUse(f"{self.address!r} is no address of a server: {error}.") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise WrongUse(
                f"{self.address!r} is no address of a server; one looks like http://127.0.0.1:8000."
            )

    def options(self) -> dict[str, Any]:
        """What both of httpx2's clients are made with."""
        return {
            "base_url": self.address,
            "headers": {"User-Agent": "saysee-client", **self._authorization()},
            "timeout": _timeout(self.timeout_s),
        }

    def _authorization(self) -> dict[str, bytes]:
        if self.key is None or not self.key.strip():
            return {}
        key = self.key.strip()
        if not key.isprintable():
            raise WrongUse("The key holds characters that no key has: is it a file, or several lines?")
        try:
            return {"Authorization": f"Bearer {key}".encode("latin-1")}
        except UnicodeEncodeError as error:
            raise WrongUse("The key holds letters that no header can carry.") from error


def sent(request: Request) -> dict[str, Any]:
    """The arguments of httpx2's `request`. Names of files play no part there, so they stay here."""
    files = [("file", ("file", data, "application/octet-stream")) for data in request.files]
    raw = None if request.body is None else {"Content-Type": "application/octet-stream"}
    own = {} if request.timeout_s is None else {"timeout": _timeout(request.timeout_s)}
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "content": request.body,
        "files": files or None,
        "headers": raw,
        **own,
    }


def replied(response: httpx2.Response) -> Reply:
    """A reply whose body was read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content)


def lost(server: Server, request: Request, error: httpx2.HTTPError) -> Lost:
    """What it means that no reply came."""
    why = str(error).rstrip(".") or type(error).__name__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        if _cause(error, ssl.SSLError):
            sentence = (
                f"{server.address} cannot be reached safely ({why}): are https and its certificate right?"
            )
            return Lost(Unreachable(sentence), again=False, sent=False)
        unknown = _cause(error, socket.gaierror)  # a name known nowhere will not be known in a second
        again = unknown is None or unknown.errno == socket.EAI_AGAIN
        sentence = f"Nobody answers at {server.address} ({why}): is it running, and is that its address?"
        return Lost(Unreachable(sentence), again, sent=False)
    if isinstance(error, httpx2.TimeoutException):
        waited_s = server.timeout_s if request.timeout_s is None else request.timeout_s
        sentence = f"No answer came from {server.address} within {waited_s:g} s."
        return Lost(NoAnswer(sentence), again=False, sent=True)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.DecodingError):
        return Lost(NoAnswer(f"The exchange with {server.address} failed: {why}."), again=False, sent=True)
    return Lost(
        NoAnswer(f"The connection to {server.address} broke before an answer came ({why})."),
        again=True,
        sent=True,
    )


def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))


def _cause(error: BaseException | None, kind: type[_E]) -> _E | None:
    """What lies beneath an error, if anything of that kind does."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
