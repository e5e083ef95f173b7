"""The dual encoder: two towers into one space, and the scale their scores are trained at.

Shape legend: B batch, S samples, D embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.preset import Preset
from training.towers.image import ImageTower
from training.towers.speech import build_speech_tower


class SpeechGraph(nn.Module):
    """The speech tower as it is exported: normalised if the space is cosine."""

    def __init__(self, tower: nn.Module, normalise: bool) -> None:
        super().__init__()
        self.tower, self.normalise = tower, normalise

    def forward(self, waveform: Tensor, samples_valid: Tensor) -> Tensor:
        vectors = self.tower(waveform, samples_valid)
        return functional.normalize(vectors, dim=1) if self.normalise else vectors


class ImageGraph(nn.Module):
    """The image tower as it is exported."""

    def __init__(self, tower: ImageTower, normalise: bool) -> None:
        super().__init__()
        self.tower, self.normalise = tower, normalise

    def forward(self, pixels: Tensor) -> Tensor:
        return self._finish(self.tower(pixels))

    def embed_float(self, pixels_BCHW: Tensor) -> Tensor:
        """For training: augmented pixels are floats, channels first."""
        return self._finish(self.tower.embed(pixels_BCHW))

    def _finish(self, vectors: Tensor) -> Tensor:
        return functional.normalize(vectors, dim=1) if self.normalise else vectors


class DualEncoder(nn.Module):
    """speech and image towers; `scores` = scale * speech . image, the scale 1 for plain dot products."""

    def __init__(self, preset: Preset, *, load_pretrained: bool = True) -> None:
        """load_pretrained=False leaves out fetching weights that a checkpoint is about to replace.

        Raises PresetError where a tower cannot be made.
        """
        super().__init__()
        media, dim = preset.media, preset.embedding.dim
        normalise = preset.embedding.similarity == "cosine"
        speech = build_speech_tower(
            preset.speech,
            preset.augment.speech,
            media.sample_rate_hz,
            media.max_seconds,
            dim,
            load_pretrained,
        )
        self.speech = SpeechGraph(speech, normalise)
        self.image = ImageGraph(ImageTower(preset.image, media.image_size, dim, load_pretrained), normalise)
        initial = math.log(preset.embedding.scale)
        self.log_scale = nn.Parameter(torch.tensor(initial), requires_grad=preset.embedding.learn_scale)

    def scores(self, speech_BD: Tensor, image_BD: Tensor) -> Tensor:
        """[B, B]: row i is clip i against every picture. The scale is kept at 100 or less, as CLIP does."""
        return self.log_scale.exp().clamp(max=100.0) * speech_BD @ image_BD.T
