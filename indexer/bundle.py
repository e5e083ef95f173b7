"""The model bundle on disk: graphs, golden pairs, and a manifest that says what they are.

A bundle is complete or absent: it is written aside, the manifest last, and renamed into place. Opening it
checks the digest of every file and the fingerprint, so a bundle that opens is the one that was exported.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from indexer.durable import fsync_file, fsync_folder, sha256_file
from indexer.manifest import (
    GOLDEN_FILES,
    GOLDEN_IMAGE,
    GOLDEN_SPEECH,
    GOLDEN_VECTORS,
    IMAGE_GRAPH,
    MANIFEST,
    REMEDY,
    SCHEMA_VERSION,
    SPEECH_GRAPH,
    BundleError,
    Manifest,
    Similarity,
    check_graph_name,
    fingerprint_of,
    read_manifest,
)
from indexer.media import MediaSpec

__all__ = [
    "IMAGE_GRAPH",
    "SPEECH_GRAPH",
    "Bundle",
    "BundleError",
    "Golden",
    "Manifest",
    "Similarity",
    "fingerprint_of",
    "open_bundle",
    "read_golden",
    "write_bundle",
]


@dataclass(frozen=True)
class Golden:
    """A clip and a picture with the vectors, float32 [dim], that the exported towers gave for them."""

    speech_wav: bytes
    image_png: bytes
    speech_vector: NDArray[np.float32]
    image_vector: NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: where it is and what it says."""

    path: Path
    manifest: Manifest

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists; BundleError for any other name."""
        if name not in self.files:
            raise BundleError(f"{self.path} has no file {name!r}: it has {', '.join(sorted(self.files))}")
        return self.path / name

    @property
    def files(self) -> dict[str, str]:
        """Every file but the manifest, with its digest."""
        return self.manifest.graphs | self.manifest.golden


def open_bundle(path: Path | str, *, verify: bool = True) -> Bundle:
    """The bundle in the folder `path`.

    `verify=False` skips the digests of the files (not their presence), for a caller that has just checked.
    Raises BundleError naming what is missing, altered, of a wrong type or of an unknown schema.
    """
    path = Path(path)
    bundle = Bundle(path, read_manifest(path / MANIFEST))
    for name, expected in bundle.files.items():
        if not (path / name).is_file():
            raise BundleError(f"{path} lacks {name}, which its manifest lists: {REMEDY}")
        if verify and (found := _digest(path / name)) != expected:
            raise BundleError(
                f"{path / name} was altered: its SHA-256 should begin {expected[:12]} and "
                f"begins {found[:12]}: {REMEDY}"
            )
    return bundle


def read_golden(bundle: Bundle) -> Golden:
    """The golden pairs; BundleError where they are unreadable or not what the manifest says."""
    path = bundle.file(GOLDEN_VECTORS)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            golden = Golden(
                bundle.file(GOLDEN_SPEECH).read_bytes(),
                bundle.file(GOLDEN_IMAGE).read_bytes(),
                np.asarray(arrays["speech"], dtype=np.float32),
                np.asarray(arrays["image"], dtype=np.float32),
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BundleError(f"{path} cannot be read: {error}: {REMEDY}") from error
    _check_golden(golden, bundle.manifest.dim, bundle.manifest.similarity, bundle.path)
    return golden


def write_bundle(
    path: Path | str,
    *,
    name: str,
    system: str,
    dim: int,
    similarity: Similarity,
    media: MediaSpec,
    graphs: Mapping[str, Path],
    golden: Golden,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    licence: str,
    golden_tolerance: float = 1e-4,
) -> Bundle:
    """Writes a bundle to the folder `path`, which must be absent or empty, and opens it.

    `graphs` maps each file name in the bundle to the file to copy: at least speech.onnx and image.onnx, and
    external data files under the names that the graphs give them. Raises BundleError, leaving nothing behind.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{path} exists already: remove it or choose another folder for the bundle")
    _check_golden(golden, dim, similarity, path)
    aside = path.parent / f".{path.name}.{secrets.token_hex(4)}.partial"
    try:
        (aside / "golden").mkdir(parents=True)
        for file_name, source in graphs.items():
            check_graph_name(file_name, path)
            shutil.copyfile(source, aside / file_name)
        (aside / GOLDEN_SPEECH).write_bytes(golden.speech_wav)
        (aside / GOLDEN_IMAGE).write_bytes(golden.image_png)
        speech = np.asarray(golden.speech_vector, dtype=np.float32)
        image = np.asarray(golden.image_vector, dtype=np.float32)
        np.savez(aside / GOLDEN_VECTORS, speech=speech, image=image)
        graph_digests = {file_name: _digest(aside / file_name) for file_name in sorted(graphs)}
        document = {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "system": system,
            "dim": dim,
            "similarity": similarity,
            "media": media.to_dict(),
            "graphs": graph_digests,
            "golden": {file_name: _digest(aside / file_name) for file_name in GOLDEN_FILES},
            "golden_tolerance": golden_tolerance,
            "fingerprint": fingerprint_of(graph_digests, media),
            "training": dict(training),
            "metrics": dict(metrics),
            "licence": licence,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (aside / MANIFEST).write_text(text, encoding="utf-8")
        read_manifest(aside / MANIFEST)  # what could not be opened again is not written
        for file in (aside / file_name for file_name in (*graphs, *GOLDEN_FILES, MANIFEST)):
            fsync_file(file)
        fsync_folder(aside / "golden")
        fsync_folder(aside)
        os.replace(aside, path)
        fsync_folder(path.parent)
    except BundleError as error:
        raise BundleError(str(error).replace(str(aside), str(path))) from error
    except (OSError, TypeError, ValueError) as error:
        raise BundleError(f"the bundle {path} cannot be written: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return open_bundle(path)


def _check_golden(golden: Golden, dim: int, similarity: Similarity, path: Path) -> None:
    for side, vector_D in (("speech", golden.speech_vector), ("image", golden.image_vector)):
        if vector_D.shape != (dim,):
            shape = list(vector_D.shape)
            raise BundleError(f"{path}: the golden {side} vector should be [{dim}] and is {shape}")
        if not np.isfinite(vector_D).all():
            raise BundleError(f"{path}: the golden {side} vector holds a value that is not finite")
        norm = float(np.linalg.norm(vector_D))
        if similarity == "cosine" and abs(norm - 1) > 1e-3:
            raise BundleError(
                f"{path}: the golden {side} vector has length {norm:.4f} where cosine wants 1; "
                f"normalise inside the graph or say dot"
            )


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}: {REMEDY}") from error
