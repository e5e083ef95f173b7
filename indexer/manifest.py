"""The manifest of a model bundle: its fields, how they are read and checked, and the fingerprint.

The fingerprint names a vector space by content. Whatever is wrong is one BundleError, in one sentence.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from indexer.media import MediaSpec

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SPEECH_GRAPH, IMAGE_GRAPH = "speech.onnx", "image.onnx"
GOLDEN_SPEECH, GOLDEN_IMAGE, GOLDEN_VECTORS = "golden/speech.wav", "golden/image.png", "golden/vectors.npz"

Similarity = Literal["dot", "cosine"]
GOLDEN_FILES = (GOLDEN_SPEECH, GOLDEN_IMAGE, GOLDEN_VECTORS)
REMEDY = "copy or export the bundle again"

_T = TypeVar("_T")


class BundleError(Exception):
    """A bundle that cannot be opened or written; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. Digests are SHA-256 in hex, by file name relative to the bundle."""

    schema_version: int
    name: str
    system: str
    dim: int
    similarity: Similarity  # cosine: the graphs normalise, so an inner product is the cosine
    media: MediaSpec
    graphs: dict[str, str]  # every graph, and the external data it keeps beside itself
    golden: dict[str, str]
    golden_tolerance: float  # largest absolute difference allowed in any component of a golden vector
    fingerprint: str
    training: dict[str, Any]
    metrics: dict[str, Any]
    licence: str


def fingerprint_of(graph_digests: Mapping[str, str], media: MediaSpec) -> str:
    """SHA-256 over the bytes of the graphs (by their digests) and the media block; 64 hex digits.

    File names and times play no part, so the same model renamed or exported twice is the same space.
    """
    # Numbers are written as floats: 8 and 8.0 seconds are one and the same preprocessing.
    block = {
        key: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        for key, value in media.to_dict().items()
    }
    content = {"graphs": sorted(graph_digests.values()), "media": block}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The manifest in the file `path`; BundleError names the field, what it should be and what it is."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"{path.parent} is not a model bundle: it has no {MANIFEST}; "
            f"make a bundle with `python -m training export`"
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}: {REMEDY}") from error
    if not isinstance(document, dict):
        raise BundleError(f"{path} should hold a JSON object and holds {_shown(document)}: {REMEDY}")
    version = _field(document, "schema_version", int, path)
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema_version {version} and this SaySee reads {SCHEMA_VERSION}: "
            f"export the bundle again, or install the SaySee that wrote it"
        )
    dim, similarity = _field(document, "dim", int, path), _field(document, "similarity", str, path)
    if dim < 1:
        raise BundleError(f"{path}: dim should be at least 1 and is {dim}: {REMEDY}")
    if similarity not in ("dot", "cosine"):
        raise BundleError(f"{path}: similarity should be dot or cosine and is {similarity!r}: {REMEDY}")
    tolerance = float(_field(document, "golden_tolerance", (int, float), path))
    if not 0 < tolerance < float("inf"):
        raise BundleError(f"{path}: golden_tolerance should be above 0 and is {tolerance}: {REMEDY}")
    try:
        media = MediaSpec.from_dict(_field(document, "media", dict, path))
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{path}: the media block is not understood: {error}: {REMEDY}") from error
    manifest = Manifest(
        schema_version=version,
        name=_field(document, "name", str, path),
        system=_field(document, "system", str, path),
        dim=dim,
        similarity="cosine" if similarity == "cosine" else "dot",
        media=media,
        graphs=_digests(document, "graphs", path),
        golden=_digests(document, "golden", path),
        golden_tolerance=tolerance,
        fingerprint=_field(document, "fingerprint", str, path),
        training=_field(document, "training", dict, path),
        metrics=_field(document, "metrics", dict, path),
        licence=_field(document, "licence", str, path),
    )
    if missing := {SPEECH_GRAPH, IMAGE_GRAPH} - set(manifest.graphs):
        raise BundleError(f"{path} lists no {min(missing)}, which every bundle has: {REMEDY}")
    if set(manifest.golden) != set(GOLDEN_FILES):
        raise BundleError(
            f"{path}: golden should list {', '.join(GOLDEN_FILES)} "
            f"and lists {', '.join(sorted(manifest.golden)) or 'nothing'}: {REMEDY}"
        )
    for listed in manifest.graphs:
        check_graph_name(listed, path)
    if (expected := fingerprint_of(manifest.graphs, media)) != manifest.fingerprint:
        raise BundleError(
            f"{path} was altered: its graphs and media block give the fingerprint {expected[:12]}... "
            f"and it says {manifest.fingerprint[:12]}...: {REMEDY}"
        )
    return manifest


def _field(document: Mapping[str, Any], key: str, kind: type[_T] | tuple[type[_T], ...], path: Path) -> _T:
    if key not in document:
        raise BundleError(f"{path} has no {key!r}: {REMEDY}")
    value = document[key]
    if not isinstance(value, kind) or isinstance(value, bool):  # JSON true would pass as the integer 1
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise BundleError(f"{path}: {key} should be {names} and is {_shown(value)}: {REMEDY}")
    return value


def _digests(document: Mapping[str, Any], key: str, path: Path) -> dict[str, str]:
    digests: dict[str, str] = {}
    for name, digest in _field(document, key, dict, path).items():
        if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise BundleError(f"{path}: {key} {name!r} is {_shown(digest)}, not a SHA-256: {REMEDY}")
        digests[name] = digest
    return digests


def check_graph_name(name: str, path: Path) -> None:
    """BundleError for a graph's name that could lead out of the bundle or hide in it."""
    if Path(name).name != name or "\\" in name or name.startswith(".") or name == MANIFEST:
        raise BundleError(f"{path}: {name!r} cannot name a graph: it should be a plain file name")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
