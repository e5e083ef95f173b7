"""A preset: one system written down as TOML, read into frozen, checked values. Unknown keys are refused.

Presets that ship lie beside this package in `training/presets/`; a path to any other TOML file works as well.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from indexer.media import MediaSpec

PRESETS = Path(__file__).parent / "presets"


class PresetError(Exception):
    """A preset that is not there or says something that cannot be."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Media(_Table):
    """What decoding hands to the towers; becomes the bundle's media block."""

    sample_rate_hz: int = 16_000
    max_seconds: float
    image_size: int
    resize: Literal["squash", "shortest"] = "squash"
    crop: Literal["none", "center"] = "none"
    crop_fraction: float = 1.0

    def spec(self) -> MediaSpec:
        return MediaSpec(**self.model_dump())


class SpeechTowerConfig(_Table):
    """kind "spectrogram": any timm network over MFCCs as a picture; "conv": the compact masked tower."""

    kind: Literal["spectrogram", "conv"]
    features: Literal["mfcc", "log-mel"] = "mfcc"
    bands: int = 128
    fft_size: int = 1024
    model: str = ""
    pretrained: bool = False
    width: int = 192
    convs: int = 4
    groups: int = 1
    blocks: int = 2
    heads: int = 4
    dropout: float = 0.0


class ImageTowerConfig(_Table):
    """Any timm network, pooled by itself ("average") or by attention over its feature map at `reduction` pixels."""

    model: str
    pretrained: bool = False
    pool: Literal["average", "attention"] = "average"
    reduction: int = 16
    width: int = 192
    blocks: int = 1
    heads: int = 4
    dropout: float = 0.0


class Embedding(_Table):
    """The joint space. scale multiplies scores in training only; 1 and fixed for plain dot products."""

    dim: int
    similarity: Literal["dot", "cosine"]
    scale: float = 1.0
    learn_scale: bool = False


class Objective(_Table):
    """margin grows by `margin_growth` every `margin_every` steps."""

    name: Literal["mms", "triplet"] = "mms"
    margin: float = 0.001
    margin_growth: float = 1.002
    margin_every: int = 1000

    def margin_at(self, step: int) -> float:
        return self.margin * self.margin_growth ** (step // self.margin_every)


class Optimiser(_Table):
    """schedule "exponential": lr * decay^(step // decay_every); "cosine": warm-up, then down to 1 % at the last step."""

    name: Literal["adam", "adamw"]
    lr: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    schedule: Literal["exponential", "cosine"]
    decay: float = 1.0
    decay_every: int = 1000
    warmup_steps: int = 0
    ema: float = 0.0


class SpeechAugment(_Table):
    """frequency_mask in bands, time_mask in frames, `masks` of each; noise_snr_db a range, on noise_share of clips."""

    frequency_mask: int = 0
    time_mask: int = 0
    masks: int = 0
    warp_frequency: float = 0.0
    warp_time: float = 0.0
    noise_share: float = 0.0
    noise_snr_db: tuple[float, float] = (10.0, 40.0)


class ImageAugment(_Table):
    """min_area: smallest share of the picture a crop covers; max_zoom_out: largest window side (1 = the picture)."""

    min_area: float = 1.0
    max_zoom_out: float = 1.0
    brightness: float = 0.0
    saturation: float = 0.0
    flip: bool = False


class Augment(_Table):
    """Both kinds; all off unless the preset turns them on."""

    speech: SpeechAugment = SpeechAugment()
    image: ImageAugment = ImageAugment()


class Stage(_Table):
    """Part of the schedule. `levels` keeps pictures of those levels; `group_by` draws `group_share` of the batches
    from pictures that share that metadata value, so that it alone tells nothing apart."""

    steps: int = Field(gt=0)
    batch: int = Field(gt=1)
    levels: tuple[str, ...] = ()
    group_by: str = ""
    group_share: float = 0.0


class Preset(_Table):
    """One system: towers + objective + schedule."""

    name: str
    system: str
    media: Media
    speech: SpeechTowerConfig
    image: ImageTowerConfig
    embedding: Embedding
    objective: Objective
    optimiser: Optimiser
    augment: Augment = Augment()
    stages: tuple[Stage, ...] = Field(min_length=1)
    seed: int = 1
    evaluate_every: int = 500
    checkpoint_every: int = 250

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def learning_rate_at(self, step: int) -> float:
        o = self.optimiser
        if o.warmup_steps and step < o.warmup_steps:
            return o.lr * (step + 1) / o.warmup_steps
        if o.schedule == "exponential":
            return o.lr * o.decay ** (step // o.decay_every)
        progress = (step - o.warmup_steps) / max(1, self.steps - o.warmup_steps)
        return o.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def shipped() -> list[str]:
    """Names of the presets that ship."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_preset(name_or_path: str, changes: dict[str, str] | None = None) -> Preset:
    """A shipped preset by name or any TOML file by path; `changes` sets single values: {"optimiser.lr": "0.001"}."""
    path = PRESETS / f"{name_or_path}.toml" if name_or_path in shipped() else Path(name_or_path)
    if not path.is_file():
        raise PresetError(
            f"no preset {name_or_path!r}; shipped are {', '.join(shipped())}, or give a TOML file"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        for key, text in (changes or {}).items():
            _set(values, key, text)
        return Preset.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PresetError(f"preset {path.name}: {place}: {first['msg'].lower()}") from error


def _set(values: dict[str, object], key: str, text: str) -> None:
    *parents, last = key.split(".")
    table: object = values
    for parent in parents:
        if isinstance(table, list) and parent.isdigit() and int(parent) < len(table):
            table = table[int(parent)]
        elif isinstance(table, dict):
            table = table.setdefault(parent, {})
        else:
            raise PresetError(f"--set {key}: {parent} is not a table")
    if not isinstance(table, dict):
        raise PresetError(f"--set {key}: {last} has no table to go into")
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text
