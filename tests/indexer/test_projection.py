"""The map's projection: what belongs together lies together, whatever gap is between speech and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.projection import MOST_POINTS, can_project, project, sampled_rows

Vectors = NDArray[np.float32]

needs_sklearn = pytest.mark.skipif(not can_project(), reason="scikit-learn is not installed (extra `map`)")


def normalised(vectors_ND: NDArray[np.float64]) -> Vectors:
    return np.asarray(vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True), np.float32)


def pairs(count: int, gap: float, dim: int = 32) -> tuple[Vectors, Vectors]:
    """Pictures, and for each a caption close to it; all captions are moved aside by `gap`."""
    random = np.random.default_rng(5)
    pictures_ND = random.standard_normal((count, dim))
    captions_ND = pictures_ND + 0.3 * random.standard_normal((count, dim))
    away_D = np.eye(dim)[0] * gap * np.sqrt(dim)
    return normalised(pictures_ND - away_D), normalised(captions_ND + away_D)


def found(pictures_N2: Vectors, captions_N2: Vectors, k: int = 3) -> float:
    """Share of captions with their own picture among the k nearest on the map."""
    distance_NN = np.linalg.norm(captions_N2[:, None] - pictures_N2[None], axis=2)
    ahead_N = (distance_NN < np.diagonal(distance_NN)[:, None]).sum(axis=1)
    return float((ahead_N < k).mean())


@needs_sklearn
@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_a_caption_lies_near_its_picture_across_the_gap(gap: float) -> None:
    pictures_ND, captions_ND = pairs(120, gap)
    if gap:  # uncentred, every picture would be nearer to every other picture than to its caption
        assert (pictures_ND @ pictures_ND.T).mean() > (pictures_ND * captions_ND).sum(axis=1).max()
    pictures_N2, captions_N2 = project([pictures_ND, captions_ND])
    assert pictures_N2.shape == captions_N2.shape == (120, 2)
    assert found(pictures_N2, captions_N2) > 0.9
    everything = np.concatenate([pictures_N2, captions_N2])
    assert np.abs(everything).max() == pytest.approx(1)
    assert everything.std(axis=0).min() > 0.2


@needs_sklearn
def test_the_same_vectors_give_the_same_points() -> None:
    groups = pairs(60, 0.5)
    for one, again in zip(project(groups), project([group.copy() for group in groups]), strict=True):
        assert np.array_equal(one, again)


@needs_sklearn
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 20])
@pytest.mark.parametrize("dim", [1, 2, 16])
def test_few_vectors_are_placed_too(count: int, dim: int) -> None:
    random = np.random.default_rng(count)
    groups = [random.standard_normal((count, dim)).astype(np.float32) for _ in range(2)]
    for points_N2 in project(groups):
        assert points_N2.shape == (count, 2)
        assert np.abs(points_N2).max() <= 1


@needs_sklearn
def test_vectors_that_are_all_alike_lie_at_one_place() -> None:
    (points_N2,) = project([np.ones((40, 8), np.float32)])
    assert not points_N2.any()
    pictures_N2, captions_N2 = project([np.zeros((9, 8), np.float32), np.ones((9, 8), np.float32)])
    assert np.isfinite(pictures_N2).all()
    assert np.isfinite(captions_N2).all()


def test_few_are_all_taken_and_many_are_sampled_evenly() -> None:
    pictures_N, captions_N = sampled_rows([5, 7], MOST_POINTS)
    assert (pictures_N.tolist(), captions_N.tolist()) == (list(range(5)), list(range(7)))
    for counts, wanted in (
        ([1_000, 50_000], [1_000, MOST_POINTS - 1_000]),
        ([50_000, 900], [MOST_POINTS - 900, 900]),
        ([9_000, 9_000], [MOST_POINTS // 2, MOST_POINTS // 2]),
        ([100_000], [MOST_POINTS]),
    ):
        rows = sampled_rows(counts, MOST_POINTS)
        assert [len(one) for one in rows] == wanted
        for count, one in zip(counts, rows, strict=True):
            assert (np.diff(one) > 0).all()
            assert 0 <= one[0] <= one[-1] < count
        again = sampled_rows(counts, MOST_POINTS)
        assert all(np.array_equal(one, other) for one, other in zip(rows, again, strict=True))
