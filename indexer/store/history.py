"""Which generation is served and which were before: CURRENT and promotions.jsonl.

CURRENT is the truth; the log is what a rollback goes by. A process killed between writing the one and the
other leaves a log one entry short, which reading it makes good.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from indexer.durable import replace_text
from indexer.store.layout import CURRENT, PROMOTE_LOCK, PROMOTIONS, is_generation_id

Action = Literal["promote", "rollback"]


def current_generation(index: Path | str) -> str | None:
    """The id in CURRENT; None where nothing was ever promoted or the file holds no id."""
    try:
        text = (Path(index) / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return text if is_generation_id(text) else None


def promoted_stack(index: Path) -> list[str]:
    """Generations a rollback can return to, oldest first; the last one is the current."""
    stack: list[str] = []
    try:
        lines = (index / PROMOTIONS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            entry = json.loads(line)
            action, generation = entry["action"], entry["generation"]
        except (ValueError, TypeError, KeyError):
            continue  # the half-written line of a killed process
        if isinstance(generation, str) and is_generation_id(generation):
            _apply(stack, action, generation)
    current = current_generation(index)
    if current is not None and stack[-1:] != [current]:
        _apply(stack, "rollback" if current in stack else "promote", current)
    return stack


def _apply(stack: list[str], action: Action, generation: str) -> None:
    if action == "rollback" and generation in stack:
        del stack[stack.index(generation) + 1 :]
        return
    if generation in stack:
        stack.remove(generation)
    stack.append(generation)


def set_current(index: Path, generation: str, action: Action) -> None:
    """Make `generation` the one being served. Only under `changing_current`."""
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "generation": generation,
        "previous": current_generation(index),
    }
    replace_text(index / CURRENT, generation + "\n")
    with (index / PROMOTIONS).open("ab") as log:
        # A leading line break closes the half-written line that a killed process may have left.
        log.write(b"\n" * _ends_mid_line(index / PROMOTIONS) + json.dumps(entry).encode() + b"\n")
        log.flush()
        os.fsync(log.fileno())


def _ends_mid_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


@contextmanager
def changing_current(index: Path) -> Iterator[None]:
    """Keep other processes from promoting or rolling back meanwhile; they wait, since it takes moments."""
    with (index / PROMOTE_LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
