"""What a run folder tells of how its fit went: loss and dev recall by step, and on how much data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.checkpoint import read_data, read_preset
from training.journal import read_log


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
    preset, data, log = read_preset(run), read_data(run), read_log(run)
    batches = sorted({stage.batch for stage in preset.stages})
    batch = f"batch {batches[0]}" if len(batches) == 1 else f"batches of {batches[0]} to {batches[-1]}"
    described = f"{preset.name}, {preset.objective.name}, {preset.steps} steps, {batch}, seed {preset.seed}"
    return History(
        data["pictures"],
        data["clips"],
        described,
        tuple(log.losses.items()),
        tuple(log.dev().items()),
        log.torn,
    )


def thinned(points: tuple[tuple[int, float], ...], most: int = 240) -> list[tuple[float, float]]:
    """At most `most` points: consecutive ones are averaged, which also calms a loss curve."""
    group = -(-len(points) // most) or 1
    parts = [points[i : i + group] for i in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
