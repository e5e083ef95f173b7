"""Masked margin softmax (Ilharco et al. 2019, equations 3 to 6).

Shape legend: scores_BB row i = clip i, column j = picture j; same_BB true where clip i and picture j belong
together.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.objectives.batch import check_batch


def masked_margin_softmax(scores_BB: Tensor, same_BB: Tensor, margin: float) -> Tensor:
    """Sum of both directions' mean cross entropy: the true pair less `margin` against its true negatives.

    Pairs off the diagonal that belong together (two captions of one picture) are in neither numerator nor
    denominator. Returns a scalar. Raises ValueError on shapes that are not square and equal, or a false
    diagonal.
    """
    check_batch(scores_BB, same_BB)
    diagonal = torch.eye(scores_BB.shape[0], dtype=torch.bool, device=scores_BB.device)
    shifted = scores_BB - margin * diagonal.to(scores_BB.dtype)
    shifted = shifted.masked_fill(same_BB & ~diagonal, float("-inf"))
    target = torch.arange(scores_BB.shape[0], device=scores_BB.device)
    return functional.cross_entropy(shifted, target) + functional.cross_entropy(shifted.T, target)
