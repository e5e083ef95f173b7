"""The composition root: settings in, a FastAPI app out. Nothing else constructs; importing does nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anyio.to_thread
from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from indexer.cores import available_cores
from indexer.media import MediaLimits
from service import errors
from service.admission import Admission, Pace
from service.batching import Batcher
from service.body_limit import BodyLimit
from service.bookkeeper import ID_HEADER, Bookkeeper, Pattern
from service.cross_site import RefuseCrossSite, served_names
from service.door import Door
from service.draining import draining
from service.garbage import search_when_idle
from service.head import AnswerHead
from service.item_path import KeepEncodedSlashes
from service.keys import load_keys
from service.logs import event
from service.metrics import Metrics
from service.openapi import PROBLEM_RESPONSE, describe
from service.parameters import refuse_unheeded
from service.rate_limit import RateLimit
from service.routes import generations, health, index, items, map, pages, queries
from service.search import Searcher
from service.security import SecurityHeaders, headers_everywhere
from service.settings import Settings
from service.tracing import open_traces
from service.turns import Turns
from service.turnstile import STATE, Turnstile
from service.watch import Keeper
from service.wiring import Service

log = logging.getLogger(__name__)

_ABOUT = """Say it, see it; show it, hear it: speech and images in one joint space, without transcription.

Media comes as the multipart field `file` or as the raw body; options are query parameters. What was sent is
found out from its bytes alone. Every answer names the generation it came from. Every fault is an RFC 9457
problem+json whose `type` can be opened."""
_ROUTERS = (
    queries.router,
    items.router,
    index.router,
    generations.router,
    map.router,
    health.router,
    pages.router,
)


def create_service(settings: Settings) -> Service:
    """The parts, not yet serving: `keeper.start` opens the index."""
    threads = settings.threads or max(1, available_cores() // settings.workers)
    limits = MediaLimits(
        max_bytes=settings.max_body_bytes,
        max_pixels=settings.max_pixels,
        max_unpacked_bytes=settings.max_unpacked_bytes,
        max_source_seconds=settings.max_source_seconds,
        min_seconds=settings.min_seconds,
    )
    metrics = Metrics()
    metrics.build_info.labels(_version()).set(1)
    pace = Pace()
    keeper = Keeper(settings, limits, threads, metrics, pace)
    admission = Admission(
        pace,
        deadline_seconds=settings.deadline_seconds,
        max_waiting=settings.max_waiting,
        max_bytes=settings.max_waiting_bytes,
        metrics=metrics,
    )
    traces = open_traces(_version())
    turns = Turns()
    batcher = Batcher(settings.batch_wait_ms / 1000, metrics, traces, turns)
    searcher = Searcher(keeper.holder, limits, threads, admission, batcher)
    return Service(settings, limits, load_keys(settings), keeper, searcher, admission, metrics, turns, traces)


def create_app(settings: Settings, service: Service | None = None, shared: Path | None = None) -> FastAPI:
    """The app. Its lifespan opens the index, unless `service` has it open already, and closes it.

    `shared` is a folder for what several workers count together.
    """
    service = service or create_service(settings)
    rates = None if shared is None else shared / "rates.sqlite"
    rate = RateLimit(settings.rate_limit, settings.rate_burst, shared=rates)
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    turnstile = Turnstile(
        service.admission,
        service.metrics,
        paths=[route.path for route in queries.router.routes if isinstance(route, Route)],
        headers=headers_everywhere(embeddable=bool(origins)),
        others_may_ask=bool(origins),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        keeper = service.keeper
        if keeper.holder.current is None:
            await anyio.to_thread.run_sync(keeper.start)
        unasked = [
            asyncio.create_task(keeper.watch()),
            asyncio.create_task(search_when_idle(lambda: service.admission.is_idle)),
        ]
        try:
            with draining(keeper.readiness, settings.drain_seconds):
                yield {STATE: turnstile}
        finally:
            for task in unasked:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await anyio.to_thread.run_sync(keeper.close)
            service.searcher.close()
            rate.close()
            if service.traces is not None:
                await anyio.to_thread.run_sync(service.traces.close)
            log.info("SaySee has stopped.", extra=event("stopped"))

    app = FastAPI(
        title="SaySee",
        version=_version(),
        description=_ABOUT,
        lifespan=lifespan,
        openapi_url=pages.OPENAPI_URL,
        docs_url=None,  # both of FastAPI's own pages load their code from a third-party host
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own would tell a collector what clients sent; service.tracing tells what is told.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        generate_unique_id_function=lambda route: route.name,  # the names that generated clients will use
        responses=PROBLEM_RESPONSE,
        dependencies=[Depends(refuse_unheeded)],
    )
    describe(app, reading_is_open=service.keys.reading_is_open)
    app.state.service = service
    errors.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    pages.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(AnswerHead)
    app.add_middleware(KeepEncodedSlashes)
    app.add_middleware(
        Door,
        keys=service.keys,
        admission=service.admission,
        turns=service.turns,
        rate=rate,
        metrics=service.metrics,
        refuse=errors.answer_refused,
    )
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes, refuse=errors.answer_refused)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "Range", ID_HEADER],
            expose_headers=["Retry-After", "Server-Timing", "ETag", "Content-Range", ID_HEADER],
        )
    app.add_middleware(
        RefuseCrossSite,
        names=served_names(settings, service.keys),
        origins=origins,
        refuse=errors.answer_refused,
    )
    app.add_middleware(
        Bookkeeper,
        patterns=_patterns(app),
        metrics=service.metrics,
        traces=service.traces,
        readiness=service.keeper.readiness,
        refuse=errors.answer_refused,
    )
    app.add_middleware(SecurityHeaders, embeddable=bool(origins))
    return app


def _patterns(app: FastAPI) -> list[Pattern]:
    """Of every route, in the order in which they are tried."""
    routes = [route for router in _ROUTERS for route in router.routes] + list(app.routes)
    return [(route.path_regex, route.path) for route in routes if isinstance(route, Route | Mount)]


def _version() -> str:
    try:
        return version("saysee")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
