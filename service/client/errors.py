"""What may go wrong between a client and a server, each with one sentence for whoever called.

ClientError
├── WrongUse        no call can be made of what was given; also a ValueError
├── FileUnusable    a file cannot be read, or is larger than the server takes: it was not sent
├── Unreachable     nobody answers at that address
├── NoAnswer        the connection was lost, or took too long, after something was sent
├── NotUnderstood   the answer is none of this service's
└── Refused         the server says what is wrong, as RFC 9457 has it
"""

from __future__ import annotations


class ClientError(Exception):
    """Whatever a call of the client may raise."""


class WrongUse(ClientError, ValueError):
    """No call can be made of what was given: an address, a key, a number of files."""


class FileUnusable(ClientError):
    """A file cannot be read, or is larger than the server takes; nothing of it was sent."""


class Unreachable(ClientError):
    """Nobody answers at that address: there is no such host, or no server on its port."""


class NoAnswer(ClientError):
    """Something was sent and no whole answer came: the connection was lost, or time ran out."""


class NotUnderstood(ClientError):
    """The answer is none of this service's, or of another version of it."""


class Refused(ClientError):
    """The server says what is wrong. `type` is stable and ends in the problem's name; `str()` is the detail.

    `request_id`: what the server's log knows the request by. `retry_after_s`: when to ask again, in seconds,
    where the server said so.
    """

    def __init__(
        self,
        status: int,
        type: str,
        title: str,
        detail: str,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str, str, str, str, float | None]]:
        # The default would rebuild it from the message alone, and a worker process could not send it home.
        told = (self.status, self.type, self.title, self.detail, self.request_id, self.retry_after_s)
        return Refused, told
