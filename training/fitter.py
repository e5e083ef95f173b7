"""What is fitted and one step of it: gradients, update, average.

Everything random in step n is drawn from (seed, n, row), so the state to resume is: step, model, averaged
model, prototypes, optimiser, best.
Shape legend: R rows of this process, B rows of the whole batch, D embedding.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from training.acceleration import accelerate
from training.augment import Draws, distort
from training.checkpoint import RunError
from training.distributed import ALONE, Ranks
from training.gradient_cache import backpropagate
from training.loader import Batch
from training.objectives.build import build_objective
from training.objectives.instance import Prototypes, instance_loss
from training.precision import step_precision, tower_precision
from training.preset import Preset
from training.towers.dual import DualEncoder
from training.towers.speech import AugmentedFeatures
from training.warm_start import WarmStart

REMEDY = "start again in another --out with a lower learning rate, or look at the data"


class FitError(Exception):
    """Training that cannot go on."""


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on weights of two axes and more; biases, norms and the scale are left alone."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    rest = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def build_optimiser(model: torch.nn.Module, preset: Preset) -> torch.optim.Optimizer:
    """Adam or AdamW as the preset says."""
    o = preset.optimiser
    kind = torch.optim.Adam if o.name == "adam" else torch.optim.AdamW
    return kind(parameter_groups(model, o.weight_decay), lr=o.lr, betas=(o.beta_1, o.beta_2), eps=o.epsilon)


class Fitter:
    """Model, optimiser and average of one run; `embed`, `loss` and `step` are the whole of training.

    `identities` is how many there are in the training set, which the instance loss wants to know.
    """

    def __init__(
        self, preset: Preset, device: torch.device, ranks: Ranks = ALONE, *, identities: int = 0
    ) -> None:
        torch.manual_seed(preset.seed)
        self.preset, self.device, self.ranks = preset, device, ranks
        self.model = DualEncoder(preset).to(device)
        self.average = copy.deepcopy(self.model) if preset.optimiser.ema else None
        self.fitted = nn.ModuleDict({"model": self.model})
        if preset.objective.instance:
            cosine = preset.embedding.similarity == "cosine"
            self.fitted["prototypes"] = Prototypes(identities, preset.embedding.dim, cosine).to(device)
        self.optimiser = build_optimiser(self.fitted, preset)
        self.objective = build_objective(preset.objective)
        accelerate(self.model, preset.compute)
        self.best = -1.0
        self.step_done = 0

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "step": self.step_done,
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            **({"prototypes": self.fitted["prototypes"].state_dict()} if "prototypes" in self.fitted else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises RunError where it is of another model."""
        try:
            self.model.load_state_dict(state["model"])
            if self.average:
                self.average.load_state_dict(state["average"])
            if "prototypes" in self.fitted:
                self.fitted["prototypes"].load_state_dict(state["prototypes"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError("the checkpoint is of another version's model; start a new run") from error
        self.step_done, self.best = state["step"], state["best"]

    def judged(self) -> DualEncoder:
        """The weights that are evaluated and exported: the average where one is kept."""
        return self.average or self.model

    def begin_with(self, warm: WarmStart) -> None:
        """Towers of another run, before the first step. Raises RunError where they do not fit."""
        for model in filter(None, (self.model, self.average)):
            warm.load_into(model, self.preset)

    def embed(self, batch: Batch, rows: slice) -> tuple[Tensor, Tensor]:
        """Rows of this process, distorted, [R, D] each; the same at every call for the same weights."""
        waveform, valid, pixels = (
            tensor[rows].to(self.device, non_blocking=True)
            for tensor in (batch.waveform_RS, batch.samples_valid_R, batch.pixels_RHWC)
        )
        first = batch.rows.start + rows.start
        draws = Draws(self._seed(batch), len(batch), slice(first, first + len(valid)))
        torch.manual_seed(self._seed(batch, first))  # dropout
        for module in self.model.modules():
            if isinstance(module, AugmentedFeatures):
                module.draws = draws
        pixels = pixels.permute(0, 3, 1, 2).to(torch.float32)
        preset, aspect_R = self.preset, batch.aspect_R[rows]
        pixels = distort(pixels, aspect_R, preset.augment.image, preset.media, draws)
        with tower_precision(self.preset.compute, self.device):
            speech_RD = self.model.speech(waveform.to(torch.float32) / 32768, valid)
            image_RD = self.model.image.embed_float(pixels.contiguous(memory_format=torch.channels_last))
        return speech_RD, image_RD

    def loss(self, batch: Batch, speech_BD: Tensor, image_BD: Tensor) -> Tensor:
        """The batch's loss. Raises FitError where it is not finite."""
        generator = torch.Generator().manual_seed(self._seed(batch, len(batch)))
        scores_BB = self.model.scores(speech_BD, image_BD)
        loss = self.objective(scores_BB, batch.same.to(self.device), batch.step, generator)
        if "prototypes" in self.fitted:
            loss = loss + self.preset.objective.instance * instance_loss(
                speech_BD,
                image_BD,
                self.fitted["prototypes"](),
                batch.identity_B.to(self.device),
                self.model.scores,
            )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FitError(f"the loss is {value} at step {batch.step}; {REMEDY}")
        return loss

    def step(self, batch: Batch) -> float:
        """Forward, backward, update, average; returns the loss.

        Raises FitError, before any weight changes, when the loss or its gradient is not finite.
        """
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.preset.learning_rate_at(batch.step)
        self.optimiser.zero_grad(set_to_none=True)
        with step_precision(self.device):
            loss = backpropagate(
                self.fitted,
                lambda rows: self.embed(batch, rows),
                batch.chunks(),
                lambda speech_BD, image_BD: self.loss(batch, speech_BD, image_BD),
                self.ranks,
            )
        limit = self.preset.optimiser.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.fitted.parameters(), limit))
        if not math.isfinite(norm):
            raise FitError(f"the gradient is {norm} at step {batch.step}; {REMEDY}")
        self.optimiser.step()
        self.step_done = batch.step + 1
        self._update_average(batch.step)
        return float(loss)

    def _seed(self, batch: Batch, row: int = 0) -> int:
        """Of what is drawn for a step, from a row on; the row past the last stands for the loss."""
        return self.preset.seed * 1_000_003 + batch.step + (row << 40)

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Exponential average; young runs average over less, so that the random start is soon forgotten."""
        if self.average is None:
            return
        keep = min(self.preset.optimiser.ema, (1 + step) / (10 + step))
        current = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[name], 1 - keep)
            else:
                value.copy_(current[name])
