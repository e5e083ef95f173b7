"""From settings to a listening server: the port is taken, the index opened, and only then clients come in."""

from __future__ import annotations

import logging
import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from indexer import store
from service.app import create_app, create_service
from service.listener import BACKLOG, bind, let_in
from service.settings import Settings
from service.snapshot import Snapshot

_GRACE_SECONDS = 10  # how long requests under way may take to end after Ctrl-C or SIGTERM


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises CannotListen, or one of `watch.UNFIT` when nothing can be served."""
    listener = bind(settings.host, settings.port)
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
    listener = bind(settings.host, settings.port)
    opened = store.open_index(settings.index, verify=False)  # fail here, once, not in every worker
    serves = f"generation {opened.id}"
    opened.close()
    address = let_in(listener, settings.host)
    print(f"SaySee is starting {settings.workers} workers: {address} will serve {serves}.", flush=True)
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
        # uvloop accepts one connection in each round of the loop: under load new clients waited for seconds
        # in the backlog, where this one takes all that are there. It is no faster here.
        loop="asyncio",
        access_log=settings.debug,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=BACKLOG,
    )


def _announce(listener: socket.socket, host: str, described: str) -> None:
    print(f"SaySee is ready: {let_in(listener, host)} serves {described}.", flush=True)


def _described(snapshot: Snapshot) -> str:
    manifest = snapshot.generation.manifest
    counts = " and ".join(f"{part.count:,} {name}" for name, part in manifest.collections.items())
    return f"{counts} from generation {snapshot.id} with model {manifest.bundle_name} ({snapshot.model})"
