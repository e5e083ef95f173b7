"""From settings to a listening server: the port is taken, the index opened, and only then clients come in."""

from __future__ import annotations

import logging
import math
import os
from typing import NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from indexer import store
from service.app import create_app, create_service
from service.connection import Connection
from service.garbage import spare_the_collector
from service.listener import BACKLOG, allow_many_connections, bind, ending_well, let_in
from service.logs import event
from service.settings import Settings
from service.snapshot import Snapshot

log = logging.getLogger(__name__)

_USUAL_BODY_BYTES = 65_536
_COPIES = 2  # as it was received, and as it is handed on
_MOST_AT_HAND_BYTES = 30 << 20  # glibc treats no larger block so
_GRACE_SECONDS = 1.0  # what requests under way may take to end beyond their deadline, once the port is closed


def serve(settings: Settings) -> NoReturn:
    """Serve until interrupted, and end the process. Raises CannotListen, or one of `watch.UNFIT` when nothing
    can be served.
    """
    listener = bind(settings.host, settings.port)
    service = create_service(settings)
    service.keeper.start()
    app = create_app(settings, service)
    make_ready(app, settings)
    config = _config(settings, app)
    if service.keeper.holder.current is not None:
        described = _described(service.keeper.holder.current)
        address = let_in(listener, settings.host)
        _announce(settings, "ready", f"SaySee is ready: {address} serves {described}.")
    with ending_well():
        uvicorn.Server(config).run(sockets=[listener])
    # Not by taking the interpreter apart: a thread that is inside a library would be torn out of it, which
    # aborts the process.
    logging.shutdown()
    os._exit(0 if service.keeper.gave_up is None else 1)


def serve_with_workers(settings: Settings, factory: str) -> bool:
    """Serve from `settings.workers` processes until interrupted; False when they could not start.

    Each makes its app by calling `factory` ("module:function"), which reads its settings in the environment.
    """
    listener = bind(settings.host, settings.port)
    opened = store.open_index(settings.index, verify=False)  # fail here, once, not in every worker
    serves = f"generation {opened.id}"
    opened.close()
    address = let_in(listener, settings.host)
    _announce(
        settings, "starting", f"SaySee is starting {settings.workers} workers: {address} will serve {serves}."
    )
    supervisor = Multiprocess(_config(settings, factory), [listener])
    supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


def make_ready(app: FastAPI, settings: Settings) -> None:
    """Do before anybody asks what the first clients would have to wait for."""
    app.openapi()  # and with it the routes, which FastAPI makes when they are first looked through: 90 ms
    take_memory(settings.max_waiting)
    spare_the_collector(settings.max_waiting)


def take_memory(bodies: int) -> None:
    """Take from the system now what so many bodies of usual queries will need, and keep it.

    A page costs 3 us at its first touch on a virtual machine, and the first burst of queries touched 5,000 of
    them, in the quarter of a second in which it had the most to do. glibc keeps for later up to twice the
    largest block that it ever got back (mallopt(3), M_MMAP_THRESHOLD).
    """
    largest = bytes(_MOST_AT_HAND_BYTES)
    del largest
    size_bytes = min(_COPIES * bodies * _USUAL_BODY_BYTES, _MOST_AT_HAND_BYTES)
    touched = [b"\1" * _USUAL_BODY_BYTES for _ in range(size_bytes // _USUAL_BODY_BYTES)]
    del touched


def _config(settings: Settings, app: object) -> uvicorn.Config:
    allow_many_connections()
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an app, or for workers the name of what makes one
        factory=isinstance(app, str),
        workers=settings.workers,
        log_config=None,
        # uvloop accepts one connection in each round of the loop: under load new clients waited for seconds
        # in the backlog, where this one takes all that are there. It is no faster here.
        loop="asyncio",
        http=Connection,
        ws="none",  # where a library for WebSockets is installed, an Upgrade would leave our Connection
        access_log=False,  # service.bookkeeper tells of every request
        server_header=False,
        # Longer than proxies keep one that they may use again, 60 s as a rule: who closes first loses what
        # the other sends at that moment.
        timeout_keep_alive=Connection.idle_seconds,
        timeout_graceful_shutdown=math.ceil(settings.deadline_seconds + _GRACE_SECONDS),
        backlog=BACKLOG,
    )


def _announce(settings: Settings, what: str, sentence: str) -> None:
    """A line on standard output for people; where programs read the log, an event in it."""
    if settings.log_format == "json":
        log.info(sentence, extra=event(what))
    else:
        print(sentence, flush=True)


def _described(snapshot: Snapshot) -> str:
    manifest = snapshot.generation.manifest
    counts = " and ".join(f"{part.count:,} {name}" for name, part in manifest.collections.items())
    return f"{counts} from generation {snapshot.id} with model {manifest.bundle_name} ({snapshot.model})"
