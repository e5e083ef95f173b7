"""What the composition root made, handed to the routes: they construct nothing themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from indexer.media import MediaLimits
from service.admission import Admission
from service.keys import Keys
from service.metrics import Metrics
from service.search import Searcher
from service.settings import Settings
from service.tracing import Traces
from service.turns import Turns
from service.watch import Keeper


@dataclass(frozen=True)
class Service:
    """The parts of one running app."""

    settings: Settings
    limits: MediaLimits
    keys: Keys
    keeper: Keeper
    searcher: Searcher
    admission: Admission
    metrics: Metrics
    turns: Turns
    traces: Traces | None


async def _service(request: Request) -> Service:  # not `def`: that would cost every request a thread
    return cast(Service, request.app.state.service)


Wired = Annotated[Service, Depends(_service)]
