"""Triplet loss with one random negative each way (the baseline of Ilharco et al. 2019, equations 1 and 2).

Shape legend: scores_BB row i = clip i, column j = picture j; same_BB true where clip i and picture j belong
together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.batch import check_batch


def triplet_loss(scores_BB: Tensor, same_BB: Tensor, margin: float, generator: torch.Generator) -> Tensor:
    """sum_k max(0, Z_km - Z_kk + margin) + max(0, Z_nk - Z_kk + margin), m and n uniform over true negatives.

    A pair without a negative in the batch adds nothing. Returns a scalar: a sum over the batch, as in the
    paper. `generator` is one of the CPU. Raises ValueError on shapes that are not square and equal, or a
    false diagonal.
    """
    check_batch(scores_BB, same_BB)
    negative = ~same_BB
    columns, usable_rows = _draw(negative, generator)
    rows, usable_columns = _draw(negative.T, generator)
    index = torch.arange(scores_BB.shape[0], device=scores_BB.device)
    true = scores_BB.diagonal()
    by_clip = (scores_BB[index, columns] - true + margin).clamp(min=0) * usable_rows
    by_picture = (scores_BB[rows, index] - true + margin).clamp(min=0) * usable_columns
    return (by_clip + by_picture).sum()


def _draw(negative_BB: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each row one of its negatives, and whether it has any."""
    usable = negative_BB.any(dim=1)
    weights = (negative_BB | ~usable[:, None]).to(torch.float32).cpu()  # multinomial refuses a row of zeros
    return torch.multinomial(weights, 1, generator=generator)[:, 0].to(negative_BB.device), usable
