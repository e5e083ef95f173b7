"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """Clips that are there now; `kept` of them were there before. `failures`: clip id -> reason."""

    manifest: Path
    clips: int
    kept: int
    voices: frozenset[str]
    seconds: float
    failures: dict[str, str]


@dataclass(frozen=True)
class SpeakReport:
    """What a run did. `failures` gives the captions that could not be spoken, by id, with the reason."""

    manifest: Path
    clips: int
    made: int
    kept: int
    voices: int
    speech_seconds: float
    elapsed_seconds: float
    skipped: dict[str, int]
    failures: dict[str, str]

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.skipped.items())
        return (
            f"{self.clips} spoken captions ({self.speech_seconds / 3600:.2f} h, {self.voices} voices) in "
            f"{self.manifest}: {self.made} made, {self.kept} kept, {len(self.failures)} failed, "
            f"{sum(self.skipped.values())} skipped"
            f"{f' ({reasons})' if reasons else ''}; {self.elapsed_seconds:.1f} s."
        )
