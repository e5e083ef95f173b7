"""Vectors to a FAISS index: its kinds in one table, search, files, CPU or GPU, all behind one class.

Larger inner product means nearer. An index of finite vectors that is searched through this module never
answers NaN or row -1: queries are checked before FAISS sees them, and a k beyond it is cut to what is there.
Letters of shapes: N indexed vectors, Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.cores import available_cores

Device = Literal["cpu", "gpu"]
Neighbours: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scores float32 [Q, K] and rows int64 [Q, K], best first."""
T = TypeVar("T")

ADD_BLOCK = 65_536
"""Vectors handed to FAISS at once: bounds what is in memory twice while a mapped file is indexed."""

PARALLEL_FROM = 4_000_000
"""Multiplications, about a millisecond of one core, from which on a search is worth waking threads for."""

MAX_K_ON_GPU = 2_048
"""FAISS refuses more neighbours than this on a GPU."""


class AnnError(ValueError):
    """The vectors, the k, the kind or the index file cannot be used as they are."""


class NoGpu(AnnError):
    """A GPU was asked for and FAISS has none."""


@dataclass(frozen=True)
class Kind:
    """One way of indexing: `create` gives an empty index of a dimension, `defaults` its parameters."""

    name: str
    says: str
    exact: bool
    defaults: Mapping[str, int]
    create: Callable[[int, Mapping[str, int]], faiss.Index]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="flat",
            says="exact inner product with every vector; nothing to train, nothing lost",
            exact=True,
            defaults={},
            create=lambda dim, _parameters: faiss.IndexFlatIP(dim),
        ),
    )
}


class VectorIndex(Protocol):
    """What is searched, wherever its vectors live; the methods are told of at AnnIndex."""

    dim: int
    count: int

    def search(self, vectors_QD: NDArray[np.float32], k: int) -> Neighbours: ...

    def vector(self, row: int) -> NDArray[np.float32]: ...

    def close(self) -> None: ...


class AnnIndex:
    """One FAISS index on its device, searched by any number of threads at once.

    On CPU threads search side by side. A GPU index is unsafe even for concurrent reads, so one thread owns
    it: there it is moved to the GPU, searched and destroyed, and callers queue for that thread.
    """

    def __init__(self, index: faiss.Index, *, device: Device = "cpu", threads: int | None = None) -> None:
        self.dim = int(index.d)
        self.count = int(index.ntotal)
        self.device: Device = device
        self.threads = threads or available_cores()
        self._gpu_resources: Any = None
        self._owner: ThreadPoolExecutor | None = None
        self._index: faiss.Index | None = index
        if device == "gpu":
            if gpu_count() == 0:
                raise NoGpu(
                    "The index was asked for on a GPU and FAISS sees none; "
                    "`python -m indexer doctor` says why, or ask for the cpu."
                )
            self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="faiss-gpu")
            self._owner.submit(self._move_to_gpu).result()

    def search(self, vectors_QD: NDArray[np.float32], k: int) -> Neighbours:
        """Nearest rows, best first: scores float32 [Q, K] and rows int64 [Q, K], K = min(k, indexed vectors).

        AnnError when k < 1, or the vectors are not finite float [Q, dim].
        """
        if k < 1:
            raise AnnError(f"k is {k}; ask for at least 1 neighbour.")
        queries_QD = checked_vectors(vectors_QD, self.dim)
        width = min(k, self.count)
        if self.device == "gpu" and width > MAX_K_ON_GPU:
            raise AnnError(f"k is {k}; an index on a GPU gives at most {MAX_K_ON_GPU} neighbours.")
        if width == 0 or len(queries_QD) == 0:
            shape = (len(queries_QD), width)
            return np.empty(shape, np.float32), np.empty(shape, np.int64)
        work = len(queries_QD) * self.count * self.dim
        threads = self.threads if work >= PARALLEL_FROM else 1
        return self._on_owner(lambda index: index.search(queries_QD, width), threads)

    def vector(self, row: int) -> NDArray[np.float32]:
        """The vector of `row`, float32 [D], as far as the kind keeps it (flat: exactly)."""
        if not 0 <= row < self.count:
            raise AnnError(f"Row {row} was asked for; the index has {self.count} rows.")
        return self._on_owner(lambda index: np.asarray(index.reconstruct(row), dtype=np.float32))

    def write(self, path: Path) -> str:
        """Write the index to `path`, flushed to the device, and return the file's SHA-256. CPU indices only.

        Goes through Python's own file: FAISS only prints, and does not raise, when its last write fails.
        """
        digest = hashlib.sha256()
        with path.open("wb") as file:

            def pass_on(block: bytes) -> int:
                digest.update(block)
                return file.write(block)

            # Missing from FAISS's own type stubs, there since 2019.
            writer = faiss.PyCallbackIOWriter(pass_on)  # type: ignore[attr-defined, unused-ignore]
            faiss.write_index(self._held(), writer)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def close(self) -> None:
        """Free the index, on the thread that owns it; later searches raise AnnError."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.submit(self._forget).result()
            owner.shutdown()
        else:
            self._forget()

    def _move_to_gpu(self) -> None:
        # Only FAISS's GPU build has these two.
        self._gpu_resources = faiss.StandardGpuResources()  # type: ignore[attr-defined, unused-ignore]
        self._index = faiss.index_cpu_to_gpu(  # type: ignore[attr-defined, unused-ignore]
            self._gpu_resources, 0, self._held()
        )

    def _forget(self) -> None:
        self._index = None
        self._gpu_resources = None

    def _held(self) -> faiss.Index:
        index = self._index
        if index is None:
            raise AnnError("The index was closed; open it again before searching.")
        return index

    def _on_owner(self, ask: Callable[[faiss.Index], T], threads: int = 1) -> T:
        owner = self._owner
        if owner is not None:
            # The caller's thread never holds the index itself, or it could be the one to destroy it.
            return owner.submit(lambda: ask(self._held())).result()
        # OpenMP keeps its thread count per calling thread, so every caller sets it.
        faiss.omp_set_num_threads(threads)
        return ask(self._held())


def build(
    kind: str,
    vectors_ND: NDArray[np.float32],
    *,
    parameters: Mapping[str, int] | None = None,
    threads: int | None = None,
) -> AnnIndex:
    """Index vectors [N, D], in memory or mapped from a file, in their order: vector i has row i.

    AnnError names an unknown kind, or a vector that is not finite.
    """
    if kind not in KINDS:
        raise AnnError(f"The index kind {kind!r} does not exist; there is {', '.join(sorted(KINDS))}.")
    count, dim = vectors_ND.shape
    made = KINDS[kind]
    index = made.create(dim, {**made.defaults, **(parameters or {})})
    faiss.omp_set_num_threads(threads or available_cores())
    for start in range(0, count, ADD_BLOCK):
        index.add(checked_vectors(vectors_ND[start : start + ADD_BLOCK], dim))
    return AnnIndex(index, threads=threads)


def read(path: Path, *, device: Device = "cpu", threads: int | None = None, mapped: bool = False) -> AnnIndex:
    """Load an index file whose digest the caller has checked: FAISS trusts what it reads.

    `mapped` leaves the vectors in the file, as far as FAISS can: processes that map it share its memory, and
    it may be deleted meanwhile, but never altered.
    """
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        reason = str(error).rsplit(": ", 1)[-1]
        raise AnnError(f"{path} is not an index FAISS {faiss.__version__} can read ({reason}).") from error
    return AnnIndex(index, device=device, threads=threads)


def exact_search(vectors_ND: NDArray[np.float32], queries_QD: NDArray[np.float32], k: int) -> Neighbours:
    """The true nearest rows by plain matrix products, block by block: what every kind is measured against."""
    count, dim = vectors_ND.shape
    queries_QD = checked_vectors(queries_QD, dim)
    best_scores = np.empty((len(queries_QD), 0), np.float32)
    best_rows = np.empty((len(queries_QD), 0), np.int64)
    for start in range(0, count, ADD_BLOCK):
        scores_QB = queries_QD @ np.asarray(vectors_ND[start : start + ADD_BLOCK]).T
        rows_QB = np.broadcast_to(np.arange(start, start + scores_QB.shape[1]), scores_QB.shape)
        scores = np.concatenate([best_scores, scores_QB], axis=1)
        rows = np.concatenate([best_rows, rows_QB], axis=1)
        if scores.shape[1] > k:  # most of a block is cut away unsorted
            kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            scores, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        best_scores = np.take_along_axis(scores, order, axis=1)
        best_rows = np.take_along_axis(rows, order, axis=1)
    return best_scores, best_rows


def measured_recall(
    index: VectorIndex, vectors_ND: NDArray[np.float32], queries_QD: NDArray[np.float32], k: int = 10
) -> float:
    """Share of the true k nearest that the index finds, over all queries; 1.0 when nothing could be missed.

    A neighbour counts as found when it scores no worse than the true k-th: equal vectors are no misses.
    """
    true_QK, _ = exact_search(vectors_ND, queries_QD, k)
    _, rows_QK = index.search(queries_QD, k)
    if true_QK.size == 0:
        return 1.0
    found = 0
    for query_D, true_K, rows_K in zip(queries_QD, true_QK, rows_QK, strict=True):
        # Scored by the same product as the truth; FAISS sums in another order, which moves the last digits.
        scores_K = np.asarray(vectors_ND[rows_K]) @ query_D
        found += int((scores_K >= true_K[-1] - 1e-5 * max(1.0, float(abs(true_K[-1])))).sum())
    return found / true_QK.size


def checked_vectors(vectors_QD: NDArray[Any], dim: int) -> NDArray[np.float32]:
    """The vectors as contiguous float32 [Q, dim]; AnnError for another shape or a value not finite."""
    if vectors_QD.ndim != 2 or vectors_QD.shape[1] != dim:
        raise AnnError(f"The vectors have shape {list(vectors_QD.shape)}; this index takes [count, {dim}].")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        checked = np.ascontiguousarray(vectors_QD, dtype=np.float32)
    if not np.isfinite(checked).all():
        bad = int(np.flatnonzero(~np.isfinite(checked).all(axis=1))[0])
        raise AnnError(f"Vector {bad} holds NaN or infinity; only finite vectors can be indexed or searched.")
    return checked


def gpu_count() -> int:
    """GPUs that FAISS can use; 0 for the CPU distribution, whatever the machine has."""
    return int(faiss.get_num_gpus())
