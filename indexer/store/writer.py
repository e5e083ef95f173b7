"""A generation being built: written aside, its manifest last, then renamed to its id in one step.

Until that rename nothing that serves can see it, so a build may be killed at any instant. One build at a
time: the lock is the kernel's and ends with its process, and only its holder clears away leftovers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer.ann import AnnError, AnnIndex
from indexer.bundle import Bundle, open_bundle
from indexer.collection import CollectionName
from indexer.durable import fsync_file, fsync_folder, sha256_file
from indexer.milvus import METRIC, Milvus, MilvusIndex, MilvusUnavailable
from indexer.store.errors import BuildConflict
from indexer.store.history import current_generation
from indexer.store.items import ItemsWriter
from indexer.store.layout import (
    BUILD_LOCK,
    BUNDLE_FOLDER,
    GENERATIONS,
    ITEMS_FILE,
    MANIFEST,
    MAP_FILE,
    TRASH_PREFIX,
    UNFINISHED_PREFIX,
    faiss_file,
    generation_folder,
    generation_ids,
)
from indexer.store.manifest import (
    SCHEMA_VERSION,
    CollectionManifest,
    FileRecord,
    GenerationManifest,
    MapManifest,
    MilvusCollection,
    MilvusManifest,
)
from indexer.store.map import MapPoints, write_map
from indexer.store.vectors import claim, collection_name, drop_orphans, owner_of

_STAMP = "%Y%m%dT%H%M%S"


@contextmanager
def sole_builder(index: Path) -> Iterator[None]:
    """Hold the index for building or pruning and clear leftovers; BuildConflict when another holds it."""
    (index / GENERATIONS).mkdir(parents=True, exist_ok=True)
    with (index / BUILD_LOCK).open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).decode(errors="replace").strip()
            raise BuildConflict(
                f"Another build or prune is at work on {index} (process {holder or 'unknown'}): "
                "wait until it ends, or stop it."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        for leftover in (index / GENERATIONS).iterdir():
            if leftover.name.startswith((UNFINISHED_PREFIX, TRASH_PREFIX)):
                shutil.rmtree(leftover, ignore_errors=True)
        yield


class GenerationWriter:
    """Use as a context manager under `sole_builder`; without `commit` nothing stays.

    With `milvus`, a connection that the caller closes, the vectors go there instead of into files.
    """

    def __init__(self, index: Path, bundle: Bundle, milvus: Milvus | None = None) -> None:
        self._index = index
        self._bundle = bundle
        self.milvus = milvus
        self._remote: dict[CollectionName, MilvusCollection] = {}
        self._claimed: tuple[datetime, str] | None = None
        self._committed = False
        self._files: dict[str, FileRecord] = {}
        self._map: MapManifest | None = None
        self.folder = index / GENERATIONS / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}"

    def __enter__(self) -> GenerationWriter:
        if self.milvus is not None:
            drop_orphans(self._index, self.milvus)
            # Collections are named after the generation, so its name cannot wait for its content.
            self._claimed = self._new_id(secrets.token_hex(3))
        (self.folder / BUNDLE_FOLDER).mkdir(parents=True)
        self.items = ItemsWriter(self.folder / ITEMS_FILE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            self.items.abandon()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.milvus is not None:
                with suppress(MilvusUnavailable):  # then the next build does it
                    drop_orphans(self._index, self.milvus)

    def add_index(self, collection: CollectionName, index: AnnIndex) -> int:
        """Write the FAISS file of a collection; its length in bytes."""
        name = faiss_file(collection)
        digest = index.write(self.folder / name)
        self._files[name] = FileRecord(digest, (self.folder / name).stat().st_size)
        return self._files[name].bytes

    def add_to_milvus(
        self, collection: CollectionName, vectors_ND: NDArray[np.float32], kind: str
    ) -> MilvusIndex:
        """Put the vectors of a collection into Milvus and flush; the open index. AnnError."""
        assert self.milvus is not None
        assert self._claimed is not None
        name = collection_name(owner_of(self._index), self._claimed[1], collection)
        claim(self._index, name)
        self._remote[collection] = MilvusCollection(name, self.milvus.fill(name, vectors_ND, kind))
        index = MilvusIndex(self.milvus.uri, name)
        if index.count != len(vectors_ND):  # a block that was sent again, because the answer was lost
            index.close()
            raise AnnError(f"Milvus holds {index.count} of {len(vectors_ND)} {collection}: build again.")
        return index

    def add_map(self, points: Mapping[CollectionName, MapPoints], method: str, seed: int) -> MapManifest:
        """Write the map; what the manifest will say of it."""
        write_map(self.folder / MAP_FILE, points)
        fsync_file(self.folder / MAP_FILE)
        self._record(MAP_FILE)
        self._map = MapManifest(method, seed, {name: len(one.rows_N) for name, one in points.items()})
        return self._map

    def commit(self, collections: dict[CollectionName, CollectionManifest]) -> str:
        """Make the generation complete and visible; its id. It is not promoted."""
        self.items.finish()
        fsync_file(self.folder / ITEMS_FILE)
        self._record(ITEMS_FILE)
        self._place_bundle()
        fsync_folder(self.folder / BUNDLE_FOLDER)
        now, generation = self._claimed or self._new_id(self._content())
        manifest = GenerationManifest(
            schema_version=SCHEMA_VERSION,
            id=generation,
            created=now.isoformat(timespec="seconds"),
            parent=current_generation(self._index),
            fingerprint=self._bundle.fingerprint,
            bundle_name=self._bundle.manifest.name,
            collections=collections,
            files=dict(sorted(self._files.items())),
            map=self._map,
            milvus=MilvusManifest(self.milvus.uri, METRIC, self._remote) if self.milvus else None,
        )
        with (self.folder / MANIFEST).open("w", encoding="utf-8") as file:
            file.write(manifest.to_json())
            file.flush()
            os.fsync(file.fileno())
        for name in (MANIFEST, *self._files):
            (self.folder / name).chmod(0o444)  # immutable, as far as permissions can say it
        fsync_folder(self.folder)
        os.rename(self.folder, generation_folder(self._index, generation))
        self._committed = True
        fsync_folder(self._index / GENERATIONS)
        return generation

    def _record(self, name: str) -> None:
        file = self.folder / name
        self._files[name] = FileRecord(sha256_file(file), file.stat().st_size)

    def _place_bundle(self) -> None:
        """Copy the bundle in, or hard-link those files that an earlier generation already holds.

        Never linked to the operator's own folder: writing into that later would alter what serves.
        """
        held = [generation_folder(self._index, one) / BUNDLE_FOLDER for one in generation_ids(self._index)]
        wanted = {**self._bundle.files, MANIFEST: sha256_file(self._bundle.path / MANIFEST)}
        for name, digest in wanted.items():
            target = self.folder / BUNDLE_FOLDER / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not any(_link(folder / name, target, digest) for folder in held):
                shutil.copyfile(self._bundle.path / name, target)
                fsync_file(target)
                fsync_folder(target.parent)
            self._record(f"{BUNDLE_FOLDER}/{name}")
        open_bundle(self.folder / BUNDLE_FOLDER)  # what was copied is what was opened, or BundleError

    def _content(self) -> str:
        """A short hash of all files."""
        told = "".join(f"{name}:{record.sha256}\n" for name, record in sorted(self._files.items()))
        return hashlib.sha256(told.encode()).hexdigest()[:6]

    def _new_id(self, suffix: str) -> tuple[datetime, str]:
        """UTC time and the suffix; later than every id there, whatever the clock says."""
        now = datetime.now(UTC).replace(microsecond=0)
        newest = next(iter(generation_ids(self._index)), None)
        if newest is not None:
            last = datetime.strptime(newest.split("-")[0], _STAMP).replace(tzinfo=UTC)
            now = max(now, last + timedelta(seconds=1))
        return now, f"{now.strftime(_STAMP)}-{suffix}"


def _link(source: Path, target: Path, digest: str) -> bool:
    """Hard-link `source` as `target` if it has that digest and the file system can; else leave nothing."""
    try:
        if sha256_file(source) != digest:
            return False
        os.link(source, target)
    except OSError:
        return False
    return True
