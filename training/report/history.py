"""What a run folder tells of how its fit went: loss and dev recall by step, and on how much data.

A run that went on after a kill writes some lines twice; the newest of a step counts. A line that a kill tore
is left out and counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from training.checkpoint import RunError, read_data, read_preset


@dataclass(frozen=True)
class History:
    """`loss`: (step, loss) as logged; `dev`: (step, mean of R@10 both ways). `torn` counts lost lines."""

    pictures: int
    clips: int
    described: str
    loss: tuple[tuple[int, float], ...]
    dev: tuple[tuple[int, float], ...]
    torn: int


def read_history(run: Path) -> History:
    """Raises RunError for a folder that is no run or has no log."""
    preset, data = read_preset(run), read_data(run)
    try:
        lines = (run / "log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RunError(
            f"{run / 'log.jsonl'} cannot be read ({error.strerror}); is {run} a run folder?"
        ) from error
    loss: dict[int, float] = {}
    dev: dict[int, float] = {}
    torn = 0
    for line in lines:
        try:
            record = json.loads(line)
            step = int(record["step"])
            if "loss" in record:
                loss[step] = float(record["loss"])
            elif record.get("dev"):
                both = (record["dev"][way]["R@10"] for way in ("speech_to_image", "image_to_speech"))
                dev[step] = sum(both) / 2
        except (ValueError, KeyError, TypeError):
            torn += 1
    batches = sorted({stage.batch for stage in preset.stages})
    batch = f"batch {batches[0]}" if len(batches) == 1 else f"batches of {batches[0]} to {batches[-1]}"
    described = f"{preset.name}, {preset.objective.name}, {preset.steps} steps, {batch}, seed {preset.seed}"
    return History(
        data["pictures"],
        data["clips"],
        described,
        tuple(sorted(loss.items())),
        tuple(sorted(dev.items())),
        torn,
    )


def thinned(points: tuple[tuple[int, float], ...], most: int = 240) -> list[tuple[float, float]]:
    """At most `most` points: consecutive ones are averaged, which also calms a loss curve."""
    group = -(-len(points) // most) or 1
    parts = [points[i : i + group] for i in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
