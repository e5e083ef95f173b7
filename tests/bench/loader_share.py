"""What share of a bare forward and backward pass is left when batches come from the loader, in one run.

    python -m tests.bench.loader_share --data CORPUS --out tests/bench/results/loader_share.json

"loader" is a fit's step with its loader; "held" the same steps over the same batches held in memory; "bare"
forward, loss and backward alone, over inputs that are floats already: no distortion, no clipping, no update,
no average. Rounds alternate; the median of their ratios is kept, by the clock and by processor time. Where
others use the same cores, the clock's is noisy. What a thread needs for a batch says how short a step the
loader's threads could feed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from indexer.cores import available_cores
from training.cache import cache_spec, open_cache
from training.datasets import open_dataset
from training.device import torch_device
from training.fitter import Fitter
from training.loader import Batch, Loader
from training.preset_file import load_preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--speech", type=Path, default=None)
    parser.add_argument(
        "--cache", type=Path, default=None, help="Decoded data; a temporary folder unless given."
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options, options.cache or Path(folder))
    print(json.dumps(measured, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    device, preset = torch_device(options.device), load_preset(options.preset)
    spec = preset.media.spec()
    train = open_dataset(options.data, "train", options.speech)
    decoded = open_cache(train, cache_spec(spec), cache, available_cores(), lambda *_: None)
    pinned = device.type == "cuda"
    loader = Loader(decoded, preset.stages, preset.seed, spec.max_samples, pinned=pinned)
    fitter = Fitter(preset, device)
    held = [loader.load(step) for step in range(options.steps)]
    alone = []
    for step in range(20 * options.steps):  # as fast as the loader could be asked, by one thread
        began = time.thread_time()
        loader.load(step)
        alone.append(1000 * (time.thread_time() - began))
    ready = [floats(batch, device) for batch in held]

    def with_loader() -> None:
        for batch in loader.batches(0, options.steps):
            fitter.step(batch)

    def without() -> None:
        for batch in held:
            fitter.step(batch)

    def bare() -> None:
        fitter.model.train()
        for batch, (waveform, valid, pixels) in zip(held, ready, strict=True):
            fitter.model.zero_grad()
            speech_BD, image_BD = fitter.model.speech(waveform, valid), fitter.model.image.embed_float(pixels)
            fitter.loss(batch, speech_BD, image_BD).backward()  # type: ignore[no-untyped-call]

    ways: dict[str, Callable[[], None]] = {"loader": with_loader, "held": without, "bare": bare}
    clock: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    bare()
    without()  # memory grown, kernels chosen
    for _ in range(options.rounds):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            clock[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - used)

    def share(taken: dict[str, list[float]], of: str) -> float:
        return round(statistics.median(b / a for a, b in zip(taken["loader"], taken[of], strict=True)), 4)

    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{available_cores()} cores, {platform.machine()}, {device}",
        "torch": torch.__version__,
        "preset": preset.name,
        "batch": preset.stages[0].batch,
        "steps_a_round": options.steps,
        "rounds": options.rounds,
        "loading_alone_ms_a_batch": round(statistics.median(alone), 2),
        "step_ms": round(1000 * statistics.median(clock["held"]) / options.steps, 1),
        "share_of_the_step_without_loader": {
            "clock": share(clock, "held"),
            "processor": share(processor, "held"),
        },
        "share_of_bare_forward_and_backward": {
            "clock": share(clock, "bare"),
            "processor": share(processor, "bare"),
        },
    }


def floats(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Waveforms, lengths and pixels as the towers take them."""
    pixels = batch.pixels_RHWC.to(device).permute(0, 3, 1, 2).to(torch.float32)
    waveform = batch.waveform_RS.to(device).to(torch.float32) / 32768
    return waveform, batch.samples_valid_R.to(device), pixels.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
