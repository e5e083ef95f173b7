"""Vectors whose rows are written to what is searched: the FAISS files, measured, and the map.

Letters of shapes: N items of a collection, Q queries, D dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer import ann
from indexer.closeness import Closeness, closeness
from indexer.corpus import Corpus
from indexer.media.sniff import Modality
from indexer.projection import METHOD, MOST_POINTS, SEED, project, sampled_rows
from indexer.store import (
    CollectionManifest,
    CollectionName,
    GenerationWriter,
    MapManifest,
    MapPoints,
    Skipped,
)

QUERIES = 200
"""Vectors that ask, to measure recall against exact search, and what scores mean."""

CHANCE = 2_000
"""Items of a collection that stand for any at all where it is measured what scores mean."""

_ASKED_WITH: dict[CollectionName, Modality] = {"images": "image", "captions": "speech"}


def index_collection(
    name: CollectionName,
    corpus: Corpus,
    writer: GenerationWriter,
    vectors: Mapping[CollectionName, NDArray[np.float32]],
    kind: str,
    threads: int,
    index: Path,
) -> CollectionManifest:
    """Write the FAISS file of a collection, or put it into Milvus where the writer has one.

    Says how well it finds and what its scores mean.
    `vectors` float32 [N, D] are those of every collection of the generation.
    """
    vectors_ND = vectors[name]
    # Asked as it will be: by vectors of the other modality, where there are any.
    asking = next((other for other in vectors if other != name), name)
    queries_QD = _spread(vectors[asking], QUERIES)
    made: ann.VectorIndex
    if writer.milvus is None:
        made = built = ann.build(kind, vectors_ND, threads=threads)
        length_bytes = writer.add_index(name, built)
    else:
        made = writer.add_to_milvus(name, vectors_ND, kind)
        length_bytes = vectors_ND.nbytes
    recall = ann.measured_recall(made, vectors_ND, queries_QD)
    measured = {
        _ASKED_WITH[other]: _closeness(made, vectors_ND, asking_ND, own=other == name)
        for other, asking_ND in vectors.items()
        if other != name or len(vectors_ND) > 1
    }
    made.close()
    return CollectionManifest(
        count=made.count,
        dim=made.dim,
        kind=kind,
        parameters=dict(ann.KINDS[kind].defaults),
        recall_at_10=recall,
        recall_sample=len(queries_QD),
        bytes=length_bytes,
        skipped={
            reason: Skipped(skipped, tuple(corpus.skips.examples[reason]))
            for reason, skipped in corpus.skips.counts.most_common()
        },
        source=corpus.source,
        root=str(corpus.root),
        root_from_index=os.path.relpath(corpus.root, index.absolute()),
        closeness=measured,
    )


def add_map(writer: GenerationWriter, vectors: Mapping[CollectionName, NDArray[np.float32]]) -> MapManifest:
    """Place the items of all collections, or a sample of many, on one map and write it."""
    rows = sampled_rows([len(vectors_ND) for vectors_ND in vectors.values()], MOST_POINTS)
    chosen = [
        np.asarray(vectors_ND[rows_N]) for vectors_ND, rows_N in zip(vectors.values(), rows, strict=True)
    ]
    points = {
        name: MapPoints(rows_N, xy_N2)
        for name, rows_N, xy_N2 in zip(vectors, rows, project(chosen), strict=True)
    }
    return writer.add_map(points, METHOD, SEED)


def _closeness(
    made: ann.VectorIndex, vectors_ND: NDArray[np.float32], asking_ND: NDArray[np.float32], *, own: bool
) -> Closeness:
    queries_QD = _spread(asking_ND, QUERIES)
    # Among its own a vector is its own nearest: the next one counts.
    nearest_QK, _ = made.search(queries_QD, 2 if own else 1)
    return closeness(queries_QD @ _spread(vectors_ND, CHANCE).T, nearest_QK[:, -1])


def _spread(vectors_ND: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most so many vectors, evenly spread and the same at every build."""
    rows = np.unique(np.linspace(0, len(vectors_ND) - 1, most).round().astype(np.int64))
    return np.asarray(vectors_ND[rows])
