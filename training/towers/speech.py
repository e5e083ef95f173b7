"""Speech towers: waveform [B, S] and valid lengths [B] -> embedding [B, D].

`SpectrogramTower` treats MFCCs as a picture for any timm network (Ilharco et al. 2019).
`ConvTower` is the compact one: masked convolutions and attention over time, any length.
Shape legend: B batch, S samples, T frames, M bands, C channels, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.augment import Draws, add_noise, random_pad, spec_augment, warp
from training.precision import full_precision
from training.preset import PresetError, SpeechAugment, SpeechTowerConfig
from training.towers.backbone import build_backbone, num_features
from training.towers.features import Features
from training.towers.layers import AttentionPool, MaskedConv, ResidualConv, TransformerBlock


class AugmentedFeatures(nn.Module):
    """Features that are warped and masked in training mode; in evaluation exactly `Features`."""

    def __init__(self, features: Features, augment: SpeechAugment) -> None:
        super().__init__()
        self.features = features
        self.augment = augment
        self.draws: Draws | None = None

    def forward(self, waveform_BS: Tensor, samples_valid_B: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training or self.draws is None:
            features_BTM, mask_BT = self.features(waveform_BS, samples_valid_B)
            return features_BTM, mask_BT
        with full_precision(waveform_BS.device):
            return self._distorted(waveform_BS, samples_valid_B, self.draws)

    def _distorted(self, waveform_BS: Tensor, samples_valid_B: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        a = self.augment
        log_mel_BTM, mask_BT = self.features.log_mel(waveform_BS, samples_valid_B)
        if a.noise_share:
            log_mel_BTM = add_noise(log_mel_BTM, mask_BT, a.noise_snr_db, a.noise_share, draws)
        if a.warp_frequency or a.warp_time:
            log_mel_BTM = warp(log_mel_BTM, a.warp_frequency, a.warp_time, draws)
        features_BTM = self.features.finish(log_mel_BTM, mask_BT)
        if a.random_pad:
            features_BTM, mask_BT = random_pad(features_BTM, mask_BT, draws)
        if a.masks:
            features_BTM = spec_augment(features_BTM, a.frequency_mask, a.time_mask, a.masks, draws)
        return features_BTM, mask_BT


class SpectrogramTower(nn.Module):
    """MFCCs stacked to three channels, cut or padded to a fixed number of frames, through a timm network."""

    def __init__(
        self,
        config: SpeechTowerConfig,
        front: AugmentedFeatures,
        max_samples: int,
        dim: int,
        load_pretrained: bool,
    ) -> None:
        super().__init__()
        self.front = front
        self.max_samples = max_samples
        self.backbone = build_backbone(config, load_pretrained, num_classes=0)
        width = num_features(self.backbone)
        self.project: nn.Module = nn.Identity() if width == dim else nn.Linear(width, dim)

    def forward(self, waveform_BS: Tensor, samples_valid_B: Tensor) -> Tensor:
        room = torch.zeros(
            waveform_BS.shape[0], self.max_samples, dtype=waveform_BS.dtype, device=waveform_BS.device
        )
        fixed_BS = torch.cat([waveform_BS, room], dim=1)[:, : self.max_samples]
        features_BTM, mask_BT = self.front(fixed_BS, torch.clamp(samples_valid_B, max=self.max_samples))
        picture = (features_BTM * mask_BT[:, :, None]).transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
        embedding: Tensor = self.project(self.backbone(picture))
        return embedding


class ConvTower(nn.Module):
    """Two strided convolutions (40 ms steps), residual convolutions, transformers, attention pooling."""

    def __init__(self, config: SpeechTowerConfig, front: AugmentedFeatures, dim: int) -> None:
        super().__init__()
        self.front = front
        c = config.width
        self.stem = nn.ModuleList([MaskedConv(front.features.bands, c, 5, 2), MaskedConv(c, c, 5, 2)])
        self.convs = nn.ModuleList([ResidualConv(c, 5, config.groups) for _ in range(config.convs)])
        self.blocks = nn.ModuleList(
            [TransformerBlock(c, config.heads, config.dropout) for _ in range(config.blocks)]
        )
        self.pool = AttentionPool(c, config.heads, dim)

    def forward(self, waveform_BS: Tensor, samples_valid_B: Tensor) -> Tensor:
        features_BTM, mask_BT = self.front(waveform_BS, samples_valid_B)
        x = features_BTM.transpose(1, 2)
        for stem in self.stem:
            x, mask_BT = stem(x, mask_BT)
        for conv in self.convs:
            x = conv(x, mask_BT)
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x, mask_BT)
        embedding: Tensor = self.pool(x, mask_BT)
        return embedding


def build_speech_tower(
    config: SpeechTowerConfig,
    augment: SpeechAugment,
    sample_rate_hz: int,
    max_seconds: float,
    dim: int,
    load_pretrained: bool,
) -> nn.Module:
    """The speech tower that a preset asks for. Raises PresetError where it cannot be made."""
    try:
        features = Features(config.features, config.bands, config.fft_size, sample_rate_hz)
    except ValueError as error:
        raise PresetError(f"speech: {error}") from error
    front = AugmentedFeatures(features, augment)
    if config.kind == "spectrogram":
        return SpectrogramTower(config, front, round(max_seconds * sample_rate_hz), dim, load_pretrained)
    return ConvTower(config, front, dim)
