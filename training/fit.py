"""The loop: batches in, gradients, steps; evaluates on dev, keeps the best weights, resumes by itself.

A kill loses at most `checkpoint_every` steps, and the resumed run takes the very same ones, on a CPU bit for
bit. Of several processes rank 0 alone decodes, evaluates, writes and tells.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from indexer.cores import available_cores
from indexer.durable import replace_text
from training.cache import cache_spec, open_cache
from training.checkpoint import check_run, load_state, save_state, start_run
from training.datasets.pairs import PairSet
from training.distributed import ALONE, Ranks
from training.evaluate import ModelEmbedder, Scores, embed, score
from training.fitter import Fitter
from training.journal import Journal
from training.listener import Listener, Progress, Together
from training.loader import Loader, refuse_small
from training.preset import Preset
from training.warm_start import WarmStart

_log = logging.getLogger(__name__)


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
    warm: WarmStart | None = None,
    ranks: Ranks = ALONE,
) -> Scores | None:
    """Fit `preset` on `train`, into `run`; goes on where a killed run stopped.

    `stop` is asked after every step; a true answer in any process saves the state and ends. Returns the last
    dev scores made by this call, if any. Raises RunError for a folder of another experiment, DatasetError,
    PresetError and UnevenShare for what does not fit together, FitError for training that diverges, RankLost
    when another process has ended.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for stage in preset.stages:
        ranks.share(stage.batch, stage.chunk)
    pictures = ((picture.identity, picture.tags) for picture in train.pictures)
    refuse_small(preset.stages, pictures, {clip.identity for clip in train.clips})
    identities = len({picture.identity for picture in train.pictures})
    fitter = Fitter(preset, device, ranks, identities=identities)
    begun = (run / "last.pt").is_file()
    if warm and not begun:
        fitter.begin_with(warm)
    about = describe(train) | ({"warm_start": warm.origin(run)} if warm and ranks.first else {})
    if ranks.first:
        check_run(run, preset, about)
    spec, folder = cache_spec(preset.media.spec()), cache or run / "cache"
    decoded = ranks.first_alone(
        lambda: open_cache(train, spec, folder, workers or available_cores(), listener.decoding)
    )
    max_samples = round(preset.media.max_seconds * preset.media.sample_rate_hz)
    pinned = device.type == "cuda"
    loader = Loader(decoded, preset.stages, preset.seed, max_samples, ranks=ranks, pinned=pinned)
    if ranks.first:
        start_run(run, preset, about)  # only now, so that a set too small once decoded may be tried again
    if begun:
        fitter.restore(load_state(run / "last.pt"))
    scores, pairs, started = None, 0, time.monotonic()
    with ExitStack() as stack:
        told = Together([stack.enter_context(Journal(run)), listener] if ranks.first else [])
        for reason, count in decoded.skipped.items() if ranks.first else ():
            _log.warning("left out of training: %d x %s", count, reason)
        for batch in loader.batches(fitter.step_done, preset.steps):
            loss = fitter.step(batch)
            pairs += len(batch)
            rate = preset.learning_rate_at(batch.step)
            speed = pairs / (time.monotonic() - started)
            told.stepped(Progress(fitter.step_done, preset.steps, loss, rate, speed))
            last = fitter.step_done == preset.steps
            if ranks.first and (last or fitter.step_done % preset.evaluate_every == 0):
                paused = time.monotonic()
                scores = _judge(fitter, dev, run, told)
                started += time.monotonic() - paused
            stopped = ranks.any(stop())
            if ranks.first and (last or stopped or fitter.step_done % preset.checkpoint_every == 0):
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
