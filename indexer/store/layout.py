"""Where everything lies in an index directory, and what each name is called.

index/
  CURRENT                   the id of the generation being served
  promotions.jsonl          every promotion and rollback, oldest first
  milvus-owner              whose collections in a Milvus are this index's own; only where there are any
  build.lock promote.lock   held while a process builds or changes CURRENT; stale files mean nothing
  generations/<id>/         immutable once it carries this name; .tmp-* and .trash-* are leftovers
  embeddings/<fingerprint>/ vectors already computed; safe to delete
"""

from __future__ import annotations

import re
from pathlib import Path

CURRENT = "CURRENT"
PROMOTIONS = "promotions.jsonl"
BUILD_LOCK = "build.lock"
PROMOTE_LOCK = "promote.lock"
MILVUS_OWNER = "milvus-owner"
MILVUS_CLAIMS = "milvus-collections"
GENERATIONS = "generations"
EMBEDDINGS = "embeddings"
UNFINISHED_PREFIX = ".tmp-"
TRASH_PREFIX = ".trash-"

MANIFEST = "manifest.json"
ITEMS_FILE = "items.sqlite"
MAP_FILE = "map.npz"
BUNDLE_FOLDER = "bundle"

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


def is_generation_id(text: str) -> bool:
    """True for an id this SaySee could have given; nothing else is ever joined to a path."""
    return _ID.fullmatch(text) is not None


def generation_folder(index: Path, generation: str) -> Path:
    return index / GENERATIONS / generation


def generation_ids(index: Path) -> list[str]:
    """The ids of the generations there, newest first; empty where there is no index."""
    folder = index / GENERATIONS
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if is_generation_id(path.name)), reverse=True)


def faiss_file(collection: str) -> str:
    """The name of a collection's FAISS file inside its generation."""
    return f"{collection}.faiss"
