"""Image towers: pixels uint8 [B, H, W, 3] -> embedding [B, D], normalisation inside.

Any timm network; pooled as timm does ("average"), or its feature map read as tokens by attention
("attention"), which keeps small objects apart. Shape legend: B batch, H W picture, C channels, T places of
the feature map, D embedding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from training.preset import ImageTowerConfig, PresetError
from training.towers.backbone import build_backbone, num_features, pixel_statistics
from training.towers.layers import AttentionPool, TransformerBlock


class ImageTower(nn.Module):
    """See the module. Pixels are scaled to [-1, 1], or as the weights expect where these are pretrained.

    Raises PresetError for a network, a reduction or weights that are not there.
    """

    def __init__(self, config: ImageTowerConfig, image_size: int, dim: int, load_pretrained: bool) -> None:
        super().__init__()
        self.by_attention = config.pool == "attention"
        if self.by_attention:
            probe: Any = build_backbone(config, False, features_only=True)
            every = probe.feature_info.reduction()
            if config.reduction not in every:
                raise PresetError(
                    f"{config.model} has feature maps at reductions {every}, not at {config.reduction}"
                )
            place = every.index(config.reduction)
            self.backbone = build_backbone(config, load_pretrained, features_only=True, out_indices=(place,))
        else:
            self.backbone = build_backbone(config, load_pretrained, num_classes=0)
        mean, deviation = pixel_statistics(config) if config.pretrained else ((0.5,) * 3, (0.5,) * 3)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", 255 * torch.tensor(deviation).reshape(1, 3, 1, 1), persistent=False)
        if self.by_attention:
            with torch.no_grad():
                shape = self.backbone.eval()(torch.zeros(1, 3, image_size, image_size))[0].shape
            self.backbone.train()
            c = config.width
            self.tokens = nn.Linear(shape[1], c)
            self.positions = nn.Parameter(torch.randn(1, shape[2] * shape[3], c) * 0.02)
            self.blocks = nn.ModuleList(
                [TransformerBlock(c, config.heads, config.dropout) for _ in range(config.blocks)]
            )
            self.pool = AttentionPool(c, config.heads, dim)
        else:
            width = num_features(self.backbone)
            self.project: nn.Module = nn.Identity() if width == dim else nn.Linear(width, dim)

    def embed(self, pixels_BCHW: Tensor) -> Tensor:
        """Pixels as floats in [0, 255], channels first -> embedding [B, D]."""
        features: Any = self.backbone((pixels_BCHW - self.mean) / self.scale)
        if not self.by_attention:
            embedding: Tensor = self.project(features)
            return embedding
        x = self.tokens(features[0].flatten(2).transpose(1, 2)) + self.positions
        mask_BT = torch.ones_like(x[:, :, 0])
        for block in self.blocks:
            x = block(x, mask_BT)
        pooled: Tensor = self.pool(x, mask_BT)
        return pooled

    def forward(self, pixels_BHWC: Tensor) -> Tensor:
        return self.embed(pixels_BHWC.permute(0, 3, 1, 2).to(torch.float32))
