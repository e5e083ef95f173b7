"""A loaded collection of Milvus, searched as an AnnIndex is.

Letters of shapes: Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer.ann import AnnError, Neighbours, checked_vectors
from indexer.milvus.connection import (
    ASK_SECONDS,
    MAX_K,
    METRIC,
    WORK_SECONDS,
    Milvus,
    MilvusUnavailable,
    blocks,
)
from indexer.milvus.outage import Outage

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_NOT_LOADED = 101  # Milvus's own code
T = TypeVar("T")


class MilvusIndex:
    """A loaded collection, with the behaviour of `ann.AnnIndex`: any number of threads search it at once.

    While its Milvus is away a search or a fetch fails at once, but for one caller a second, who tries again.
    """

    def __init__(self, uri: str, name: str) -> None:
        """Connect, load and count. AnnError where there is no such collection, MilvusUnavailable."""
        self.name = name
        self._outage = Outage(name)
        self._milvus: Milvus | None = Milvus(uri)
        try:
            _, self.dim = self._milvus.shape(name)
            self._load()
            # Asked for as of now; whoever searches later, less strictly, sees at least as much.
            counted = self._ask(
                lambda client: client.query(
                    name, "", ["count(*)"], timeout=WORK_SECONDS, consistency_level="Strong"
                ),
                "count",
                WORK_SECONDS,
            )
            self.count = int(counted[0]["count(*)"])
        except BaseException:
            self.close()
            raise

    def search(self, vectors_QD: NDArray[np.float32], k: int) -> Neighbours:
        """Nearest rows, best first: scores float32 [Q, K] and rows int64 [Q, K], K = min(k, indexed vectors).

        AnnError when k < 1 or above MAX_K, or the vectors are not finite float [Q, dim]; MilvusUnavailable.
        """
        if k < 1:
            raise AnnError(f"k is {k}; ask for at least 1 neighbour.")
        queries_QD = checked_vectors(vectors_QD, self.dim)
        width = min(k, self.count)
        if width > MAX_K:
            raise AnnError(f"k is {k}; Milvus gives at most {MAX_K} neighbours.")
        if width == 0 or len(queries_QD) == 0:
            shape = (len(queries_QD), width)
            return np.empty(shape, np.float32), np.empty(shape, np.int64)
        with self._outage.watched():
            found = self._ask(
                lambda client: client.search(
                    self.name,
                    list(queries_QD),
                    limit=width,
                    anns_field="vector",
                    search_params={"metric_type": METRIC},
                    timeout=ASK_SECONDS,
                    consistency_level="Bounded",
                ),
                "search",
                ASK_SECONDS,
            )
            if [len(hits.ids) for hits in found] != [width] * len(queries_QD):
                raise MilvusUnavailable(
                    "Milvus gave fewer neighbours than it holds: see that all its nodes run."
                )
        scores_QK = np.array([hits.distances for hits in found], np.float32)
        return scores_QK, np.array([hits.ids for hits in found], np.int64)

    def vector(self, row: int) -> NDArray[np.float32]:
        """The vector of `row` as it was inserted, float32 [D]. AnnError, MilvusUnavailable."""
        if not 0 <= row < self.count:
            raise AnnError(f"Row {row} was asked for; the index has {self.count} rows.")
        with self._outage.watched():
            return np.asarray(self._rows(row, row + 1, ASK_SECONDS)[0])

    def digest(self) -> str:
        """The SHA-256 that `Milvus.fill` gave, of what is there now. AnnError where rows are missing."""
        digest = hashlib.sha256()
        for start, stop in blocks(self.count, self.dim):
            digest.update(self._rows(start, stop, WORK_SECONDS).tobytes())
        return digest.hexdigest()

    def close(self) -> None:
        """End the connection; later searches raise AnnError. The collection stays loaded, for others."""
        held, self._milvus = self._milvus, None
        if held is not None:
            held.close()

    def _rows(self, start: int, stop: int, seconds: float) -> NDArray[np.float32]:
        """The vectors of rows `start` to `stop`, float32 [stop - start, D]."""
        found = self._ask(
            lambda client: client.query(
                self.name, f"row >= {start} and row < {stop}", ["vector"], timeout=seconds
            ),
            "fetch vectors",
            seconds,
        )
        by_row = {int(one["row"]): one["vector"] for one in found}
        if sorted(by_row) != list(range(start, stop)):
            raise AnnError(f"{self.name} lacks some of its rows {start} to {stop - 1}.")
        return np.array([by_row[row] for row in range(start, stop)], np.float32)

    def _load(self) -> None:
        self._ask(
            lambda client: client.load_collection(self.name, timeout=WORK_SECONDS), "load", WORK_SECONDS
        )

    def _ask(self, ask: Callable[[MilvusClient], T], what: str, seconds: float) -> T:
        """What the client answers; a collection that Milvus let go of, as in a restart, is loaded anew."""
        from pymilvus import MilvusException

        held = self._milvus
        if held is None:
            raise AnnError("The index was closed; open it again before searching.")
        with held.told(what, seconds, self.name):
            try:
                return ask(held.client)
            except MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
                held.client.load_collection(self.name, timeout=seconds)
                return ask(held.client)
