"""Faster layouts and compilation of a model's towers; weights and their names stay as they are."""

from __future__ import annotations

import torch

from training.preset import Compute
from training.towers.dual import DualEncoder
from training.towers.speech import AugmentedFeatures


def accelerate(model: DualEncoder, compute: Compute) -> None:
    """Convolutions channels last; where asked for, towers compiled on their first step.

    Their front ends stay as they are: these draw distortions on the CPU, which no compiled graph can.
    """
    model.to(memory_format=torch.channels_last)
    if not compute.compile:
        return
    for module in model.modules():
        if isinstance(module, AugmentedFeatures):
            # torch's decorator is not annotated, and this one instance is meant, not its class.
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign,no-untyped-call]
    model.speech.tower.compile()
    tower = model.image.tower
    tower.embed = torch.compile(tower.embed)  # type: ignore[method-assign]  # this instance, as above
