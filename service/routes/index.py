"""The index as a whole: what is served, and the limits in force."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from service.connection import Connection
from service.schemas import ClosenessInfo, CollectionInfo, IndexAnswer, LimitsAnswer
from service.snapshot import Snapshot
from service.wiring import Wired

router = APIRouter(prefix="/v1", tags=["index"])


@router.get("/index", summary="What is being served")
def index(service: Wired) -> IndexAnswer:
    """The generation, the model that made it, and how each collection was built."""
    with service.keeper.holder.borrow() as snapshot:
        return _phrase(snapshot)


@router.get("/limits", summary="Every limit in force")
def limits(service: Wired) -> LimitsAnswer:
    """What is taken here, so that a client can refuse early what the server would."""
    settings, media = service.settings, service.limits
    with service.keeper.holder.borrow() as snapshot:
        max_seconds = snapshot.generation.bundle.manifest.media.max_seconds
    return LimitsAnswer(
        max_body_bytes=settings.max_body_bytes,
        max_pixels=media.max_pixels,
        max_unpacked_bytes=media.max_unpacked_bytes,
        max_source_seconds=media.max_source_seconds,
        min_seconds=media.min_seconds,
        silence_dbfs=media.silence_dbfs,
        max_channels=media.max_channels,
        min_rate_hz=media.min_rate_hz,
        max_rate_hz=media.max_rate_hz,
        max_seconds=max_seconds,
        default_k=settings.default_k,
        max_k=settings.max_k,
        max_page=settings.max_page,
        max_files=settings.max_files,
        deadline_seconds=settings.deadline_seconds,
        max_waiting=settings.max_waiting,
        max_waiting_bytes=settings.max_waiting_bytes,
        rate_limit=settings.rate_limit,
        rate_burst=settings.rate_burst,
        longest_wait_seconds=service.admission.longest_wait_seconds,
        max_head_bytes=Connection.max_head_bytes,
        max_ahead=Connection.max_ahead,
        head_seconds=Connection.head_seconds,
        body_seconds=Connection.body_seconds,
        body_bytes_per_second=Connection.body_bytes_per_second,
        fetch_seconds=Connection.fetch_seconds,
        idle_seconds=Connection.idle_seconds,
    )


def _phrase(snapshot: Snapshot) -> IndexAnswer:
    manifest, bundle = snapshot.generation.manifest, snapshot.generation.bundle.manifest
    return IndexAnswer(
        generation=snapshot.id,
        created=manifest.created,
        parent=manifest.parent,
        model=snapshot.model,
        fingerprint=snapshot.fingerprint,
        name=bundle.name,
        system=bundle.system,
        similarity=bundle.similarity,
        dim=bundle.dim,
        sample_rate_hz=bundle.media.sample_rate_hz,
        max_seconds=bundle.media.max_seconds,
        provider=snapshot.encoder.provider,
        collections={
            name: CollectionInfo(
                count=part.count,
                skipped={reason: skipped.count for reason, skipped in part.skipped.items()},
                dim=part.dim,
                kind=part.kind,
                parameters=part.parameters,
                recall_at_10=part.recall_at_10,
                recall_sample=part.recall_sample,
                bytes=part.bytes,
                closeness={
                    modality: ClosenessInfo(**asdict(measured))
                    for modality, measured in part.closeness.items()
                },
            )
            for name, part in manifest.collections.items()
        },
        map=None if manifest.map is None else manifest.map.points,
    )
