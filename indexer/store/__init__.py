"""Generations on disk: write, verify, open, search, promote, roll back, prune. The front door."""

from indexer.collection import COLLECTIONS, CollectionName
from indexer.store.errors import (
    BadCursor,
    BuildConflict,
    FingerprintMismatch,
    GenerationClosed,
    GenerationDamaged,
    IndexNotFound,
    MediaGone,
    NoMap,
    NothingToRollBack,
    NoThumbnail,
    RollbackLost,
    StoreError,
    UnknownCollection,
    UnknownGeneration,
    UnknownItem,
    VectorsUnreachable,
)
from indexer.store.generation import Generation, Hit, MediaFile, Place
from indexer.store.history import current_generation
from indexer.store.items import Item
from indexer.store.lifecycle import (
    Change,
    Listed,
    list_generations,
    open_index,
    promote,
    rollback,
    verify,
)
from indexer.store.lookup import find_generation
from indexer.store.manifest import (
    CollectionManifest,
    GenerationManifest,
    MapManifest,
    MilvusManifest,
    Skipped,
)
from indexer.store.map import MapPoints
from indexer.store.prune import Pruned, prune
from indexer.store.writer import GenerationWriter, sole_builder

__all__ = [
    "COLLECTIONS",
    "BadCursor",
    "BuildConflict",
    "Change",
    "CollectionManifest",
    "CollectionName",
    "FingerprintMismatch",
    "Generation",
    "GenerationClosed",
    "GenerationDamaged",
    "GenerationManifest",
    "GenerationWriter",
    "Hit",
    "IndexNotFound",
    "Item",
    "Listed",
    "MapManifest",
    "MapPoints",
    "MediaFile",
    "MediaGone",
    "MilvusManifest",
    "NoMap",
    "NoThumbnail",
    "NothingToRollBack",
    "Place",
    "Pruned",
    "RollbackLost",
    "Skipped",
    "StoreError",
    "UnknownCollection",
    "UnknownGeneration",
    "UnknownItem",
    "VectorsUnreachable",
    "current_generation",
    "find_generation",
    "list_generations",
    "open_index",
    "promote",
    "prune",
    "rollback",
    "sole_builder",
    "verify",
]
