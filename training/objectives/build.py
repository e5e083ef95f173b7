"""The preset's objective as one function, so that the loop never learns which loss it runs.

Shape legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.objectives.mms import masked_margin_softmax
from training.objectives.triplet import triplet_loss
from training.preset import Objective

Loss = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]
"""(scores_BB, same_BB, step, generator of the CPU) -> scalar."""


def build_objective(config: Objective) -> Loss:
    """The loss with the margin that each step has."""

    def mms(scores_BB: Tensor, same_BB: Tensor, step: int, generator: torch.Generator) -> Tensor:
        return masked_margin_softmax(scores_BB, same_BB, config.margin_at(step))

    def triplet(scores_BB: Tensor, same_BB: Tensor, step: int, generator: torch.Generator) -> Tensor:
        return triplet_loss(scores_BB, same_BB, config.margin_at(step), generator)

    return {"mms": mms, "triplet": triplet}[config.name]
