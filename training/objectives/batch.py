"""What every objective asks of a batch: square scores, and each pair belonging with itself."""

from __future__ import annotations

from torch import Tensor


def check_batch(scores_BB: Tensor, same_BB: Tensor) -> None:
    """Raises ValueError on shapes that are not square and equal, or a false diagonal of same."""
    if scores_BB.ndim != 2 or scores_BB.shape[0] != scores_BB.shape[1] or scores_BB.shape != same_BB.shape:
        raise ValueError(
            f"scores and same must be square and alike, "
            f"not {tuple(scores_BB.shape)} and {tuple(same_BB.shape)}"
        )
    if not bool(same_BB.diagonal().all()):
        raise ValueError("every pair belongs with itself: the diagonal of same must be true")
