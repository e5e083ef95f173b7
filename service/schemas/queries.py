"""Answers to a query: what it was taken for, its neighbours or its vector, and how long it took.

Plain dataclasses, not models: what is answered a thousand times a second is not checked against itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, with_config

from indexer.collection import CollectionName as Collection
from service.schemas.examples import GENERATION, MODEL, REQUEST_ID, TIMINGS, Metadata, Modality, example
from service.schemas.status import ProblemAnswer

HIT = {
    "rank": 1,
    "id": "scene-000123",
    "score": 0.71,
    "media_url": "/v1/items/images/scene-000123/media",
    "metadata": {"setting": "beach", "objects": 2},
    "seconds": None,
}

ANSWER = {
    "query": {"modality": "speech", "seconds": 3.2, "truncated": False},
    "target": "images",
    "generation": GENERATION,
    "model": MODEL,
    "hits": [HIT],
    "timings_ms": TIMINGS,
}
PROBLEM = {
    "type": "/problems/too-short-media",
    "title": "The clip is too short",
    "status": 422,
    "detail": "The recording lasts 0.05 s; at least 0.1 s are needed.",
    "instance": "/v1/search/images/batch",
    "request_id": REQUEST_ID,
}


@with_config(example(collection="images", id="scene-000123"))
@dataclass(frozen=True, kw_only=True)
class ItemRef:
    """An item as a query."""

    collection: Collection
    id: str


@with_config(example(modality="speech", seconds=3.2, truncated=False))
@dataclass(frozen=True, kw_only=True)
class ClipQuery:
    """The query was a clip; where it was longer than the model hears, only its first part counted."""

    modality: Literal["speech"] = "speech"
    seconds: Annotated[float, Field(description="Length of the clip as sent.")]
    truncated: Annotated[bool, Field(description="Only the first max_seconds of it were heard.")]


@with_config(example(modality="image", width=640, height=480))
@dataclass(frozen=True, kw_only=True)
class PictureQuery:
    """The query was a picture; its size in pixels as displayed."""

    modality: Literal["image"] = "image"
    width: int
    height: int


@with_config(example(modality="image", item={"collection": "images", "id": "scene-000123"}))
@dataclass(frozen=True, kw_only=True)
class ItemQuery:
    """The query was an indexed item."""

    modality: Modality
    item: ItemRef


@with_config(example(**TIMINGS))
@dataclass(frozen=True, kw_only=True)
class Timings:
    """Milliseconds; queue is all waiting for a free core."""

    decode: float
    queue: float
    encode: float
    search: float


@with_config(example(**HIT))
@dataclass(frozen=True, kw_only=True)
class Hit:
    """One neighbour; rank 1 is the nearest, a higher score is nearer."""

    rank: int
    id: str
    score: float
    media_url: str
    metadata: Metadata
    seconds: Annotated[float | None, Field(description="Length of a clip.")] = None


@with_config(example(**ANSWER))
@dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """The neighbours of one query, all from one generation."""

    query: ClipQuery | PictureQuery | ItemQuery
    target: Collection
    generation: str
    model: Annotated[str, Field(description="First 12 hex digits of the model's fingerprint.")]
    hits: list[Hit]
    timings_ms: Timings


@with_config(
    example(
        target="images", generation=GENERATION, model=MODEL, results=[ANSWER, PROBLEM], timings_ms=TIMINGS
    )
)
@dataclass(frozen=True, kw_only=True)
class BatchAnswer:
    """An answer for each file in the order sent, or what is wrong with it; all from one generation."""

    target: Collection
    generation: str
    model: Annotated[str, Field(description="First 12 hex digits of the model's fingerprint.")]
    results: Annotated[
        list[SearchAnswer | ProblemAnswer],
        Field(description="What the single call would have answered to each file."),
    ]
    timings_ms: Annotated[
        Timings, Field(description="In each stage that of the file that took longest; they ran side by side.")
    ]


@dataclass(frozen=True, kw_only=True)
class EmbeddingDatum:
    """One vector; index is the position of its file in the request."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float]


@dataclass(frozen=True, kw_only=True)
class EmbeddingUsage:
    """Token counts are always 0 (there are none); what was embedded stands beside them."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    audio_seconds: float = 0.0
    images: int = 0


@with_config(
    example(
        object="list",
        data=[{"object": "embedding", "index": 0, "embedding": [0.012, -0.094, 0.051]}],
        model=MODEL,
        usage={"prompt_tokens": 0, "total_tokens": 0, "audio_seconds": 3.2, "images": 0},
        generation=GENERATION,
        timings_ms=TIMINGS,
    )
)
@dataclass(frozen=True, kw_only=True)
class EmbeddingsAnswer:
    """Vectors in the joint space, in the list shape of the OpenAI embeddings call."""

    object: Literal["list"] = "list"
    data: list[EmbeddingDatum]
    model: str
    usage: EmbeddingUsage
    generation: str
    timings_ms: Timings


search_json = TypeAdapter(SearchAnswer).dump_json
batch_json = TypeAdapter(BatchAnswer).dump_json
embeddings_json = TypeAdapter(EmbeddingsAnswer).dump_json
