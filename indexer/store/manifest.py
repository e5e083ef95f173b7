"""The manifest of a generation: what was indexed, by which model, how well, and the digest of every file.

It is written last, so a generation with a manifest is complete. Reading it trusts nothing: whatever is
missing or of another type is a GenerationDamaged that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from indexer.closeness import Closeness
from indexer.collection import COLLECTIONS, CollectionName
from indexer.media.sniff import Modality
from indexer.store.errors import GenerationDamaged
from indexer.store.layout import MANIFEST

SCHEMA_VERSION = 1

_T = TypeVar("_T")
_N = TypeVar("_N", bound=str)


@dataclass(frozen=True)
class Skipped:
    """How many items were left out for one reason, and a few of them by name."""

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class CollectionManifest:
    """One collection of a generation. Paths of its items are relative to `root`."""

    count: int
    dim: int
    kind: str
    parameters: dict[str, int]
    recall_at_10: float  # against exact search, over `recall_sample` queries
    recall_sample: int
    bytes: int  # of the FAISS file, or of the vectors in Milvus
    skipped: dict[str, Skipped]
    source: str  # what the operator named: a folder or a file
    root: str  # absolute
    root_from_index: str  # the same folder seen from the index, for when both are moved together
    closeness: dict[Modality, Closeness] = field(default_factory=dict)  # by what is asked with


@dataclass(frozen=True)
class FileRecord:
    """Digest and length of one file, by its path relative to the generation."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class MapManifest:
    """How the map of the joint space was made: how many items of each collection are on it."""

    method: str
    seed: int
    points: dict[CollectionName, int]


@dataclass(frozen=True)
class MilvusCollection:
    """A collection of Milvus: its name there, the SHA-256 of its vectors (float32, in the order of rows)."""

    name: str
    sha256: str


@dataclass(frozen=True)
class MilvusManifest:
    """Where the vectors live that are in no file: `milvus://HOST:PORT`, never with a secret."""

    uri: str
    metric: str
    collections: dict[CollectionName, MilvusCollection]


@dataclass(frozen=True)
class GenerationManifest:
    """Everything a generation says of itself."""

    schema_version: int
    id: str
    created: str  # ISO 8601, UTC
    parent: str | None  # the generation that was current when this one was built
    fingerprint: str  # of the bundle that made the vectors
    bundle_name: str
    collections: dict[CollectionName, CollectionManifest]
    files: dict[str, FileRecord]
    map: MapManifest | None = None
    milvus: MilvusManifest | None = None  # None: the vectors are FAISS files

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_generation_manifest(folder: Path) -> GenerationManifest:
    """The manifest of the generation in `folder`; GenerationDamaged says what is wrong with it."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GenerationDamaged(f"{path} cannot be read ({error}): build a new generation.") from error
    fields = _Fields(document, path, "")
    version = fields.get("schema_version", int)
    if version != SCHEMA_VERSION:
        raise GenerationDamaged(
            f"{path} has schema_version {version} and this SaySee reads {SCHEMA_VERSION}: build again."
        )
    manifest = GenerationManifest(
        schema_version=version,
        id=fields.get("id", str),
        created=fields.get("created", str),
        parent=None if fields.get("parent", (str, type(None))) is None else fields.get("parent", str),
        fingerprint=fields.get("fingerprint", str),
        bundle_name=fields.get("bundle_name", str),
        collections={
            name: _collection(_Fields(part, path, f"collections.{name}."))
            for name, part in fields.children("collections", COLLECTIONS)
        },
        files={
            name: FileRecord(record.get("sha256", str), record.get("bytes", int))
            for name, part in fields.get("files", dict).items()
            for record in [_Fields(part, path, f"files.{name}.")]
        },
        map=_map(fields),
        milvus=_milvus(fields),
    )
    if manifest.id != folder.name:
        raise GenerationDamaged(
            f"{folder} holds the manifest of generation {manifest.id}: a generation keeps its folder's name."
        )
    return manifest


def _collection(fields: _Fields) -> CollectionManifest:
    return CollectionManifest(
        count=fields.get("count", int),
        dim=fields.get("dim", int),
        kind=fields.get("kind", str),
        parameters=dict(fields.get("parameters", dict)),
        recall_at_10=float(fields.get("recall_at_10", (int, float))),
        recall_sample=fields.get("recall_sample", int),
        bytes=fields.get("bytes", int),
        skipped={
            reason: Skipped(part.get("count", int), tuple(part.get("examples", list)))
            for reason, document in fields.get("skipped", dict).items()
            for part in [_Fields(document, fields.path, f"{fields.prefix}skipped.{reason}.")]
        },
        source=fields.get("source", str),
        root=fields.get("root", str),
        root_from_index=fields.get("root_from_index", str),
        closeness={
            modality: _closeness(_Fields(part, fields.path, f"{fields.prefix}closeness.{modality}."))
            for modality, part in fields.optional("closeness", get_args(Modality))
        },
    )


def _closeness(fields: _Fields) -> Closeness:
    def score(key: str) -> float:
        return float(fields.get(key, (int, float)))

    return Closeness(
        chance_median=score("chance_median"),
        chance_p99=score("chance_p99"),
        nearest_p25=score("nearest_p25"),
        nearest_p95=score("nearest_p95"),
        sample=fields.get("sample", int),
    )


def _map(fields: _Fields) -> MapManifest | None:
    """None where the generation has no map, as none had before there were maps."""
    if fields.document.get("map") is None:
        return None
    told = _Fields(fields.get("map", dict), fields.path, "map.")
    points = _Fields(told.get("points", dict), fields.path, "map.points.")
    return MapManifest(
        method=told.get("method", str),
        seed=told.get("seed", int),
        points={name: points.get(name, int) for name in COLLECTIONS if name in points.document},
    )


def _milvus(fields: _Fields) -> MilvusManifest | None:
    """None where the vectors are files; else every collection of the generation is in Milvus."""
    if fields.document.get("milvus") is None:
        return None
    told = _Fields(fields.get("milvus", dict), fields.path, "milvus.")
    there = told.get("collections", dict)
    return MilvusManifest(
        uri=told.get("uri", str),
        metric=told.get("metric", str),
        collections={
            name: MilvusCollection(one.get("name", str), one.get("sha256", str))
            for name, _ in fields.children("collections", COLLECTIONS)
            for one in [_Fields(there.get(name), fields.path, f"milvus.collections.{name}.")]
        },
    )


class _Fields:
    """Typed access to one JSON object, so that every fault is named by its field."""

    def __init__(self, document: object, path: Path, prefix: str) -> None:
        if not isinstance(document, dict):
            raise GenerationDamaged(f"{path} should hold an object at {prefix or 'its top'!s}.")
        self.document: Mapping[str, Any] = document
        self.path = path
        self.prefix = prefix

    def get(self, key: str, kind: type[_T] | tuple[type[_T], ...]) -> _T:
        value = self.document.get(key)
        if key not in self.document or not isinstance(value, kind) or isinstance(value, bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(one.__name__ for one in kinds)
            found = type(value).__name__ if key in self.document else "missing"
            raise GenerationDamaged(
                f"{self.path}: {self.prefix}{key} should be {wanted} and is {found}: build a new generation."
            )
        return value

    def children(self, key: str, names: tuple[_N, ...]) -> list[tuple[_N, object]]:
        parts = self.get(key, dict)
        return [(name, parts[name]) for name in names if name in parts]

    def optional(self, key: str, names: tuple[_N, ...]) -> list[tuple[_N, object]]:
        """The same of an object that older manifests do not have."""
        return self.children(key, names) if key in self.document else []
