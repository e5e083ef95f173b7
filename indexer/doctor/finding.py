"""What the doctor says of one thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `fix` is what to do when it is wrong, or could be better."""

    subject: str
    verdict: Verdict
    found: str
    fix: str | None = None
