"""The losses against slow loops from the paper's equations, several captions of one picture in the batch."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from training.objectives.build import build_objective
from training.objectives.instance import Prototypes, instance_loss
from training.objectives.mms import masked_margin_softmax
from training.objectives.triplet import triplet_loss
from training.preset import Objective

# Pictures of the pairs of a batch: three captions of picture 2, two of picture 0.
PICTURES = [0, 0, 1, 2, 2, 2, 3]


def same(pictures: list[int]) -> Tensor:
    labels = torch.tensor(pictures)
    return labels[:, None] == labels[None, :]


def scores(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def slow_masked_margin_softmax(z: Tensor, pictures: list[int], margin: float) -> float:
    """L = L_xy + L_yx, term by term."""
    count = len(pictures)
    total = 0.0
    for i in range(count):
        true = math.exp(z[i, i].item() - margin)
        row = sum(math.exp(z[i, j].item()) for j in range(count) if pictures[j] != pictures[i])
        column = sum(math.exp(z[j, i].item()) for j in range(count) if pictures[j] != pictures[i])
        total -= math.log(true / (true + row)) / count
        total -= math.log(true / (true + column)) / count
    return total


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.4])
@pytest.mark.parametrize("pictures", [PICTURES, [0, 1, 2, 3], [5, 5, 5]])
def test_masked_margin_softmax_is_the_papers(pictures: list[int], margin: float) -> None:
    z = scores(len(pictures))
    expected = slow_masked_margin_softmax(z, pictures, margin)
    assert masked_margin_softmax(z, same(pictures), margin).item() == pytest.approx(expected, abs=1e-10)


def test_masked_margin_softmax_has_the_gradient_of_its_value() -> None:
    z = scores(len(PICTURES)).requires_grad_()
    torch.autograd.gradcheck(lambda x: masked_margin_softmax(x, same(PICTURES), 0.2), (z,))


def test_a_second_caption_of_the_same_picture_has_no_part_in_the_loss() -> None:
    z = scores(len(PICTURES)).requires_grad_()
    masked_margin_softmax(z, same(PICTURES), 0.1).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    off_diagonal = same(PICTURES) & ~torch.eye(len(PICTURES), dtype=torch.bool)
    assert (z.grad[off_diagonal] == 0).all()
    assert (z.grad[~same(PICTURES)] > 0).all()
    assert (z.grad.diagonal() < 0).all()


def test_masked_margin_softmax_does_not_see_the_order_of_the_batch() -> None:
    order = torch.randperm(len(PICTURES), generator=torch.Generator().manual_seed(1))
    z, matches = scores(len(PICTURES)), same(PICTURES)
    shuffled = masked_margin_softmax(z[order][:, order], matches[order][:, order], 0.1)
    assert shuffled.item() == pytest.approx(masked_margin_softmax(z, matches, 0.1).item())


@pytest.mark.parametrize("step", [0, 100_000, 3_000_000])
def test_the_presets_objective_has_the_margin_of_its_step(step: int) -> None:
    z, matches = scores(len(PICTURES)), same(PICTURES)
    config = Objective(name="mms", margin=0.001, margin_growth=1.002, margin_every=1000)
    margin = 0.001 * 1.002 ** (step // 1000)
    found = build_objective(config)(z, matches, step, torch.Generator())
    assert found.item() == pytest.approx(slow_masked_margin_softmax(z, PICTURES, margin), abs=1e-10)
    config, drawn = (
        config.model_copy(update={"name": "triplet"}),
        [torch.Generator().manual_seed(2) for _ in "ab"],
    )
    found = build_objective(config)(z, matches, step, drawn[0])
    assert found.item() == triplet_loss(z, matches, margin, drawn[1]).item()


def test_huge_scores_stay_finite() -> None:
    assert masked_margin_softmax(scores(4) * 1e6, same([0, 1, 2, 3]), 0.1).isfinite()


def test_triplet_takes_one_true_negative_each_way_for_every_pair() -> None:
    """Off the diagonal each score is its own power of two, so that the sum tells which were drawn."""
    pictures = [0, 0, 1, 2]
    count, margin = len(pictures), 1e6  # so large that nothing is clamped
    cells = [(i, j) for i in range(count) for j in range(count) if i != j]
    z = torch.zeros(count, count, dtype=torch.float64)
    for bit, (i, j) in enumerate(cells):
        z[i, j] = 4.0**bit  # base 4: one cell can be drawn for its row and for its column
    generator, drawn = torch.Generator().manual_seed(0), Counter[tuple[int, int]]()
    for _ in range(200):
        loss = triplet_loss(z, same(pictures), margin, generator).item() - 2 * count * margin
        digits = [int(loss // 4**bit) % 4 for bit in range(len(cells))]
        taken = {cell: digit for cell, digit in zip(cells, digits, strict=True) if digit}
        drawn.update(taken)
        assert sum(taken.values()) == 2 * count
        assert all(pictures[i] != pictures[j] for i, j in taken)
    negatives = {(i, j) for i, j in cells if pictures[i] != pictures[j]}
    assert set(drawn) == negatives
    # Row 0 has 2 negatives and column 2 has 3: cell (0, 2) is drawn by 1/2 + 1/3 of the losses.
    assert drawn[0, 2] / 200 == pytest.approx(1 / 2 + 1 / 3, abs=0.15)


def slow_triplet_with_one_negative(z: Tensor, margin: float) -> float:
    """Two pairs leave no choice: the negative is the other one."""
    total = 0.0
    for k, other in ((0, 1), (1, 0)):
        total += max(0.0, z[k, other].item() - z[k, k].item() + margin)
        total += max(0.0, z[other, k].item() - z[k, k].item() + margin)
    return total


def test_triplet_is_the_papers_sum() -> None:
    for seed in range(20):
        z = scores(2, seed)
        loss = triplet_loss(z, same([0, 1]), 0.5, torch.Generator())
        assert loss.item() == pytest.approx(slow_triplet_with_one_negative(z, 0.5), abs=1e-12)


def slow_triplet_on_average(z: Tensor, pictures: list[int], margin: float) -> float:
    """E over m ~ U{j: M_kj = 1} and n ~ U{i: M_ik = 1} of the sum over k, one term after the other."""
    total = 0.0
    for k, picture in enumerate(pictures):
        others = [j for j, other in enumerate(pictures) if other != picture]
        for j in others:
            total += max(0.0, z[k, j].item() - z[k, k].item() + margin) / len(others)
            total += max(0.0, z[j, k].item() - z[k, k].item() + margin) / len(others)
    return total


def test_triplet_draws_its_negatives_evenly_among_other_pictures() -> None:
    z, generator = scores(len(PICTURES)), torch.Generator().manual_seed(5)
    losses = torch.stack([triplet_loss(z, same(PICTURES), 0.5, generator) for _ in range(4000)])
    expected = slow_triplet_on_average(z, PICTURES, 0.5)
    spread = losses.std().item() / 4000**0.5
    assert losses.mean().item() == pytest.approx(expected, abs=4 * spread)
    assert spread < 0.02 * expected


def test_triplet_has_the_gradient_of_its_value() -> None:
    z = scores(len(PICTURES)).requires_grad_()
    torch.autograd.gradcheck(
        lambda x: triplet_loss(x, same(PICTURES), 0.7, torch.Generator().manual_seed(3)), (z,)
    )


def test_a_pair_without_a_negative_adds_nothing_to_triplet() -> None:
    assert triplet_loss(scores(3), same([4, 4, 4]), 1.0, torch.Generator()).item() == 0


def slow_instance_loss(rows: Tensor, prototypes: Tensor, identities: list[int], scale: float) -> float:
    """-1/B sum_i log softmax_k(scale * row_i . prototype_k) at row i's identity, term by term."""
    total = 0.0
    for row, identity in zip(rows, identities, strict=True):
        dots = [sum((a * b).item() for a, b in zip(row, p, strict=True)) for p in prototypes]
        powers = [math.exp(scale * dot) for dot in dots]
        total -= math.log(powers[identity] / sum(powers)) / len(identities)
    return total


def test_instance_loss_classifies_both_towers_by_the_same_prototypes() -> None:
    generator = torch.Generator().manual_seed(2)
    speech, image, prototypes = (
        torch.randn(count, 5, generator=generator, dtype=torch.float64) for count in (7, 7, 4)
    )
    found = instance_loss(speech, image, prototypes, torch.tensor(PICTURES), lambda a, b: 1.5 * a @ b.T)
    expected = sum(slow_instance_loss(rows, prototypes, PICTURES, 1.5) for rows in (speech, image))
    assert found.item() == pytest.approx(expected, abs=1e-10)


def test_the_prototypes_of_a_cosine_space_have_length_one() -> None:
    assert Prototypes(6, 3, normalise=True)().norm(dim=1).tolist() == pytest.approx([1.0] * 6)
    plain = Prototypes(6, 3, normalise=False)
    assert torch.equal(plain(), plain.vectors_KD)


@pytest.mark.parametrize("name", ["mms", "triplet"])
@pytest.mark.parametrize(
    ("z", "matches", "sentence"),
    [
        (
            torch.zeros(2, 3),
            torch.ones(2, 3, dtype=torch.bool),
            r"square and alike, not \(2, 3\) and \(2, 3\)",
        ),
        (torch.zeros(3, 3), torch.eye(2, dtype=torch.bool), r"square and alike, not \(3, 3\) and \(2, 2\)"),
        (torch.zeros(3), torch.eye(3, dtype=torch.bool), "square and alike"),
        (torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool), "the diagonal of same must be true"),
    ],
)
def test_what_is_no_batch_is_refused(name: str, z: Tensor, matches: Tensor, sentence: str) -> None:
    def loss() -> Tensor:
        if name == "mms":
            return masked_margin_softmax(z, matches, 0.1)
        return triplet_loss(z, matches, 0.1, torch.Generator())

    with pytest.raises(ValueError, match=sentence):
        loss()
