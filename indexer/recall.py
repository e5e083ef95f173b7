"""Retrieval figures from a score matrix: recall@k (any-of and fractional), precision@k, ranks. NumPy only.

Ties are counted pessimistically: an irrelevant item with the same score stands ahead, so constant scores
earn nothing. Shape suffixes: Q queries, G gallery items, B the queries of one block.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]
Relevant = NDArray[np.bool_]

_BLOCK_CELLS = 4_000_000  # cells worked on at once: 16 MB of float32, whatever the size of the whole matrix


class RecallError(ValueError):
    """The scores or the relevance matrix cannot be evaluated; the message says why."""


def ranks(scores_QG: Scores, relevant_QG: Relevant) -> NDArray[np.int64]:
    """Rank (1 is best) of each query's first relevant item, int64 [Q].

    It is one more than the number of irrelevant items that score at least as much as the best relevant one.
    Raises RecallError for wrong shapes or types, non-finite scores, or a query without a relevant item.
    """
    scores_QG, relevant_QG = _checked(scores_QG, relevant_QG)
    ranks_Q = np.empty(len(scores_QG), dtype=np.int64)
    for rows, scores_BG, relevant_BG in _blocks(scores_QG, relevant_QG):
        best_B1 = np.where(relevant_BG, scores_BG, -np.inf).max(axis=1, keepdims=True)
        ahead_BG = (scores_BG >= best_B1) & ~relevant_BG
        ranks_Q[rows] = 1 + np.count_nonzero(ahead_BG, axis=1)
    return ranks_Q


def recall_at_k(scores_QG: Scores, relevant_QG: Relevant, ks: Sequence[int]) -> dict[int, float]:
    """Share of queries with at least one relevant item among the first k, for every k in `ks`.

    `scores_QG` float [Q, G], higher is nearer; `relevant_QG` bool [Q, G]. Raises RecallError as `ranks` does.
    """
    ks = _checked_ks(ks)
    ranks_Q = ranks(scores_QG, relevant_QG)
    return {k: float(np.mean(ranks_Q <= k)) for k in ks}


def fractional_recall_at_k(scores_QG: Scores, relevant_QG: Relevant, ks: Sequence[int]) -> dict[int, float]:
    """Share of each query's relevant items found among the first k, averaged over queries.

    With one relevant item a query this equals `recall_at_k`. Raises RecallError as `ranks` does.
    """
    found_KQ, relevant_Q = _found(scores_QG, relevant_QG, ks)
    return {int(k): float(np.mean(found_Q / relevant_Q)) for k, found_Q in zip(ks, found_KQ, strict=True)}


def precision_at_k(scores_QG: Scores, relevant_QG: Relevant, ks: Sequence[int]) -> dict[int, float]:
    """Share of relevant items among the first k, averaged over queries; the divisor is always k.

    Raises RecallError as `ranks` does.
    """
    found_KQ, _ = _found(scores_QG, relevant_QG, ks)
    return {int(k): float(np.mean(found_Q / k)) for k, found_Q in zip(ks, found_KQ, strict=True)}


def median_rank(scores_QG: Scores, relevant_QG: Relevant) -> float:
    """Median over queries of the rank of the first relevant item. Raises RecallError as `ranks` does."""
    return float(np.median(ranks(scores_QG, relevant_QG)))


def _found(
    scores_QG: Scores, relevant_QG: Relevant, ks: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Relevant items among the first k [K, Q], and relevant items in all [Q]."""
    ks = _checked_ks(ks)
    scores_QG, relevant_QG = _checked(scores_QG, relevant_QG)
    queries, gallery = scores_QG.shape
    found_KQ = np.zeros((len(ks), queries), dtype=np.int64)
    relevant_Q = np.zeros(queries, dtype=np.int64)
    for rows, scores_BG, relevant_BG in _blocks(scores_QG, relevant_QG):
        # Relevant cells become -inf, so they sort to the front and never count as standing ahead.
        irrelevant_BG = np.sort(np.where(relevant_BG, -np.inf, scores_BG), axis=1)
        for i in range(len(scores_BG)):
            own_R = np.sort(scores_BG[i, relevant_BG[i]])[::-1]
            ahead_R = gallery - np.searchsorted(irrelevant_BG[i], own_R, side="left")
            ranks_R = ahead_R + np.arange(1, len(own_R) + 1)
            found_KQ[:, rows.start + i] = np.searchsorted(ranks_R, ks, side="right")
            relevant_Q[rows.start + i] = len(own_R)
    return found_KQ, relevant_Q


def _checked(scores_QG: Scores, relevant_QG: Relevant) -> tuple[Scores, Relevant]:
    scores_QG, relevant_QG = np.asarray(scores_QG), np.asarray(relevant_QG)
    if scores_QG.dtype.kind != "f":
        raise RecallError(f"scores should be floating point, not {scores_QG.dtype}")
    if relevant_QG.dtype != np.bool_:
        raise RecallError(f"relevance should be bool, not {relevant_QG.dtype}")
    if scores_QG.ndim != 2 or scores_QG.shape != relevant_QG.shape:
        raise RecallError(
            f"scores and relevance should both be [queries, gallery], "
            f"but are {list(scores_QG.shape)} and {list(relevant_QG.shape)}"
        )
    if scores_QG.size == 0:
        raise RecallError(
            f"nothing to evaluate: {scores_QG.shape[0]} queries against {scores_QG.shape[1]} items"
        )
    return scores_QG, relevant_QG


def _checked_ks(ks: Sequence[int]) -> Sequence[int]:
    wrong = [k for k in ks if int(k) != k or k < 1]
    if wrong:
        raise RecallError(f"k should be a whole number of at least 1, not {wrong[0]}")
    return [int(k) for k in ks]


def _blocks(scores_QG: Scores, relevant_QG: Relevant) -> Iterator[tuple[slice, Scores, Relevant]]:
    """Consecutive rows, checked: every score finite and every query with something to find."""
    step = max(1, _BLOCK_CELLS // scores_QG.shape[1])
    for start in range(0, len(scores_QG), step):
        rows = slice(start, min(start + step, len(scores_QG)))
        scores_BG, relevant_BG = scores_QG[rows], relevant_QG[rows]
        if not np.isfinite(scores_BG).all():
            i, j = np.argwhere(~np.isfinite(scores_BG))[0]
            raise RecallError(
                f"the score of query {start + i} and item {j} is {scores_BG[i, j]}, not a finite number"
            )
        empty_B = ~relevant_BG.any(axis=1)
        if empty_B.any():
            raise RecallError(
                f"query {start + int(np.argmax(empty_B))} has no relevant item in the gallery "
                f"of {scores_BG.shape[1]}: leave such queries out before evaluating"
            )
        yield rows, scores_BG, relevant_BG
