"""Triplet loss with one random negative each way (the baseline of Ilharco et al. 2019).

Shape legend: scores_BB row i = clip i, column j = picture j; same_BB true where clip i and picture j belong together.
"""

from __future__ import annotations

import torch
from torch import Tensor


def triplet_loss(scores_BB: Tensor, same_BB: Tensor, margin: float, generator: torch.Generator) -> Tensor:
    """sum_k max(0, Z_km - Z_kk + margin) + max(0, Z_nk - Z_kk + margin), m and n uniform over true negatives.

    A pair with no negative in the batch adds nothing. Returns a scalar: a sum over the batch, as in the paper.
    """
    negative = ~same_BB  # symmetric, so its row k serves for drawing m (columns) and n (rows) alike
    usable = negative.any(dim=1)
    weights = (negative | ~usable[:, None]).to(torch.float32).cpu()  # multinomial refuses a row of zeros
    columns = torch.multinomial(weights, 1, generator=generator)[:, 0].to(scores_BB.device)
    rows = torch.multinomial(weights, 1, generator=generator)[:, 0].to(scores_BB.device)
    index = torch.arange(scores_BB.shape[0], device=scores_BB.device)
    true = scores_BB.diagonal()
    loss = (scores_BB[index, columns] - true + margin).clamp(min=0)
    loss = loss + (scores_BB[rows, index] - true + margin).clamp(min=0)
    return (loss * usable).sum()
