"""The wire: what each answer looks like, with the examples that the OpenAPI page shows."""

from __future__ import annotations

from service.schemas.examples import MODALITY
from service.schemas.generations import GenerationInfo, GenerationsAnswer, SwapAnswer
from service.schemas.index import ClosenessInfo, CollectionInfo, IndexAnswer, LimitsAnswer
from service.schemas.items import ItemAnswer, ItemsPage, ItemSummary
from service.schemas.map import MapAnswer, MapPlaces
from service.schemas.queries import (
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
from service.schemas.status import LiveAnswer, ProblemAnswer, ProblemKind, ReadyAnswer

__all__ = [
    "MODALITY",
    "BatchAnswer",
    "ClipQuery",
    "ClosenessInfo",
    "CollectionInfo",
    "EmbeddingDatum",
    "EmbeddingUsage",
    "EmbeddingsAnswer",
    "GenerationInfo",
    "GenerationsAnswer",
    "Hit",
    "IndexAnswer",
    "ItemAnswer",
    "ItemQuery",
    "ItemRef",
    "ItemSummary",
    "ItemsPage",
    "LimitsAnswer",
    "LiveAnswer",
    "MapAnswer",
    "MapPlaces",
    "PictureQuery",
    "ProblemAnswer",
    "ProblemKind",
    "ReadyAnswer",
    "SearchAnswer",
    "SwapAnswer",
    "Timings",
    "batch_json",
    "embeddings_json",
    "search_json",
]
