"""Percentile bootstrap over queries: an interval for a recall, and for the difference of two runs' recalls.

Units (see `outcomes`) are drawn with replacement, as many as there are, each with all its queries; the
gallery stays whole. So the interval says how much the figure hangs on which queries were asked, not on the
training seed. Seeded: the same call gives the same interval. Shape legend: Q queries, U units, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.report.outcomes import Outcomes

RESAMPLES = 2000
LEVEL = 0.95


class NotComparable(ValueError):
    """Two runs that did not answer the same queries."""


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds of its central `LEVEL` of resamples."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def draws(units: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """How often each unit is drawn in each resample, [R, U]; every row sums to `units`."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)


def mean_interval(
    values_Q: NDArray[np.floating], units: Sequence[str], seed: int, resamples: int = RESAMPLES
) -> Interval:
    """The mean over queries of `values_Q`, with the interval that resampling their units gives."""
    named, unit_Q = np.unique(np.asarray(units), return_inverse=True)
    sums_U = np.bincount(unit_Q, weights=values_Q, minlength=len(named))
    counts_U = np.bincount(unit_Q, minlength=len(named))
    drawn_RU = draws(len(named), seed, resamples)
    means_R = (drawn_RU @ sums_U) / (drawn_RU @ counts_U)
    low, high = np.quantile(means_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.mean(values_Q)), float(low), float(high))


def recall_interval(found: Outcomes, k: int, seed: int = 0) -> Interval:
    """Recall at k of one direction with its interval."""
    return mean_interval((found.ranks_Q <= k).astype(np.float64), found.units, seed)


def difference_interval(found: Outcomes, base: Outcomes, k: int, seed: int = 0) -> Interval:
    """Recall at k of `found` less that of `base`, paired: both are counted on the same drawn queries.

    Raises NotComparable where the two did not answer the same queries in the same order.
    """
    if found.queries != base.queries:
        only = set(found.queries) ^ set(base.queries)
        example = f", {min(only)!r} among them" if only else " in another order"
        raise NotComparable(
            f"the runs answered different queries ({len(only)} are not common to both{example}), "
            "so their difference is no paired one; leave one of them out, or use data that decodes for both"
        )
    gained = (found.ranks_Q <= k).astype(np.float64) - (base.ranks_Q <= k)
    return mean_interval(gained, found.units, seed)
