"""What scores mean in a collection: chance on the one hand, the nearest on the other."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.closeness import closeness


def test_chance_and_the_nearest_are_told_apart() -> None:
    random = np.random.default_rng(0)
    pairs_QS = random.uniform(-1, 0.2, (200, 500)).astype(np.float32)
    nearest_Q = np.linspace(0.4, 0.8, 200, dtype=np.float32)
    told = closeness(pairs_QS, nearest_Q)
    assert told.chance_median == pytest.approx(-0.4, abs=0.02)
    assert told.chance_p99 == pytest.approx(0.188, abs=0.01)
    assert told.nearest_p25 == pytest.approx(0.5, abs=0.01)
    assert told.nearest_p95 == pytest.approx(0.78, abs=0.01)
    assert told.sample == 200


def test_the_nearest_of_a_small_collection_do_not_count_as_chance() -> None:
    pairs_QS = np.full((4, 4), 0.1, np.float32)
    np.fill_diagonal(pairs_QS, 0.9)
    assert closeness(pairs_QS, np.full(4, 0.9, np.float32)).chance_p99 == pytest.approx(0.1)


def test_one_pair_is_both() -> None:
    told = closeness(np.array([[0.3]], np.float32), np.array([0.3], np.float32))
    assert told.chance_median == told.nearest_p25 == pytest.approx(0.3)
