"""Compiled towers take the eager ones' steps, at clips of any length, and keep their weights' names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from tests.fixtures.random_batch import random_batch
from tests.fixtures.small_towers import PICTURES
from tests.fixtures.tiny_training import CONV_PRESET, SPECTROGRAM_PRESET, tiny_preset
from training.fitter import Fitter

CPU = torch.device("cpu")


def test_convolutions_are_channels_last_and_clips_are_not_touched(tmp_path: Path) -> None:
    model = Fitter(tiny_preset(tmp_path), CPU).model
    kernels = [value for value in model.image.parameters() if value.ndim == 4]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert all(value.is_contiguous() for value in model.speech.parameters())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
@pytest.mark.parametrize("text", [CONV_PRESET, SPECTROGRAM_PRESET], ids=["conv", "spectrogram"])
def test_compiled_towers_take_the_same_steps(tmp_path: Path, text: str) -> None:
    """Without dropout, whose compiled masks are others."""
    still = {"speech__dropout": "0", "image__dropout": "0"}
    eager = Fitter(tiny_preset(tmp_path, text, **still), CPU)
    compiled = Fitter(tiny_preset(tmp_path, text, **still, compute__compile="true"), CPU)
    names = list(eager.model.state_dict())
    assert list(compiled.model.state_dict()) == names
    for step, seconds in enumerate((0.6, 0.6, 0.8, 0.7)):
        batch = random_batch(eager.preset, PICTURES, step=step, seconds=seconds)
        assert compiled.step(batch) == pytest.approx(eager.step(batch), rel=1e-2)
    assert list(compiled.model.state_dict()) == names
