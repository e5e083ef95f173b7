"""From settings to a listening server: the port is taken, the index opened, and only then clients come in."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from indexer import store
from service.app import create_app, create_service
from service.settings import Settings
from service.snapshot import Snapshot

_BACKLOG = 2048
_GRACE_SECONDS = 10  # how long requests under way may take to end after Ctrl-C or SIGTERM


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


@contextmanager
def ending_well() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block alike and are no failure: whoever stops a server wants status 0.

    uvicorn answers what is under way and then raises the signal again, to which SIGTERM's own answer would be
    death by signal: status 143, which supervisors that restart what failed take for a crash.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises CannotListen, or one of `watch.UNFIT` when nothing can be served."""
    listener = _listener(settings.host, settings.port)
    service = create_service(settings)
    service.keeper.start()
    config = _config(settings, create_app(settings, service))
    if service.keeper.holder.current is not None:
        _announce(listener, settings.host, _described(service.keeper.holder.current))
    uvicorn.Server(config).run(sockets=[listener])


def serve_with_workers(settings: Settings, factory: str) -> bool:
    """Serve from `settings.workers` processes until interrupted; False when they could not start.

    Each makes its app by calling `factory` ("module:function"), which reads its settings in the environment.
    """
    listener = _listener(settings.host, settings.port)
    opened = store.open_index(settings.index, verify=False)  # fail here, once, not in every worker
    described = f"generation {opened.id}, {settings.workers} workers"
    opened.close()
    _announce(listener, settings.host, described)
    supervisor = Multiprocess(_config(settings, factory), [listener])
    supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


def start_logging(settings: Settings) -> None:
    """One line an event on standard error."""
    logging.basicConfig(
        level=logging.DEBUG if settings.debug else settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if not settings.debug:
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its account of its own start and end


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an app, or for workers the name of what makes one
        factory=isinstance(app, str),
        workers=settings.workers,
        log_config=None,
        access_log=settings.debug,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=_BACKLOG,
    )


def _listener(host: str, port: int) -> socket.socket:
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


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that takes clients, and the address to open. Raises CannotListen."""
    listener = _listener(host, port)
    return listener, _let_in(listener, host)


def _announce(listener: socket.socket, host: str, described: str) -> None:
    print(f"SaySee is ready: {_let_in(listener, host)} serves {described}.", flush=True)


def _let_in(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    try:
        listener.listen(_BACKLOG)  # from here on clients wait instead of being turned away
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def _described(snapshot: Snapshot) -> str:
    manifest = snapshot.generation.manifest
    counts = " and ".join(f"{part.count:,} {name}" for name, part in manifest.collections.items())
    return f"{counts} from generation {snapshot.id} with model {manifest.bundle_name} ({snapshot.model})"
