"""A run's best weights on a split: what every judgement begins with."""

from __future__ import annotations

from pathlib import Path

import torch

from indexer.progress import Progress
from training.checkpoint import load_model
from training.datasets.pairs import PairSet
from training.evaluate import Embedded, ModelEmbedder, embed


def embed_run(run: Path, data: PairSet, device: torch.device, shown: Progress) -> tuple[Embedded, int]:
    """Vectors of every pair of `data`, and the step of the weights. RunError for a folder that is no run."""
    model, preset, state = load_model(run)
    with shown.stage(f"embed with {run.name}", len(data.clips) + len(data.pictures)) as stage:
        embedder = ModelEmbedder(model.to(device), device)
        embedded = embed(embedder, preset.media.spec(), data, lambda done, _: stage.reach(done))
    return embedded, int(state["step"])
