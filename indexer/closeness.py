"""How close is close: what scores mean in one collection, measured when it is indexed.

A cosine of 0.3 says nothing to people, and the same figure means another thing under another model. Measured
are two kinds of pairs: any at all, and those of a vector with its nearest. NumPy only.
Letters of shapes: Q queries, S sampled vectors of the collection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Closeness:
    """Scores of a collection as queries of one modality see it."""

    chance_median: float  # of pairs drawn at random
    chance_p99: float  # 99 of 100 such pairs score less
    nearest_p25: float  # three of four queries have a nearest item that scores at least this
    nearest_p95: float  # one of twenty has one that scores more
    sample: int  # queries it was measured on


def closeness(pairs_QS: NDArray[np.float32], nearest_Q: NDArray[np.float32]) -> Closeness:
    """From the scores of pairs drawn at random, and of each query's nearest; neither may be empty.

    A pair whose score reaches that of the query's nearest was not drawn by chance, and is left out while
    others are there: in a small collection it would be one of a few.
    """
    by_chance = pairs_QS[pairs_QS < nearest_Q[:, None] - 1e-6]
    median, p99 = np.quantile(by_chance if by_chance.size else pairs_QS, [0.5, 0.99])
    p25, p95 = np.quantile(nearest_Q, [0.25, 0.95])
    return Closeness(float(median), float(p99), float(p25), float(p95), len(nearest_Q))
