"""POST a clip or a picture: nearest images, nearest spoken captions, or its vector. All four directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from indexer.store import CollectionName as Collection
from service.errors import problem_answer
from service.found import Clip, Indexed, Neighbours, Picture, Query
from service.hang_up import while_connected
from service.item_path import item_url
from service.parameters import K, chosen_k
from service.schemas import (
    MODALITY,
    BatchAnswer,
    ClipQuery,
    EmbeddingDatum,
    EmbeddingsAnswer,
    EmbeddingUsage,
    Hit,
    ItemQuery,
    ItemRef,
    PictureQuery,
    SearchAnswer,
    Timings,
    batch_json,
    embeddings_json,
    search_json,
)
from service.stages import STAGES, Stage
from service.upload import FIELD, Upload, read_upload, read_uploads
from service.wiring import Wired

router = APIRouter(prefix="/v1")

_BINARY = {"type": "string", "format": "binary"}
_RAW = {kind: {"schema": _BINARY} for kind in ("audio/*", "image/*", "application/octet-stream")}


def _body(field: Mapping[str, Any], raw: Mapping[str, Any] = _RAW) -> dict[str, Any]:
    """The request body for the OpenAPI page; the routes read it themselves, once the parameters are right."""
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: field},
        "additionalProperties": False,
    }
    content = {"multipart/form-data": {"schema": form}, **raw}
    return {"requestBody": {"required": True, "content": content}}


_ONE_FILE = _body(
    {**_BINARY, "description": "A clip or a picture; which of the two is found out from its bytes."}
)
_SEVERAL = {
    "type": "array",
    "items": _BINARY,
    "minItems": 1,
    "description": "Clips and pictures, mixed as you like.",
}
_FILES = _body(_SEVERAL)
_FORM = _body(_SEVERAL, raw={})


@router.post(
    "/search/images",
    response_model=SearchAnswer,
    summary="Nearest images to a clip or a picture",
    response_description="The nearest images, best first",
    openapi_extra=_ONE_FILE,
    tags=["search"],
)
async def search_images(request: Request, service: Wired, k: K = None) -> Response:
    """Send the media as the multipart field `file`, or as the raw body: `curl --data-binary @clip.wav
    ADDRESS`.
    """
    return await _search(request, service, "images", k)


@router.post(
    "/search/captions",
    response_model=SearchAnswer,
    summary="Nearest spoken captions to a picture or a clip",
    response_description="The nearest spoken captions, best first",
    openapi_extra=_ONE_FILE,
    tags=["search"],
)
async def search_captions(request: Request, service: Wired, k: K = None) -> Response:
    """Send the media as the multipart field `file`, or as the raw body: `curl --data-binary @picture.jpg
    ADDRESS`.
    """
    return await _search(request, service, "captions", k)


@router.post(
    "/search/images/batch",
    response_model=BatchAnswer,
    summary="Nearest images to each of several clips and pictures",
    response_description="An answer or a problem for each file, in the order of the files",
    openapi_extra=_FORM,
    tags=["search"],
)
async def search_images_batch(request: Request, service: Wired, k: K = None) -> Response:
    """One to max_files multipart fields `file`. A file that cannot be used gets its problem in place of an
    answer, and the others are answered all the same.
    """
    return await _search_each(request, service, "images", k)


@router.post(
    "/search/captions/batch",
    response_model=BatchAnswer,
    summary="Nearest spoken captions to each of several pictures and clips",
    response_description="An answer or a problem for each file, in the order of the files",
    openapi_extra=_FORM,
    tags=["search"],
)
async def search_captions_batch(request: Request, service: Wired, k: K = None) -> Response:
    """One to max_files multipart fields `file`. A file that cannot be used gets its problem in place of an
    answer, and the others are answered all the same.
    """
    return await _search_each(request, service, "captions", k)


@router.post(
    "/embeddings",
    response_model=EmbeddingsAnswer,
    summary="Vectors of clips and pictures in the joint space",
    response_description="One vector a file, in the order of the files",
    openapi_extra=_FILES,
    tags=["search"],
)
async def embeddings(request: Request, service: Wired) -> Response:
    """One file as the raw body, or one to max_files multipart fields `file`. One bad file refuses the whole
    call.
    """
    uploads = await _several(request, service, raw=True)
    async with while_connected(request):
        embedded = await service.searcher.embed([upload.data for upload in uploads])
    clips = [file for file in embedded.files if isinstance(file, Clip)]
    timings = _phrase_timings(embedded.timings_ms)
    answer = EmbeddingsAnswer(
        data=[
            EmbeddingDatum(index=index, embedding=vector_D)
            for index, vector_D in enumerate(embedded.vectors_ND.tolist())
        ],
        model=embedded.model,
        usage=EmbeddingUsage(
            audio_seconds=round(sum(clip.seconds for clip in clips), 3),
            images=len(embedded.files) - len(clips),
        ),
        generation=embedded.generation,
        timings_ms=timings,
    )
    return _written(embeddings_json(answer), timings)


async def _search(request: Request, service: Wired, target: Collection, k: int | None) -> Response:
    wanted = chosen_k(k, service.settings)
    upload = await read_upload(request)
    async with while_connected(request):
        found = await service.searcher.search(upload.data, target, wanted)
    return phrase(found)


async def _search_each(request: Request, service: Wired, target: Collection, k: int | None) -> Response:
    wanted = chosen_k(k, service.settings)
    uploads = await _several(request, service, raw=False)
    async with while_connected(request):
        found = await service.searcher.search_each([upload.data for upload in uploads], target, wanted)
    timings = _phrase_timings(found.timings_ms)
    answer = BatchAnswer(
        target=found.target,
        generation=found.generation,
        model=found.model,
        results=[
            _phrase(one) if isinstance(one, Neighbours) else problem_answer(request, one)
            for one in found.results
        ],
        timings_ms=timings,
    )
    return _written(batch_json(answer), timings)


async def _several(request: Request, service: Wired, *, raw: bool) -> list[Upload]:
    """The files of the request; each counts as a query of its client."""
    uploads = await read_uploads(request, service.settings.max_files, raw=raw)
    request.scope["saysee.owe"](len(uploads) - 1)
    return uploads


def phrase(found: Neighbours) -> Response:
    """The wire form of an answer, with its Server-Timing header."""
    answer = _phrase(found)
    return _written(search_json(answer), answer.timings_ms)


def _phrase(found: Neighbours) -> SearchAnswer:
    return SearchAnswer(
        query=_phrase_query(found.query),
        target=found.target,
        generation=found.generation,
        model=found.model,
        hits=[
            Hit(
                rank=rank,
                id=hit.id,
                score=round(hit.score, 6),
                media_url=item_url(found.target, hit.id, "media"),
                metadata=hit.metadata,
                seconds=hit.seconds,
            )
            for rank, hit in enumerate(found.hits, 1)
        ],
        timings_ms=_phrase_timings(found.timings_ms),
    )


def _phrase_timings(timings_ms: Mapping[Stage, float]) -> Timings:
    return Timings(**{stage: round(ms, 3) for stage, ms in timings_ms.items()})


def _written(answer: bytes, timings: Timings) -> Response:
    told = ", ".join(f"{stage};dur={getattr(timings, stage)}" for stage in STAGES)
    return Response(answer, headers={"Server-Timing": told}, media_type="application/json")


def _phrase_query(query: Query) -> ClipQuery | PictureQuery | ItemQuery:
    match query:
        case Clip(seconds, truncated):
            return ClipQuery(seconds=seconds, truncated=truncated)
        case Picture(width, height):
            return PictureQuery(width=width, height=height)
        case Indexed(collection, item):
            return ItemQuery(modality=MODALITY[collection], item=ItemRef(collection=collection, id=item))
