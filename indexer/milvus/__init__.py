"""Vectors in Milvus: a collection keyed by row, filled once, then searched as an AnnIndex is."""

from indexer.milvus.connection import (
    MAX_K,
    METRIC,
    TOKEN_VARIABLE,
    Milvus,
    MilvusSilent,
    MilvusUnavailable,
    checked_uri,
)
from indexer.milvus.index import MilvusIndex

__all__ = [
    "MAX_K",
    "METRIC",
    "TOKEN_VARIABLE",
    "Milvus",
    "MilvusIndex",
    "MilvusSilent",
    "MilvusUnavailable",
    "checked_uri",
]
