"""The rebuild, readable top to bottom: bundle, corpora, embeddings, index, measurement, generation.

One that cannot be done is refused before anything is written. One under way may be killed at any instant, or
find the disk full: what serves is untouched, and the next build goes on from the embeddings already kept.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import ann
from indexer.cores import available_cores
from indexer.corpus import Corpus
from indexer.durable import naming_a_full_disk
from indexer.embeddings import Embeddings
from indexer.encoder import Encoder, Provider
from indexer.indexing import add_map, index_collection
from indexer.ingest import ingest
from indexer.media import MediaLimits
from indexer.milvus import Milvus
from indexer.preflight import BuildError, check, nothing_usable
from indexer.progress import Progress, Silent
from indexer.projection import can_project
from indexer.store import (
    CollectionManifest,
    CollectionName,
    GenerationWriter,
    Item,
    MapManifest,
    Skipped,
    promote,
    sole_builder,
)
from indexer.store.layout import EMBEDDINGS, GENERATIONS

FILES = "faiss"
"""What `vectors` is where they live in files of the index."""

__all__ = ["BuildError", "BuildReport", "CollectionReport", "build"]


@dataclass(frozen=True)
class CollectionReport:
    """What became of one source."""

    count: int
    new: int  # embedded now
    reused: int  # found among the embeddings
    skipped: dict[str, Skipped]
    recall_at_10: float
    seconds: float


@dataclass(frozen=True)
class BuildReport:
    """What a build did. `previous` is what served before, when the new generation was promoted."""

    generation: str
    promoted: bool
    previous: str | None
    fingerprint: str
    provider: str
    collections: dict[CollectionName, CollectionReport]
    map: MapManifest | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Embedded:
    """A collection whose rows are written: its vectors float32 [N, D] in a file without a name."""

    vectors_ND: NDArray[np.float32]
    new: int
    seconds: float


def build(
    bundle: Path | str,
    index: Path | str,
    *,
    images: Path | str | None = None,
    captions: Path | str | None = None,
    only: Mapping[str, Collection[str]] | None = None,
    kind: str = "flat",
    vectors: str = FILES,
    engine: str = "local",
    threads: int | None = None,
    provider: Provider = "auto",
    promote_it: bool = False,
    map_it: bool | None = None,
    limits: MediaLimits | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Index `images` and `captions` (at least one) with the bundle as a new generation of the index.

    With `map_it` a map of the joint space is made, too; None: where the extra `map` is installed.
    `vectors` says where they are to live: files of the index, or `milvus://HOST:PORT`.
    `only` (metadata key -> values, one of which must be there) picks lines of sources that are .jsonl files.
    BuildError, CorpusError, BundleError, EncoderError, AnnError (a Milvus that is away among it),
    BuildConflict, DiskFull: each one sentence; an ExceptionGroup where several sources, or the bundle too,
    are wrong.
    """
    started = time.monotonic()
    index = Path(index)
    named: tuple[tuple[CollectionName, Path | str | None], ...] = (("images", images), ("captions", captions))
    sources = {name: one for name, one in named if one is not None}
    if not sources:
        raise BuildError("There is nothing to index: name images, captions or both.")
    if kind not in ann.KINDS:
        raise BuildError(f"The kind {kind!r} does not exist; there is {', '.join(ann.KINDS)}.")
    if engine != "local":
        raise BuildError(f"The engine {engine!r} does not exist; there is local.")
    if map_it and not can_project():
        raise BuildError("A map needs scikit-learn: `pip install 'saysee[map]'`, or build with --no-map.")
    map_it = can_project() if map_it is None else map_it
    progress = progress or Silent()
    threads, limits = threads or available_cores(), limits or MediaLimits()
    with progress.stage("checking bundle and sources"):
        opened, corpora = check(bundle, sources, only or {}, limits)
    encoder = Encoder(opened, provider=provider, threads=threads)

    previous = None
    with _milvus(vectors) as milvus, naming_a_full_disk(index), sole_builder(index):
        with GenerationWriter(index, opened, milvus) as writer:
            embedded: dict[CollectionName, _Embedded] = {}
            for name, corpus in corpora.items():
                embedded[name] = _embed(name, corpus, writer, encoder, index, threads, limits, progress)
            manifests: dict[CollectionName, CollectionManifest] = {}
            by_name = {name: one.vectors_ND for name, one in embedded.items()}
            for name, corpus in corpora.items():
                with progress.stage(f"{name}: {kind} index"):
                    manifests[name] = index_collection(name, corpus, writer, by_name, kind, threads, index)
            made_map = None
            if map_it:
                with progress.stage("map of the joint space"):
                    made_map = add_map(writer, by_name)
            with progress.stage("writing the generation"):
                generation = writer.commit(manifests)
        if promote_it:
            previous = promote(index, generation).previous

    return BuildReport(
        generation=generation,
        promoted=promote_it,
        previous=previous,
        fingerprint=opened.fingerprint,
        provider=encoder.provider,
        collections={
            name: CollectionReport(
                count=part.count,
                new=embedded[name].new,
                reused=part.count - embedded[name].new,
                skipped=part.skipped,
                recall_at_10=part.recall_at_10,
                seconds=embedded[name].seconds,
            )
            for name, part in manifests.items()
        },
        map=made_map,
        seconds=time.monotonic() - started,
    )


@contextmanager
def _milvus(vectors: str) -> Iterator[Milvus | None]:
    """A connection to the Milvus that `vectors` names; None for files."""
    if vectors == FILES:
        yield None
        return
    milvus = Milvus(vectors)
    try:
        yield milvus
    finally:
        milvus.close()


def _embed(
    name: CollectionName,
    corpus: Corpus,
    writer: GenerationWriter,
    encoder: Encoder,
    index: Path,
    threads: int,
    limits: MediaLimits,
    progress: Progress,
) -> _Embedded:
    """Write the rows of a collection and its vectors, in the corpus's order."""
    started = time.monotonic()
    known = Embeddings(index / EMBEDDINGS / encoder.bundle.fingerprint, corpus.modality, encoder.dim)
    count = new = 0
    # The file has no name, so a killed build leaves nothing of it behind.
    with (
        known,
        tempfile.TemporaryFile(dir=index / GENERATIONS) as vectors,
        progress.stage(f"{name}: vectors", corpus.count_hint()) as stage,
    ):
        for one in ingest(corpus, known, encoder, threads=threads, limits=limits):
            item = Item(
                id=one.item.id,
                row=count,
                sha256=one.sha256,
                mime=one.embedding.mime,
                location=one.item.location,
                modified_ns=one.item.modified_ns,
                seconds=one.embedding.seconds,
                width=one.embedding.width,
                height=one.embedding.height,
                metadata=one.item.metadata,
            )
            writer.items.add(name, item, corpus.root, one.embedding.thumbnail)
            vectors.write(one.embedding.vector_D.tobytes())
            count += 1
            new += one.new
            told = f"{new:,} embedded now, {count - new:,} reused"
            stage.reach(count + corpus.skips.total, told)
        if count == 0:
            raise BuildError(nothing_usable(name, corpus))
        vectors.flush()
        vectors_ND = np.memmap(vectors, np.float32, "r", shape=(count, encoder.dim))
    return _Embedded(vectors_ND, new, time.monotonic() - started)
