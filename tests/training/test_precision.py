"""bfloat16 towers: front ends, normalisation, loss and weights stay float32; TF32 ends with its step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fixtures.random_batch import random_batch
from tests.fixtures.small_towers import PICTURES
from tests.fixtures.tiny_training import CONV_PRESET, SPECTROGRAM_PRESET, tiny_preset
from training.fitter import Fitter
from training.precision import full_precision, step_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("text", [CONV_PRESET, SPECTROGRAM_PRESET], ids=["conv", "spectrogram"])
def test_bfloat16_is_for_the_towers_alone(tmp_path: Path, text: str) -> None:
    single = Fitter(tiny_preset(tmp_path, text), CPU)
    half = Fitter(tiny_preset(tmp_path, text, compute__precision="bfloat16"), CPU)
    half.model.load_state_dict(single.model.state_dict())
    batch = random_batch(single.preset, PICTURES)
    fronts, inner, vectors, losses = [], [], [], []
    for fitter in (single, half):
        tower = fitter.model.speech.get_submodule("tower")
        tower.get_submodule("front").register_forward_hook(lambda *args: fronts.append(args[-1][0]))
        last = fitter.model.image.tower.get_submodule("pool.out" if text == CONV_PRESET else "backbone")
        last.register_forward_hook(lambda *args: inner.append(args[-1].dtype))
        fitter.model.train()
        vectors.append(fitter.embed(batch, slice(0, 12)))
        losses.append(fitter.step(batch))
    assert torch.equal(fronts[0], fronts[2])
    assert inner[0] == torch.float32
    assert inner[-1] == torch.bfloat16
    for ours, theirs in zip(*vectors, strict=True):
        assert theirs.dtype == torch.float32
        assert not torch.equal(ours, theirs)
        assert torch.cosine_similarity(ours, theirs).min() > 0.98
        if text == CONV_PRESET:
            torch.testing.assert_close(theirs.norm(dim=1), torch.ones(12), atol=1e-6, rtol=0)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    for parameter in half.model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


def test_tf32_ends_with_the_step_and_never_reaches_a_front_end() -> None:
    before = torch.get_float32_matmul_precision()
    with step_precision(torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "high"
        with full_precision(CPU):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
    with step_precision(CPU):
        assert torch.get_float32_matmul_precision() == before
