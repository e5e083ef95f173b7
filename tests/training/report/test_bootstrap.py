"""Outcomes and intervals: against resampling by hand, against theory, and what may not change them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.fixtures.embedded import NOWHERE, make_embedded
from training.datasets import Clip, Picture
from training.evaluate import KS, Embedded, score
from training.report.bootstrap import (
    NotComparable,
    difference_interval,
    draws,
    mean_interval,
    recall_interval,
)
from training.report.outcomes import PICTURES, QUERIES, Outcomes, outcomes


def test_the_outcomes_average_to_the_scores() -> None:
    embedded = make_embedded([5, 1, 3, 0, 2, 5, 4, 1, 0, 5, 2, 2])
    found, scores = outcomes(embedded), score(embedded)
    for k in KS:
        assert found.speech_to_image.recall(k) == scores.speech_to_image[k]
        assert found.image_to_speech.recall(k) == scores.image_to_speech[k]
    assert found.unit == PICTURES
    assert len(found.image_to_speech.queries) == 10  # two pictures have nothing to be found
    assert set(found.speech_to_image.units) == set(found.image_to_speech.queries)


def test_fractional_recall_is_the_share_found() -> None:
    speech_ND = np.asarray([[1, 0], [0.9, 0], [0.1, 1], [0, 0.5]], dtype=np.float32)
    clips = tuple(Clip(f"c{i}", NOWHERE, name) for i, name in enumerate("aaab"))
    pictures = tuple(Picture(name, NOWHERE, name) for name in "ab")
    found = outcomes(Embedded(speech_ND, np.eye(2, dtype=np.float32), clips, pictures, ()))
    # a: three clips, the first 1 holds one of them; b: its clip stands second behind one of a's
    assert found.image_to_speech.fractional[1] == pytest.approx((1 / 3 + 0) / 2)
    assert found.image_to_speech.fractional[5] == 1
    assert found.image_to_speech.recall(1) == 0.5


def test_where_pictures_share_an_identity_every_query_is_a_unit() -> None:
    embedded = make_embedded([2, 2, 2])
    same = tuple(dataclasses.replace(picture, identity="p0") for picture in embedded.pictures)
    found = outcomes(dataclasses.replace(embedded, pictures=same))
    assert found.unit == QUERIES
    assert found.image_to_speech.units == found.image_to_speech.queries


def test_the_interval_is_what_resampling_by_hand_gives() -> None:
    values = np.asarray([1.0, 0, 0, 1, 1, 0, 1])
    units = ["a", "a", "b", "c", "c", "c", "d"]
    by_hand = []
    for drawn in draws(4, seed=3, resamples=500):
        pool = [v for unit, times in zip("abcd", drawn, strict=True) for _ in range(times)
                for v, of in zip(values, units, strict=True) if of == unit]  # fmt: skip
        by_hand.append(sum(pool) / len(pool))
    interval = mean_interval(values, units, seed=3, resamples=500)
    assert interval.value == pytest.approx(4 / 7)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))


def test_the_interval_of_independent_queries_is_the_binomials() -> None:
    hits = (np.arange(1000) < 300).astype(np.float64)
    interval = mean_interval(hits, [str(i) for i in range(1000)], seed=0)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 1000), rel=0.08)


def test_captions_of_one_picture_count_as_one_draw() -> None:
    """Five captions that always fare alike say no more than one."""
    hits = (np.arange(200) % 3 == 0).astype(np.float64)
    one = mean_interval(hits, [str(i) for i in range(200)], seed=0)
    five = mean_interval(np.repeat(hits, 5), [str(i) for i in range(200) for _ in range(5)], seed=0)
    assert dataclasses.astuple(five) == pytest.approx(dataclasses.astuple(one))


def test_the_seed_decides_the_interval() -> None:
    found = outcomes(make_embedded([5] * 40)).speech_to_image
    assert recall_interval(found, 5, seed=1) == recall_interval(found, 5, seed=1)
    assert recall_interval(found, 5, seed=1) != recall_interval(found, 5, seed=2)


def test_a_difference_is_paired() -> None:
    """Two runs that fail on nearly the same queries differ far more surely than their own intervals say."""
    queries = tuple(str(i) for i in range(400))
    base = Outcomes(queries, np.where(np.arange(400) < 200, 1, 99), queries, {})
    better = dataclasses.replace(base, ranks_Q=np.where(np.arange(400) < 216, 1, 99))
    gap = difference_interval(better, base, 10)
    assert gap.value == pytest.approx(16 / 400)
    assert gap.excludes_zero
    assert recall_interval(better, 10).low < recall_interval(base, 10).high
    same = difference_interval(base, base, 10)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert not same.excludes_zero


def test_other_queries_are_not_compared() -> None:
    found = outcomes(make_embedded([2] * 8)).speech_to_image
    fewer = outcomes(make_embedded([2] * 7)).speech_to_image
    with pytest.raises(NotComparable, match=r"2 are not common to both, 'p7_0' among them"):
        difference_interval(found, fewer, 10)
