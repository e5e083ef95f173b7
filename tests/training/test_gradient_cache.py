"""Cached gradients: the plain step's, in any chunks, with both losses; batch norm and dropout as stated."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from tests.fixtures.random_batch import random_batch
from tests.fixtures.small_towers import PICTURES, SmallTowers
from tests.fixtures.tiny_training import CONV_PRESET, tiny_preset
from tests.fixtures.two_processes import UNNORMED
from training.distributed import ALONE
from training.fitter import Fitter
from training.gradient_cache import backpropagate, statistics_at_rest
from training.loader import Batch
from training.preset import Preset

CPU = torch.device("cpu")


@pytest.mark.parametrize("objective", ["mms", "triplet"])
@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_any_chunks_have_the_gradient_of_one_graph(objective: Literal["mms", "triplet"], size: int) -> None:
    towers = SmallTowers()
    loss = towers.loss(objective)
    plain = loss(*towers.embed(slice(0, 12)))
    expected = torch.autograd.grad(plain, list(towers.parameters()))
    chunks = [slice(start, start + size) for start in range(0, 12, size)]
    found = backpropagate(towers, towers.embed, chunks, loss, ALONE)
    assert found.item() == pytest.approx(plain.item(), abs=1e-12)
    for parameter, gradient in zip(towers.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-12, rtol=0)


def chunked(batch: Batch, size: int) -> Batch:
    return replace(batch, stage=batch.stage.model_copy(update={"chunk": size}))


def cached(fitter: Fitter, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient as the fitter has them."""
    fitter.fitted.train().zero_grad()
    value = backpropagate(
        fitter.fitted,
        lambda rows: fitter.embed(batch, rows),
        batch.chunks(),
        lambda speech_BD, image_BD: fitter.loss(batch, speech_BD, image_BD),
        ALONE,
    )
    return value.item(), gradients(fitter)


def plain(fitter: Fitter, batch: Batch, chunks: list[slice]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient when all chunks are in one graph."""
    fitter.fitted.train().zero_grad()
    speech, image = zip(*[fitter.embed(batch, rows) for rows in chunks], strict=True)
    loss = fitter.loss(batch, torch.cat(speech), torch.cat(image))
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), gradients(fitter)


def gradients(fitter: Fitter) -> dict[str, Tensor]:
    named = fitter.fitted.named_parameters()
    return {name: parameter.grad for name, parameter in named if parameter.grad is not None}


def assert_alike(found: tuple[float, dict[str, Tensor]], expected: tuple[float, dict[str, Tensor]]) -> None:
    """To the rounding of float32 sums in another order: a few millionths of a tensor's largest gradient."""
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found[1].keys() == expected[1].keys()
    assert "model.log_scale" in found[1]
    for name, gradient in expected[1].items():
        off = (found[1][name] - gradient).abs().max() / gradient.abs().max()
        assert off < 1e-5, name


@pytest.fixture(scope="module")
def unnormed(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    return tiny_preset(tmp_path_factory.mktemp("unnormed"), UNNORMED)


@pytest.mark.parametrize("objective", ["mms", "triplet"])
def test_a_fit_in_chunks_has_the_plain_steps_gradient_distortions_included(
    unnormed: Preset, objective: str
) -> None:
    chosen = unnormed.objective.model_copy(update={"name": objective, "margin": 0.2})
    fitter, batch = (
        Fitter(unnormed.model_copy(update={"objective": chosen}), CPU, identities=max(PICTURES) + 1),
        random_batch(unnormed, PICTURES),
    )
    whole = plain(fitter, batch, [slice(0, 12)])
    assert_alike(cached(fitter, batch), whole)
    assert_alike(cached(fitter, chunked(batch, 4)), whole)


def test_dropout_and_batch_norm_are_the_same_when_a_chunk_is_embedded_again(tmp_path: Path) -> None:
    """With them a chunk is not what it is in the whole batch; both passes over it agree all the same."""
    preset = tiny_preset(tmp_path, CONV_PRESET)
    fitter, batch = Fitter(preset, CPU), chunked(random_batch(preset, PICTURES), 4)
    fitter.model.train()
    once, again = (fitter.embed(batch, slice(4, 8)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert_alike(cached(fitter, batch), plain(fitter, batch, batch.chunks()))


def test_running_statistics_take_up_each_chunk_once(tmp_path: Path) -> None:
    preset = tiny_preset(tmp_path, CONV_PRESET)
    fitter, batch = Fitter(preset, CPU), chunked(random_batch(preset, PICTURES), 4)
    expected = copy.deepcopy(fitter)
    expected.model.train()
    for rows in batch.chunks():
        expected.embed(batch, rows)
    cached(fitter, batch)
    ours, theirs = dict(fitter.model.named_buffers()), dict(expected.model.named_buffers())
    assert any(name.endswith("num_batches_tracked") for name in ours)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, msg=name)


def test_statistics_at_rest_still_normalise_by_the_batch() -> None:
    norm, inputs = nn.BatchNorm1d(3), torch.randn(8, 3) * 5 + 2
    with statistics_at_rest(norm):
        resting = norm(inputs)
    assert norm.num_batches_tracked == 0
    assert torch.equal(dict(norm.named_buffers())["running_mean"], torch.zeros(3))
    torch.testing.assert_close(resting, norm(inputs))
    assert norm.num_batches_tracked == 1
