"""A port that clients can reach, an end that is no failure, a start that cannot be.

Light: nothing of an index comes in.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

BACKLOG = 2048
_MANY_FILES = 65_536


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def end_with(sentence: str, status: int) -> NoReturn:
    """End the process with this status and one sentence for whoever started it."""
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def leave_at_once() -> None:
    """Ctrl-C and SIGTERM end the process where it stands, with status 0: nobody is served yet, and a start
    that is taken apart in the middle of loading a model ends worse than one that is not.
    """
    _answer(lambda *_: os._exit(0))


@contextmanager
def ending_well() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block alike and are no failure: whoever stops a server wants status 0.

    uvicorn answers what is under way and then raises the signal again, to which SIGTERM's own answer would be
    death by signal: status 143, which supervisors that restart what failed take for a crash.
    """
    _answer(signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


def _answer(handler: Callable[[int, FrameType | None], object]) -> None:
    """Both signals from here on, but for one that this process was told to ignore; uvicorn takes it later."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """A socket with that address, on which nobody can come in yet. Raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(
            f"The address {host} cannot be listened on: {error.strerror}; choose another with --host."
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
        return listener
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error


def allow_many_connections() -> None:
    """Open as many files as this user may: the usual 1,024 would be the number of connections, too."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if most == resource.RLIM_INFINITY else min(most, _MANY_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def let_in(listener: socket.socket, host: str) -> str:
    """From here on clients wait instead of being turned away; the address to open."""
    port = listener.getsockname()[1]
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that takes clients, and the address to open. Raises CannotListen."""
    listener = bind(host, port)
    return listener, let_in(listener, host)


def _cannot_bind(host: str, port: int, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"Port {port} of {host} is in use: end the program that holds it, or choose another with --port."
        )
    if error.errno == errno.EACCES:
        return CannotListen(f"Port {port} may not be taken by this user: choose one above 1023 with --port.")
    return CannotListen(
        f"{host} port {port} cannot be listened on: {error.strerror}; choose another with --host or --port."
    )
