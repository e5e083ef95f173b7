"""Fleiss' kappa: raters' agreement beyond chance (Fleiss 1971, Psychological Bulletin 76)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fleiss_kappa(counts_NC: NDArray[np.int64]) -> float | None:
    """Kappa of N items in C categories: `counts_NC[i, c]` raters put item i into category c.

    Every item needs the same number of raters, two at least (ValueError). None where all ratings are in one
    category: then chance agrees fully, too, and kappa says nothing.
    """
    raters_N = counts_NC.sum(axis=1)
    if len(counts_NC) == 0 or raters_N.min() != raters_N.max() or raters_N[0] < 2:
        raise ValueError("kappa needs items that all have the same number of raters, two at least")
    n = int(raters_N[0])
    observed = float(((counts_NC * (counts_NC - 1)).sum(axis=1) / (n * (n - 1))).mean())
    shares_C = counts_NC.sum(axis=0) / counts_NC.sum()
    chance = float((shares_C**2).sum())
    return None if chance == 1 else (observed - chance) / (1 - chance)
