"""Where torch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def torch_device(name: str) -> torch.device:
    """The device asked for; "auto" takes CUDA where it works. FitError where CUDA does not."""
    import torch

    from indexer.cores import available_cores
    from training.fitter import FitError

    torch.set_num_threads(available_cores())
    if name == "cuda" and not torch.cuda.is_available():
        raise FitError(
            "CUDA was asked for and torch finds no GPU it can use: look at nvidia-smi, or say --device cpu"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
