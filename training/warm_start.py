"""Towers that begin with another run's best weights; everything else begins at random.

Ilharco et al. 2019 fit on Conceptual Spoken Captions first and hand the weights of either tower, or of both,
to a fit on Flickr Audio (table 2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training.checkpoint import RunError, first_difference, load_model, load_state, read_data
from training.preset import Preset
from training.towers.dual import DualEncoder

LEARNING = {"dropout", "pretrained", "weights"}
"""What a tower's table says of its training: it may differ. All else decides what its weights mean."""


@dataclass(frozen=True)
class WarmStart:
    """Which towers of which run."""

    run: Path
    towers: Literal["speech", "image", "both"] = "both"

    @property
    def names(self) -> tuple[str, ...]:
        return ("speech", "image") if self.towers == "both" else (self.towers,)

    def origin(self, into: Path) -> dict[str, Any]:
        """What the run `into` records of this; what it has recorded, where it goes on with the same."""
        named = {"run": self.run.resolve().name, "towers": self.towers}
        if (into / "last.pt").is_file():
            recorded: dict[str, Any] = read_data(into).get("warm_start") or {}
            if recorded.items() >= named.items():
                return recorded
        step = load_state(self.run / "best.pt")["step"]
        digest = hashlib.sha256((self.run / "best.pt").read_bytes()).hexdigest()
        return {**named, "step": step, "weights": digest[:16]}

    def load_into(self, model: DualEncoder, preset: Preset) -> None:
        """Give `model`, of `preset`, these towers' weights. RunError where a tower is of another make."""
        theirs, made_with, _ = load_model(self.run)
        for name in self.names:
            difference = first_difference(_make(made_with, name), _make(preset, name))
            if difference:
                raise RunError(
                    f"the {name} tower of {self.run} has {difference} as this preset says; "
                    "change the preset, or begin from another run"
                )
            try:
                model.get_submodule(name).load_state_dict(theirs.get_submodule(name).state_dict())
            except RuntimeError as error:
                raise RunError(
                    f"the {name} tower of {self.run} was made for other media (seconds or picture size); "
                    "change the preset, or begin from another run"
                ) from error


def _make(preset: Preset, tower: str) -> dict[str, Any]:
    """All that decides what a tower's weights mean."""
    values = preset.model_dump(include={tower: True, "embedding": {"dim"}})
    values[tower] = {key: value for key, value in values[tower].items() if key not in LEARNING}
    if tower == "speech":
        values["media"] = {"sample_rate_hz": preset.media.sample_rate_hz}
    return values
