"""The dual encoder: two towers into one space, and the scale their scores are trained at.

Shape legend: B batch, S samples, D embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.preset import Embedding, Preset
from training.towers.image import ImageTower
from training.towers.speech import build_speech_tower


class Finish(nn.Module):
    """What follows a tower: float32 again, and normalised if the space is cosine."""

    def __init__(self, config: Embedding) -> None:
        super().__init__()
        self.normalise = config.similarity == "cosine"

    def forward(self, vectors_BD: Tensor) -> Tensor:
        single_BD = vectors_BD.to(torch.promote_types(vectors_BD.dtype, torch.float32))  # of bfloat16 towers
        return functional.normalize(single_BD, dim=1) if self.normalise else single_BD


class SpeechGraph(nn.Module):
    """The speech tower as it is exported."""

    def __init__(self, tower: nn.Module, config: Embedding) -> None:
        super().__init__()
        self.tower, self.finish = tower, Finish(config)

    def forward(self, waveform: Tensor, samples_valid: Tensor) -> Tensor:
        vectors: Tensor = self.finish(self.tower(waveform, samples_valid))
        return vectors


class ImageGraph(nn.Module):
    """The image tower as it is exported."""

    def __init__(self, tower: ImageTower, config: Embedding) -> None:
        super().__init__()
        self.tower, self.finish = tower, Finish(config)

    def forward(self, pixels: Tensor) -> Tensor:
        vectors: Tensor = self.finish(self.tower(pixels))
        return vectors

    def embed_float(self, pixels_BCHW: Tensor) -> Tensor:
        """For training: augmented pixels are floats, channels first."""
        vectors: Tensor = self.finish(self.tower.embed(pixels_BCHW))
        return vectors


class DualEncoder(nn.Module):
    """speech and image towers; `scores` = scale * speech . image, the scale 1 for plain dot products."""

    def __init__(self, preset: Preset, *, load_pretrained: bool = True) -> None:
        """load_pretrained=False leaves out fetching weights that a checkpoint is about to replace.

        Raises PresetError where a tower cannot be made.
        """
        super().__init__()
        media, dim = preset.media, preset.embedding.dim
        speech = build_speech_tower(
            preset.speech,
            preset.augment.speech,
            media.sample_rate_hz,
            media.max_seconds,
            dim,
            load_pretrained,
        )
        image = ImageTower(preset.image, media.image_size, dim, load_pretrained)
        self.speech, self.image = SpeechGraph(speech, preset.embedding), ImageGraph(image, preset.embedding)
        initial = math.log(preset.embedding.scale)
        self.log_scale = nn.Parameter(torch.tensor(initial), requires_grad=preset.embedding.learn_scale)

    def scores(self, speech_BD: Tensor, image_BD: Tensor) -> Tensor:
        """[B, B]: row i is clip i against every picture. The scale is kept at 100 or less, as CLIP does."""
        return self.log_scale.exp().clamp(max=100.0) * speech_BD @ image_BD.T
