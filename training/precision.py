"""What numbers a step is computed with. Weights, front ends, normalisation and loss are always float32.

Everything here ends with its context, so that evaluation and export compute in plain float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.preset import Compute


@contextmanager
def tower_precision(compute: Compute, device: torch.device) -> Iterator[None]:
    """bfloat16 where the preset asks for it: for embedding, not for loss and gradient."""
    with torch.autocast(device.type, torch.bfloat16, enabled=compute.precision == "bfloat16"):
        yield


@contextmanager
def step_precision(device: torch.device) -> Iterator[None]:
    """TF32 for matrix products of float32 on CUDA, in both directions; convolutions have it anyhow."""
    with _matmul("high" if device.type == "cuda" else torch.get_float32_matmul_precision()):
        yield


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Real float32 inside both: a power spectrum spans more than the ten bits of TF32."""
    with torch.autocast(device.type, enabled=False), _matmul("highest"):
        yield


@contextmanager
def _matmul(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
