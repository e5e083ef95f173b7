"""The wire: what each answer looks like, with the examples that the OpenAPI page shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from indexer.store import CollectionName as Collection

Modality = Literal["speech", "image"]
Metadata = dict[str, JsonValue]
MODALITY: dict[Collection, Modality] = {"images": "image", "captions": "speech"}

_GENERATION = "20261121T081502-5f0c2a"
_MODEL = "9f2b61c07d3e"
_HIT = {
    "rank": 1,
    "id": "scene-000123",
    "score": 0.71,
    "media_url": "/v1/items/images/scene-000123/media",
    "metadata": {"setting": "beach", "objects": 2},
}
_TIMINGS = {"decode": 1.9, "queue": 0.1, "encode": 8.4, "search": 0.3}
_ITEM = {
    "id": "scene-000123_0",
    "modality": "speech",
    "media_type": "audio/flac",
    "bytes": 60812,
    "seconds": 3.2,
    "width": None,
    "height": None,
    "media_url": "/v1/items/captions/scene-000123_0/media",
    "thumbnail_url": f"/v1/items/captions/scene-000123_0/thumbnail?v={_GENERATION}",
    "metadata": {"text": "a red ball beside a small dog", "image_id": "scene-000123"},
}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]}, extra="forbid")


class ItemRef(BaseModel):
    """An item as a query."""

    model_config = _example(collection="images", id="scene-000123")
    collection: Collection
    id: str


class ClipQuery(BaseModel):
    """The query was a clip; where it was longer than the model hears, only its first part counted."""

    model_config = _example(modality="speech", seconds=3.2, truncated=False)
    modality: Literal["speech"] = "speech"
    seconds: Annotated[float, Field(description="Length of the clip as sent.")]
    truncated: Annotated[bool, Field(description="Only the first max_seconds of it were heard.")]


class PictureQuery(BaseModel):
    """The query was a picture; its size in pixels as displayed."""

    model_config = _example(modality="image", width=640, height=480)
    modality: Literal["image"] = "image"
    width: int
    height: int


class ItemQuery(BaseModel):
    """The query was an indexed item."""

    model_config = _example(modality="image", item={"collection": "images", "id": "scene-000123"})
    modality: Modality
    item: ItemRef


class Timings(BaseModel):
    """Milliseconds; queue is all waiting for a free core."""

    model_config = _example(**_TIMINGS)
    decode: float
    queue: float
    encode: float
    search: float


class Hit(BaseModel):
    """One neighbour; rank 1 is the nearest, a higher score is nearer."""

    model_config = _example(**_HIT)
    rank: int
    id: str
    score: float
    media_url: str
    metadata: Metadata


class SearchAnswer(BaseModel):
    """The neighbours of one query, all from one generation."""

    model_config = _example(
        query={"modality": "speech", "seconds": 3.2, "truncated": False},
        target="images",
        generation=_GENERATION,
        model=_MODEL,
        hits=[_HIT],
        timings_ms=_TIMINGS,
    )
    query: ClipQuery | PictureQuery | ItemQuery
    target: Collection
    generation: str
    model: Annotated[str, Field(description="First 12 hex digits of the model's fingerprint.")]
    hits: list[Hit]
    timings_ms: Timings


class EmbeddingDatum(BaseModel):
    """One vector; index is the position of its file in the request."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float]


class EmbeddingUsage(BaseModel):
    """Token counts are always 0 (there are none); what was embedded stands beside them."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    audio_seconds: float = 0.0
    images: int = 0


class EmbeddingsAnswer(BaseModel):
    """Vectors in the joint space, in the list shape of the OpenAI embeddings call."""

    model_config = _example(
        object="list",
        data=[{"object": "embedding", "index": 0, "embedding": [0.012, -0.094, 0.051]}],
        model=_MODEL,
        usage={"prompt_tokens": 0, "total_tokens": 0, "audio_seconds": 3.2, "images": 0},
        generation=_GENERATION,
        timings_ms=_TIMINGS,
    )
    object: Literal["list"] = "list"
    data: list[EmbeddingDatum]
    model: str
    usage: EmbeddingUsage
    generation: str
    timings_ms: Timings


class ItemSummary(BaseModel):
    """One indexed picture or spoken caption. `metadata` is the operator's, as it was in the corpus."""

    model_config = _example(**_ITEM)
    id: str
    modality: Modality
    media_type: str
    bytes: int
    seconds: Annotated[float | None, Field(description="Length of a clip.")]
    width: Annotated[int | None, Field(description="Width of a picture, pixels.")]
    height: int | None
    media_url: str
    thumbnail_url: Annotated[str, Field(description="A small WebP: the picture, or the clip's waveform.")]
    metadata: Metadata


class ItemAnswer(ItemSummary):
    """One item, and the generation that holds it."""

    model_config = _example(**_ITEM, collection="captions", generation=_GENERATION)
    collection: Collection
    generation: str


class ItemsPage(BaseModel):
    """A page of items in a stable order; hand `next_cursor` back for the next page, null ends the list."""

    model_config = _example(
        collection="captions", generation=_GENERATION, total=2560, items=[_ITEM], next_cursor="MTA"
    )
    collection: Collection
    generation: str
    total: int
    items: list[ItemSummary]
    next_cursor: str | None


class CollectionInfo(BaseModel):
    """One collection of the served generation, as measured when it was built."""

    model_config = _example(
        count=512,
        skipped={},
        dim=256,
        kind="flat",
        parameters={},
        recall_at_10=1.0,
        recall_sample=100,
        bytes=524333,
    )
    count: int
    skipped: Annotated[dict[str, int], Field(description="Files left out of the build, by reason.")]
    dim: int
    kind: Annotated[str, Field(description="Kind of the vector index; flat is exact.")]
    parameters: Annotated[dict[str, int], Field(description="Search parameters of that kind.")]
    recall_at_10: Annotated[float, Field(description="Of the index against exact search.")]
    recall_sample: Annotated[int, Field(description="Queries that figure was measured on.")]
    bytes: int


class IndexAnswer(BaseModel):
    """What is being served."""

    model_config = _example(
        generation=_GENERATION,
        created="2026-11-21T08:15:02+00:00",
        parent=None,
        model=_MODEL,
        fingerprint=_MODEL + "0" * 52,
        name="compact",
        system="ilharco2019",
        similarity="cosine",
        dim=256,
        sample_rate_hz=16000,
        max_seconds=8.0,
        provider="CPUExecutionProvider",
        collections={
            "images": {
                "count": 512,
                "skipped": {},
                "dim": 256,
                "kind": "flat",
                "parameters": {},
                "recall_at_10": 1.0,
                "recall_sample": 100,
                "bytes": 524333,
            }
        },
    )
    generation: str
    created: str
    parent: Annotated[
        str | None, Field(description="The generation that was current when this one was built.")
    ]
    model: str
    fingerprint: str
    name: Annotated[str, Field(description="The model bundle's name.")]
    system: str
    similarity: str
    dim: int
    sample_rate_hz: Annotated[int, Field(description="What the model hears; any rate may be sent.")]
    max_seconds: Annotated[float, Field(description="How much of a clip the model hears.")]
    provider: Annotated[str, Field(description="Where the encoder really runs.")]
    collections: dict[Collection, CollectionInfo]


class SwapAnswer(BaseModel):
    """What a promote or rollback did."""

    model_config = _example(generation=_GENERATION, previous="20261120T190044-13aa90", model=_MODEL)
    generation: Annotated[str, Field(description="Served from now on.")]
    previous: Annotated[str, Field(description="Served until now.")]
    model: str


class LimitsAnswer(BaseModel):
    """Every limit in force. What goes over one is refused; only max_seconds cuts a clip instead."""

    model_config = _example(
        max_body_bytes=25_000_000,
        max_pixels=50_000_000,
        max_source_seconds=120.0,
        min_seconds=0.1,
        silence_dbfs=-60.0,
        max_channels=32,
        min_rate_hz=1_000,
        max_rate_hz=768_000,
        max_seconds=8.0,
        default_k=10,
        max_k=200,
        max_page=200,
        max_files=16,
    )
    max_body_bytes: int
    max_pixels: int
    max_source_seconds: float
    min_seconds: float
    silence_dbfs: Annotated[float, Field(description="A clip whose peak stays under this is silent.")]
    max_channels: int
    min_rate_hz: int
    max_rate_hz: int
    max_seconds: Annotated[float, Field(description="How much of a clip the served model hears.")]
    default_k: int
    max_k: int
    max_page: int
    max_files: Annotated[int, Field(description="Most files in one embeddings call.")]


class LiveAnswer(BaseModel):
    """The process turns."""

    model_config = _example(status="alive")
    status: Literal["alive"] = "alive"


class ReadyAnswer(BaseModel):
    """The whole path from bytes to metadata works; `degraded` says what is wrong all the same, by reason."""

    model_config = _example(
        status="ready", generation=_GENERATION, model=_MODEL, provider="CPUExecutionProvider", degraded={}
    )
    status: Literal["ready", "degraded"]
    generation: str
    model: str
    provider: str
    degraded: dict[str, str]


class ProblemAnswer(BaseModel):
    """RFC 9457: `type` is stable and may be opened, `detail` is one sentence on this very request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/undecodable-media",
                    "title": "The media cannot be decoded",
                    "status": 422,
                    "detail": "The file ends before its first frame is complete.",
                    "instance": "/v1/search/images",
                }
            ]
        }
    )
    type: str
    title: str
    status: int
    detail: str
    instance: str


class ProblemKind(BaseModel):
    """What a problem type means in general."""

    model_config = _example(
        type="/problems/undecodable-media",
        title="The media cannot be decoded",
        status=422,
        about="The bytes look like audio or a picture, but no decoder gets through them.",
    )
    type: str
    title: str
    status: int
    about: str
