"""What orchestrators and Prometheus ask: does the process turn, does the whole path work, and the figures."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from service import metrics
from service.schemas import LiveAnswer, ReadyAnswer
from service.snapshot import NotReady
from service.untold import without_paths
from service.wiring import Wired

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Does the process turn")
async def livez() -> LiveAnswer:
    """Answers as long as the event loop does; says nothing of the model or the index."""
    return LiveAnswer()


@router.get("/readyz", summary="Can it answer queries")
async def readyz(service: Wired) -> ReadyAnswer:
    """200 while a golden clip and picture come through decode, encode, search and metadata; 503 otherwise."""
    health, snapshot = service.keeper.readiness, service.keeper.holder.current
    if snapshot is None or not health.ready:
        raise NotReady("; ".join(health.degraded.values()))
    return ReadyAnswer(
        status="degraded" if health.degraded else "ready",
        generation=snapshot.id,
        model=snapshot.model,
        provider=snapshot.encoder.provider,
        degraded={
            reason: without_paths(told, service.settings.index) for reason, told in health.degraded.items()
        },
    )


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def figures(service: Wired) -> Response:
    """The text exposition format. Of several workers, whichever is asked answers for all."""
    return Response(service.metrics.exposition(), media_type=metrics.CONTENT_TYPE)
