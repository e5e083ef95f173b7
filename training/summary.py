"""The evaluations of a run as a table for the terminal, from its log: those before an interruption, too."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table

from training.journal import read_log

KS = (1, 5, 10)


def evaluation_table(run: Path) -> Table | None:
    """Recall both ways at every evaluation; a star where the kept weights are from. None without any."""
    found = read_log(run).evaluations
    if not found:
        return None
    table = Table(box=box.SIMPLE_HEAD, title="dev", title_justify="left")
    for name in ("step", *(f"{way} R@{k}" for way in ("S->I", "I->S") for k in KS)):
        table.add_column(name, justify="right")
    kept = max((step for step, record in found.items() if record.get("best")), default=None)
    for step, record in found.items():
        ways = (record["dev"]["speech_to_image"], record["dev"]["image_to_speech"])
        cells = [f"{way[f'R@{k}']:.3f}" for way in ways for k in KS]
        table.add_row(f"{step:,}{'*' if step == kept else ' '}", *cells)
    return table
