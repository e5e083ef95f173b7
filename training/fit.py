"""The loop: batches in, gradients, steps; evaluates on dev, keeps the best weights, resumes by itself.

Everything random in step n is drawn from (seed, n), so the state to resume is: step, model, averaged model,
optimiser, best. A kill loses at most `checkpoint_every` steps, and the resumed run takes the very same
ones, on a CPU bit for bit.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from indexer.cores import available_cores
from indexer.durable import replace_text
from training.augment import Draws, distort
from training.cache import cache_spec, open_cache
from training.checkpoint import RunError, load_state, save_state, start_run
from training.datasets.pairs import PairSet
from training.evaluate import ModelEmbedder, Scores, embed, score
from training.loader import Batch, Loader
from training.objectives.mms import masked_margin_softmax
from training.objectives.triplet import triplet_loss
from training.preset import Preset
from training.towers.dual import DualEncoder
from training.towers.speech import AugmentedFeatures

_log = logging.getLogger(__name__)


REMEDY = "start again in another --out with a lower learning rate, or look at the data"


class FitError(Exception):
    """Training that cannot go on."""


@dataclass(frozen=True)
class Progress:
    """What a listener is told after a step."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    pairs_per_second: float


class Listener(Protocol):
    """Shows progress; never influences it."""

    def decoding(self, done: int, total: int) -> None: ...
    def stepped(self, progress: Progress) -> None: ...
    def evaluated(self, step: int, scores: Scores, best: bool) -> None: ...


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
    """Model, optimiser and average of one run; `loss` and `step` are the whole of training."""

    def __init__(self, preset: Preset, device: torch.device) -> None:
        torch.manual_seed(preset.seed)
        self.preset, self.device = preset, device
        self.model = DualEncoder(preset).to(device)
        self.average = copy.deepcopy(self.model) if preset.optimiser.ema else None
        self.optimiser = build_optimiser(self.model, preset)
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
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises RunError where it is of another model."""
        try:
            self.model.load_state_dict(state["model"])
            if self.average:
                self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise RunError("the checkpoint is of another version's model; start a new run") from error
        self.step_done, self.best = state["step"], state["best"]

    def judged(self) -> DualEncoder:
        """The weights that are evaluated and exported: the average where one is kept."""
        return self.average or self.model

    def loss(self, batch: Batch) -> Tensor:
        """One batch's loss, augmentations included."""
        seed = self.preset.seed * 1_000_003 + batch.step
        torch.manual_seed(seed)  # dropout
        count = len(batch.same_BB)
        draws = Draws(seed, count, slice(0, count))
        pixels = batch.pixels_BHWC.to(self.device).permute(0, 3, 1, 2).to(torch.float32)
        pixels = distort(pixels, self.preset.augment.image, self.preset.media.image_size, draws)
        for module in self.model.modules():
            if isinstance(module, AugmentedFeatures):
                module.draws = draws
        speech_BD = self.model.speech(
            batch.waveform_BS.to(self.device), batch.samples_valid_B.to(self.device)
        )
        image_BD = self.model.image.embed_float(pixels.contiguous(memory_format=torch.channels_last))
        scores_BB, same_BB = self.model.scores(speech_BD, image_BD), batch.same_BB.to(self.device)
        margin = self.preset.objective.margin_at(batch.step)
        if self.preset.objective.name == "triplet":
            return triplet_loss(scores_BB, same_BB, margin, torch.Generator().manual_seed(seed))
        return masked_margin_softmax(scores_BB, same_BB, margin)

    def step(self, batch: Batch) -> float:
        """Forward, backward, update, average; returns the loss.

        Raises FitError, before any weight changes, when the loss or its gradient is not finite.
        """
        self.model.train()
        rate = self.preset.learning_rate_at(batch.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FitError(f"the loss is {value} at step {batch.step}; {REMEDY}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        limit = self.preset.optimiser.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        if not math.isfinite(norm):
            raise FitError(f"the gradient is {norm} at step {batch.step}; {REMEDY}")
        self.optimiser.step()
        self.step_done = batch.step + 1
        self._update_average(batch.step)
        return value

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


def fit(
    preset: Preset,
    train: PairSet,
    dev: PairSet | None,
    run: Path,
    listener: Listener,
    *,
    device: torch.device | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Fit `preset` on `train`, into `run`; goes on where a killed run stopped.

    `stop` is asked after every step; a true answer saves the state and ends. Returns the last dev scores
    made by this call, if any. Raises RunError for a folder of another experiment, DatasetError and
    PresetError for what does not fit together, FitError for training that diverges.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start_run(run, preset, describe(train))
    spec = cache_spec(preset.media.spec())
    decoded = open_cache(train, spec, cache or run / "cache", workers or available_cores(), listener.decoding)
    for reason, count in decoded.skipped.items():
        _log.warning("left out of training: %d x %s", count, reason)
    max_samples = round(preset.media.max_seconds * preset.media.sample_rate_hz)
    loader = Loader(decoded, preset.stages, preset.seed, max_samples)
    fitter = Fitter(preset, device)
    if (run / "last.pt").is_file():
        fitter.restore(load_state(run / "last.pt"))
    scores = None
    started, counted = time.monotonic(), 0
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        for batch in loader.batches(fitter.step_done, preset.steps):
            loss = fitter.step(batch)
            counted += len(batch.samples_valid_B)
            rate = counted / (time.monotonic() - started)
            progress = Progress(batch.step + 1, preset.steps, loss, preset.learning_rate_at(batch.step), rate)
            listener.stepped(progress)
            if batch.step % 10 == 0:
                log.write(
                    json.dumps({"step": batch.step, "loss": round(loss, 5), "pairs_per_s": round(rate, 1)})
                    + "\n"
                )
            last = fitter.step_done == preset.steps
            if last or fitter.step_done % preset.evaluate_every == 0:
                paused = time.monotonic()
                scores = _judge(fitter, dev, run, listener)
                started += time.monotonic() - paused
                log.write(json.dumps({"step": fitter.step_done, "dev": scores and scores.to_dict()}) + "\n")
                log.flush()
            stopped = stop()
            if last or stopped or fitter.step_done % preset.checkpoint_every == 0:
                save_state(run / "last.pt", fitter.state())
            if stopped:
                break
    return scores


def describe(data: PairSet) -> dict[str, Any]:
    """What a run is fitted on; `items` tells these items from others, wherever they lie."""
    digest = hashlib.sha256()
    for picture in data.pictures:
        digest.update(f"picture\t{picture.id}\t{picture.identity}\n".encode())
    for clip in data.clips:
        digest.update(f"clip\t{clip.id}\t{clip.identity}\t{clip.voice}\n".encode())
    return {
        "train": Path(data.name).resolve().name,
        "split": data.split,
        "clips": len(data.clips),
        "pictures": len(data.pictures),
        "voices": data.voices(),
        "items": digest.hexdigest()[:16],
    }


def _judge(fitter: Fitter, dev: PairSet | None, run: Path, listener: Listener) -> Scores | None:
    """Evaluate on dev, keep the weights if they are the best so far; without a dev set keep the newest."""
    scores = None
    if dev is not None:
        scores = score(embed(ModelEmbedder(fitter.judged(), fitter.device), fitter.preset.media.spec(), dev))
    value = scores.mean_recall_at_10 if scores else math.inf
    best = scores is None or value > fitter.best
    if best:
        fitter.best = value if scores else fitter.best
        kept = {
            "step": fitter.step_done,
            "model": fitter.judged().state_dict(),
            "metrics": scores.to_dict() if scores else {},
        }
        save_state(run / "best.pt", kept)
    if scores:
        replace_text(run / "dev.json", json.dumps({"step": fitter.step_done, **scores.to_dict()}, indent=1))
        listener.evaluated(fitter.step_done, scores, best)
    return scores
