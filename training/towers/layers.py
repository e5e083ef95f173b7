"""Masked building blocks of the compact towers. What lies outside the mask never reaches what lies inside.

Shape legend: B batch, T sequence length, C channels, H heads, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MASKED = -1e4
"""Added to attention scores outside the mask; finite, so that half precision survives it."""


class MaskedConv(nn.Module):
    """Conv1d -> BatchNorm -> GELU over time, zeroed outside the mask: a padded clip sees what it sees alone.

    An odd kernel and a stride of 1 or 2 keep ceil(T / stride) steps, for the clip as for its batch.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x_BCT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        if self.stride > 1:
            mask_BT = mask_BT[:, :: self.stride]
        return functional.gelu(self.norm(self.conv(x_BCT))) * mask_BT[:, None, :], mask_BT


class ResidualConv(nn.Module):
    """x + MaskedConv(x), stride 1."""

    def __init__(self, channels: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.body = MaskedConv(channels, channels, kernel, groups=groups)

    def forward(self, x_BCT: Tensor, mask_BT: Tensor) -> Tensor:
        y_BCT: Tensor = self.body(x_BCT, mask_BT)[0]
        return x_BCT + y_BCT


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward over tokens [B, T, C] with mask [B, T]."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.feed = nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels, channels),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
        batch, steps, channels = x_BTC.shape
        qkv = self.qkv(self.norm_1(x_BTC)).reshape(batch, steps, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        scores_BHTT = query @ key.transpose(2, 3) * (channels // self.heads) ** -0.5
        scores_BHTT = scores_BHTT + (1 - mask_BT)[:, None, None, :] * MASKED
        mixed = (scores_BHTT.softmax(dim=3) @ value).transpose(1, 2).reshape(batch, steps, channels)
        x_BTC = x_BTC + self.dropout(self.out(mixed))
        fed_BTC: Tensor = self.dropout(self.feed(self.norm_2(x_BTC)))
        return x_BTC + fed_BTC


class AttentionPool(nn.Module):
    """Tokens [B, T, C] -> one vector [B, D]: each head weighs the steps by itself, a linear map joins them.

    Heads can attend to different words (or objects); their places in the vector keep apart what a mean would
    blur. The mean over the steps is handed to the linear map as well.
    """

    def __init__(self, channels: int, heads: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.score = nn.Linear(channels, heads)
        self.value = nn.Linear(channels, channels)
        self.heads = heads
        self.out = nn.Linear(2 * channels, dim)

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
        batch, steps, channels = x_BTC.shape
        x_BTC = self.norm(x_BTC)
        scores_BTH = self.score(x_BTC) + (1 - mask_BT)[:, :, None] * MASKED
        weights_BHT = scores_BTH.softmax(dim=1).transpose(1, 2)
        value = self.value(x_BTC).reshape(batch, steps, self.heads, channels // self.heads).transpose(1, 2)
        pooled_BC = (weights_BHT[:, :, None, :] @ value).reshape(batch, channels)
        weight = mask_BT[:, :, None]
        mean_BC = (x_BTC * weight).sum(dim=1) / weight.sum(dim=1)
        embedding_BD: Tensor = self.out(torch.cat([pooled_BC, mean_BC], dim=1))
        return embedding_BD
