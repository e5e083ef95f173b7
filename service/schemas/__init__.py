"""The wire: what each answer looks like, with the examples that the OpenAPI page shows."""

from __future__ import annotations

from service.schemas.examples import MODALITY
from service.schemas.index import CollectionInfo, IndexAnswer, LimitsAnswer, SwapAnswer
from service.schemas.items import ItemAnswer, ItemsPage, ItemSummary
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
)
from service.schemas.status import LiveAnswer, ProblemAnswer, ProblemKind, ReadyAnswer

__all__ = [
    "MODALITY",
    "BatchAnswer",
    "ClipQuery",
    "CollectionInfo",
    "EmbeddingDatum",
    "EmbeddingUsage",
    "EmbeddingsAnswer",
    "Hit",
    "IndexAnswer",
    "ItemAnswer",
    "ItemQuery",
    "ItemRef",
    "ItemSummary",
    "ItemsPage",
    "LimitsAnswer",
    "LiveAnswer",
    "PictureQuery",
    "ProblemAnswer",
    "ProblemKind",
    "ReadyAnswer",
    "SearchAnswer",
    "SwapAnswer",
    "Timings",
]
