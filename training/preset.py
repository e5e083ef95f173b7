"""A preset: one system as frozen, checked values. Unknown keys are refused; `preset_file` reads them."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from indexer.media import MediaSpec


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

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.spec()  # its own checks say what cannot be
        return self


class SpeechTowerConfig(_Table):
    """kind "spectrogram": any timm network over MFCCs as a picture; "conv": the compact masked tower.

    pretrained takes timm's published weights, or those in the file `weights` (safetensors or torch).
    """

    kind: Literal["spectrogram", "conv"]
    features: Literal["mfcc", "log-mel"] = "mfcc"
    bands: int = 128
    fft_size: int = 1024
    model: str = ""
    pretrained: bool = False
    weights: str = ""
    width: int = Field(default=192, ge=1)
    convs: int = Field(default=4, ge=0)
    groups: int = Field(default=1, ge=1)
    blocks: int = Field(default=2, ge=0)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "spectrogram" and not self.model:
            raise ValueError("a spectrogram tower needs a model, such as inception_resnet_v2")
        if self.kind == "conv" and (self.model or self.pretrained):
            raise ValueError("a conv tower has no model and no pretrained weights")
        if self.kind == "conv":
            _check_divides(self.width, self.groups, "groups")
            _check_divides(self.width, self.heads, "heads")
        _check_weights(self.pretrained, self.weights)
        return self


class ImageTowerConfig(_Table):
    """Any timm network, pooled by itself ("average") or by attention over the feature map at `reduction`.

    pretrained and weights are as in the speech tower.
    """

    model: str
    pretrained: bool = False
    weights: str = ""
    pool: Literal["average", "attention"] = "average"
    reduction: int = 16
    width: int = Field(default=192, ge=1)
    blocks: int = Field(default=1, ge=0)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pool == "attention":
            _check_divides(self.width, self.heads, "heads")
        _check_weights(self.pretrained, self.weights)
        return self


def _check_divides(width: int, parts: int, name: str) -> None:
    if width % parts:
        raise ValueError(f"a width of {width} cannot be shared among {parts} {name}")


def _check_weights(pretrained: bool, weights: str) -> None:
    if weights and not pretrained:
        raise ValueError("a file of weights is read only with pretrained = true")


class Embedding(_Table):
    """The joint space. scale (100 at most) multiplies scores in training only; 1 and fixed for plain dots."""

    dim: int = Field(ge=1)
    similarity: Literal["dot", "cosine"]
    scale: float = Field(default=1.0, gt=0, le=100)
    learn_scale: bool = False


class Objective(_Table):
    """margin grows by `margin_growth` every `margin_every` steps; instance: weight of that loss, 0: none."""

    name: Literal["mms", "triplet"] = "mms"
    margin: float = 0.001
    margin_growth: float = 1.002
    margin_every: int = Field(default=1000, ge=1)
    instance: float = Field(default=0.0, ge=0)

    def margin_at(self, step: int) -> float:
        return self.margin * self.margin_growth ** (step // self.margin_every)


class Optimiser(_Table):
    """schedule "exponential": lr * decay^(step // decay_every); "cosine": down to 1 % of lr at the last step.

    Before that, the rate rises evenly over `warmup_steps`. clip_norm 0 never clips; ema 0 keeps no average.
    """

    name: Literal["adam", "adamw"]
    lr: float
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    schedule: Literal["exponential", "cosine"]
    decay: float = 1.0
    decay_every: int = Field(default=1000, ge=1)
    warmup_steps: int = Field(default=0, ge=0)
    ema: float = Field(default=0.0, ge=0, lt=1)


class SpeechAugment(_Table):
    """frequency_mask in bands, time_mask in frames, `masks` of each.

    warp_frequency and warp_time are the largest stretch of each axis, as a share of it. noise_share of the
    clips get noise at a ratio drawn from noise_snr_db (lowest, highest). random_pad puts a clip anywhere in
    the frames there are, not at their beginning.
    """

    frequency_mask: int = Field(default=0, ge=0)
    time_mask: int = Field(default=0, ge=0)
    masks: int = Field(default=0, ge=0)
    warp_frequency: float = Field(default=0.0, ge=0, lt=1)
    warp_time: float = Field(default=0.0, ge=0, lt=1)
    noise_share: float = Field(default=0.0, ge=0, le=1)
    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    random_pad: bool = False


class ImageAugment(_Table):
    """min_area: smallest share of the picture that a crop covers; max_zoom_out: largest window side.

    A window with a side of 1 has the picture's area. Windows are square as pictures are seen: in media that
    are squashed, after that. Brightness and saturation are drawn within 1 +- these.
    """

    min_area: float = Field(default=1.0, gt=0, le=1)
    max_zoom_out: float = Field(default=1.0, ge=1)
    brightness: float = Field(default=0.0, ge=0, le=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    flip: bool = False


class Augment(_Table):
    """Both kinds; all off unless the preset turns them on."""

    speech: SpeechAugment = SpeechAugment()
    image: ImageAugment = ImageAugment()


class Stage(_Table):
    """Part of the schedule. `levels` keeps pictures of those levels only.

    `group_by` draws `group_share` of the batches from pictures that share that metadata value, so that it
    alone tells nothing apart. Where a group ends inside a batch, the next one fills it. `by_length` puts
    clips of like length into a batch, so that little of it is padding. `chunk` pairs are embedded at a time,
    so that a batch may be larger than memory; 0 embeds all at once. Batch norm knows a chunk's pairs only.
    """

    steps: int = Field(gt=0)
    batch: int = Field(gt=1)
    chunk: int = Field(default=0, ge=0)
    levels: tuple[str, ...] = ()
    group_by: str = ""
    group_share: float = Field(default=0.0, ge=0, le=1)
    by_length: bool = False

    def takes(self, tags: dict[str, str]) -> bool:
        """Whether a picture with these tags is of the stage's levels."""
        return not self.levels or tags.get("level") in self.levels


class Compute(_Table):
    """How steps are computed. precision is the towers'; weights, front ends, norms and loss are float32.

    On CUDA, float32 towers multiply in TF32. compile hands the towers to torch.compile.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False


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
    compute: Compute = Compute()
    stages: tuple[Stage, ...] = Field(min_length=1)
    seed: int = Field(default=1, ge=0)
    evaluate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=250, ge=1)

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
