"""Recall against a slow and obvious oracle, its laws, and what it refuses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer import recall
from indexer.recall import (
    RecallError,
    fractional_recall_at_k,
    median_rank,
    precision_at_k,
    ranks,
    recall_at_k,
)

KS = (1, 2, 3, 5, 10)
Case = tuple[NDArray[np.float32], NDArray[np.bool_]]


def ordered(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> list[list[bool]]:
    """For every query, whether each item is relevant, best first, relevant items last among equals."""
    return [
        [
            bool(hit)
            for _, hit in sorted(zip(row, hits, strict=True), key=lambda pair: (-pair[0], bool(pair[1])))
        ]
        for row, hits in zip(scores, relevant, strict=True)
    ]


def oracle(case: Case, ks: Sequence[int]) -> dict[str, dict[int, float]]:
    lists = ordered(*case)
    return {
        "any": {k: float(np.mean([any(hits[:k]) for hits in lists])) for k in ks},
        "fraction": {k: float(np.mean([sum(hits[:k]) / sum(hits) for hits in lists])) for k in ks},
        "precision": {k: float(np.mean([sum(hits[:k]) / k for hits in lists])) for k in ks},
    }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small matrices whose few distinct scores make ties common; every query has something to find."""
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, draw(st.integers(1, 12)), (queries, gallery)).astype(np.float32)
    relevant = rng.random((queries, gallery)) < draw(st.floats(0.05, 0.9))
    relevant[np.arange(queries), rng.integers(0, gallery, queries)] = True
    return scores, relevant


@given(cases())
def test_equals_the_oracle(case: Case) -> None:
    expected = oracle(case, KS)
    assert recall_at_k(*case, KS) == pytest.approx(expected["any"])
    assert fractional_recall_at_k(*case, KS) == pytest.approx(expected["fraction"])
    assert precision_at_k(*case, KS) == pytest.approx(expected["precision"])
    firsts = [hits.index(True) + 1 for hits in ordered(*case)]
    assert ranks(*case).tolist() == firsts
    assert median_rank(*case) == float(np.median(firsts))


@given(cases())
def test_blocks_change_nothing(case: Case) -> None:
    whole = (recall_at_k(*case, KS), fractional_recall_at_k(*case, KS), precision_at_k(*case, KS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "_BLOCK_CELLS", 7)
        blocked = (recall_at_k(*case, KS), fractional_recall_at_k(*case, KS), precision_at_k(*case, KS))
    assert whole == blocked


@given(cases(), st.integers(0, 2**32 - 1))
def test_order_of_the_gallery_changes_nothing(case: Case, seed: int) -> None:
    scores, relevant = case
    shuffled = np.random.default_rng(seed).permutation(scores.shape[1])
    assert ranks(scores[:, shuffled], relevant[:, shuffled]).tolist() == ranks(scores, relevant).tolist()
    assert fractional_recall_at_k(scores[:, shuffled], relevant[:, shuffled], KS) == fractional_recall_at_k(
        *case, KS
    )


@given(cases())
def test_constant_scores_are_the_worst_case(case: Case) -> None:
    _, relevant = case
    constant = np.zeros(relevant.shape, dtype=np.float32)
    assert ranks(constant, relevant).tolist() == (1 + (~relevant).sum(axis=1)).tolist()


@given(cases())
def test_recall_grows_with_k_and_ends_at_one(case: Case) -> None:
    gallery = case[0].shape[1]
    for figure in (recall_at_k, fractional_recall_at_k):
        values = list(figure(*case, range(1, gallery + 1)).values())
        assert values == sorted(values)
        assert values[-1] == 1.0


def test_transposed_and_other_precisions() -> None:
    rng = np.random.default_rng(5)
    scores, relevant = rng.standard_normal((30, 6)), np.repeat(np.eye(6, dtype=bool), 5, axis=0)
    for dtype in (np.float16, np.float32, np.float64):
        typed: NDArray[np.floating[Any]] = scores.astype(dtype)
        expected = oracle((typed.T.astype(np.float32), relevant.T), (1, 5))
        assert recall_at_k(typed.T, relevant.T, (1, 5)) == pytest.approx(expected["any"])
        assert fractional_recall_at_k(typed.T, relevant.T, (1, 5)) == pytest.approx(expected["fraction"])


def test_any_of_five_captions() -> None:
    """Image to speech in the FACC protocol: one of an image's five captions is enough."""
    scores = np.array([[0.1, 0.2, 0.9, 0.3, 0.4, 0.95, 0.0]], dtype=np.float32)
    relevant = np.array([[True, True, True, True, True, False, False]])
    assert recall_at_k(scores, relevant, (1, 2)) == {1: 0.0, 2: 1.0}
    assert fractional_recall_at_k(scores, relevant, (1, 2)) == {1: 0.0, 2: pytest.approx(0.2)}


GOOD = np.zeros((2, 3), dtype=np.float32)
HITS = np.array([[True, False, False], [False, True, False]])


@pytest.mark.parametrize(
    ("scores", "relevant", "ks", "words"),
    [
        (GOOD, np.array([[True, False, False], [False, False, False]]), (1,), "query 1 has no relevant item"),
        (np.array([[0, 1, 2], [0, np.nan, 1]], np.float32), HITS, (1,), "query 1 and item 1 is nan"),
        (np.array([[0, 1, np.inf], [0, 0, 1]], np.float32), HITS, (1,), "query 0 and item 2 is inf"),
        (GOOD, HITS[:, :2], (1,), r"\[2, 3\] and \[2, 2\]"),
        (GOOD[0], HITS[0], (1,), "queries, gallery"),
        (GOOD.astype(np.int64), HITS, (1,), "floating point, not int64"),
        (GOOD, HITS.astype(np.int64), (1,), "bool, not int64"),
        (GOOD[:0], HITS[:0], (1,), "nothing to evaluate"),
        (GOOD, HITS, (0,), "at least 1, not 0"),
        (GOOD, HITS, (1.5,), "whole number"),
    ],
)
def test_refuses(
    scores: NDArray[np.float32], relevant: NDArray[np.bool_], ks: Sequence[int], words: str
) -> None:
    for figure in (recall_at_k, fractional_recall_at_k, precision_at_k):
        with pytest.raises(RecallError, match=words):
            figure(scores, relevant, ks)
