"""Instance loss (Zheng et al. 2020, "Dual-Path Convolutional Image-Text Embeddings with Instance Loss").

Every identity of the training set, a photograph with its captions or a class, is a class of its own, and both
towers are classified by one and the same weights. A pair's target is there from the first step, whatever the
other tower knows yet; that is what contrast between two random towers wants for. The paper classifies raw
features; here embedding and weights are scored like pairs, by the model's own similarity and scale.
Shape legend: B batch, K identities, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Score = Callable[[Tensor, Tensor], Tensor]
"""(a_BD, b_KD) -> scaled similarities [B, K]."""


class Prototypes(nn.Module):
    """One vector an identity, [K, D], in the joint space; used in training alone."""

    def __init__(self, identities: int, dim: int, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.vectors_KD = nn.Parameter(torch.randn(identities, dim) * dim**-0.5)

    def forward(self) -> Tensor:
        """[K, D], of length 1 in a cosine space."""
        return functional.normalize(self.vectors_KD, dim=1) if self.normalise else self.vectors_KD


def instance_loss(
    speech_BD: Tensor, image_BD: Tensor, prototypes_KD: Tensor, identity_B: Tensor, score: Score
) -> Tensor:
    """Sum of both towers' mean cross entropy of a batch's identities among all K. Returns a scalar."""
    return functional.cross_entropy(score(speech_BD, prototypes_KD), identity_B) + functional.cross_entropy(
        score(image_BD, prototypes_KD), identity_B
    )
