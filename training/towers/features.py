"""Waveform -> log-mel or MFCC frames, inside the graph: the only acoustic front end there is.

What is exported is matrix products alone, so it becomes MatMul in ONNX (no STFT operator, which ONNX Runtime
lacks on CUDA), and masked by the clip's own length, so padding a batch changes nothing. Fitting takes the
same spectra from an FFT, more than three times as fast on a CPU.

Shape legend: B batch, S samples, T frames, M mel bands or coefficients, F frequency bins, W samples of
a window.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LOG_FLOOR = 1e-6
"""Added to mel energies before the logarithm; about -60 dB below a full-scale band."""


def mel_filters(
    bands: int, fft_size: int, sample_rate_hz: int, low_hz: float = 0.0, high_hz: float | None = None
) -> NDArray[np.float64]:
    """Triangular filters on the HTK mel scale (2595 log10(1 + f/700)), peak 1, as [F, bands].

    Raises ValueError when a filter would be empty: a band that no bin falls into carries no signal at all.
    """
    high = sample_rate_hz / 2 if high_hz is None else high_hz
    edges_mel = np.linspace(2595 * np.log10(1 + low_hz / 700), 2595 * np.log10(1 + high / 700), bands + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.fft.rfftfreq(fft_size, 1 / sample_rate_hz)
    rise = (bins_hz[:, None] - edges_hz[:-2]) / (edges_hz[1:-1] - edges_hz[:-2])
    fall = (edges_hz[2:] - bins_hz[:, None]) / (edges_hz[2:] - edges_hz[1:-1])
    filters = np.maximum(0.0, np.minimum(rise, fall))
    empty = int((filters.sum(axis=0) == 0).sum())
    if empty:
        raise ValueError(
            f"{bands} mel bands over an FFT of {fft_size} leave {empty} bands empty; "
            "use a larger FFT or fewer bands"
        )
    return np.asarray(filters)


def dct_matrix(size: int) -> NDArray[np.float64]:
    """Orthonormal DCT-II as [size, size]; x @ matrix gives coefficients in the last axis."""
    n = np.arange(size)
    basis = np.cos(math.pi / size * (n[:, None] + 0.5) * n[None, :]) * math.sqrt(2 / size)
    basis[:, 0] /= math.sqrt(2)
    return np.asarray(basis)


def frame_mask(frames_valid_B: Tensor, frames: int) -> Tensor:
    """[B, frames] float, 1 where a frame belongs to the clip."""
    positions = torch.arange(frames, device=frames_valid_B.device)
    return (positions[None, :] < frames_valid_B[:, None]).to(torch.float32)


class Features(nn.Module):
    """20 ms windows every 10 ms (Ilharco et al. 2019), Hann, zero-padded to `fft_size`, power, mel, log.

    kind "mfcc" rotates the log-mel bands by an orthonormal DCT-II, all coefficients kept; "log-mel" does not.
    Each band is then centred and scaled over the clip's own frames, so level and channel do not matter.
    """

    def __init__(
        self,
        kind: Literal["mfcc", "log-mel"],
        bands: int,
        fft_size: int = 1024,
        sample_rate_hz: int = 16_000,
        window_seconds: float = 0.02,
        hop_seconds: float = 0.01,
    ) -> None:
        super().__init__()
        self.window = round(window_seconds * sample_rate_hz)
        self.hop = round(hop_seconds * sample_rate_hz)
        if self.window % self.hop:
            raise ValueError(
                f"the window ({self.window} samples) must be a multiple of the hop ({self.hop} samples)"
            )
        if fft_size < self.window:
            raise ValueError(f"an FFT of {fft_size} is shorter than the window of {self.window} samples")
        self.kind = kind
        self.bands = bands
        n, k = np.arange(self.window), np.arange(fft_size // 2 + 1)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / self.window)
        self.fft_size = fft_size
        self.hann: Tensor
        self.register_buffer("hann", torch.tensor(hann, dtype=torch.float32), persistent=False)
        angle = 2 * np.pi * n[:, None] * k[None, :] / fft_size
        fourier = np.concatenate([np.cos(angle), -np.sin(angle)], axis=1) * hann[:, None]
        self.fourier: Tensor
        self.mel: Tensor
        self.dct: Tensor
        self.register_buffer("fourier", torch.tensor(fourier, dtype=torch.float32), persistent=False)
        mel = mel_filters(bands, fft_size, sample_rate_hz)
        self.register_buffer("mel", torch.tensor(mel, dtype=torch.float32), persistent=False)
        self.register_buffer("dct", torch.tensor(dct_matrix(bands), dtype=torch.float32), persistent=False)

    def frames_valid(self, samples_valid_B: Tensor) -> Tensor:
        """Whole windows that fit into each clip, at least one."""
        return torch.clamp((samples_valid_B - self.window) // self.hop + 1, min=1)

    def log_mel(self, waveform_BS: Tensor, samples_valid_B: Tensor) -> tuple[Tensor, Tensor]:
        """waveform [B, S] in [-1, 1] -> log-mel [B, T, M], mask [B, T]; T = S // hop - window // hop + 1.

        S holds one window at least. Nothing is padded: 3.5 s at 16 kHz give 349 frames.
        """
        inside = (
            torch.arange(waveform_BS.shape[1], device=waveform_BS.device)[None, :] < samples_valid_B[:, None]
        )
        waveform_BS = waveform_BS * inside.to(waveform_BS.dtype)
        parts = self.window // self.hop
        hops = waveform_BS.shape[1] // self.hop
        blocks = waveform_BS[:, : hops * self.hop].reshape(waveform_BS.shape[0], hops, self.hop)
        frames = torch.cat([blocks[:, i : hops - parts + 1 + i] for i in range(parts)], dim=2)
        log_mel_BTM = torch.log(self._power(frames) @ self.mel + LOG_FLOOR)
        return log_mel_BTM, frame_mask(self.frames_valid(samples_valid_B), hops - parts + 1)

    def _power(self, frames_BTW: Tensor) -> Tensor:
        """Windows of samples [B, T, W] -> power spectra [B, T, F]."""
        if self.training:
            spectrum = torch.fft.rfft(frames_BTW * self.hann, self.fft_size)
            real, imaginary = torch.view_as_real(spectrum).unbind(3)
        else:
            real, imaginary = (frames_BTW @ self.fourier).chunk(2, dim=2)
        return real * real + imaginary * imaginary

    def finish(self, log_mel_BTM: Tensor, mask_BT: Tensor) -> Tensor:
        """log-mel -> features [B, T, M]: rotated if MFCC, bands normalised over the clip, zero outside."""
        features = log_mel_BTM @ self.dct if self.kind == "mfcc" else log_mel_BTM
        weight = mask_BT[:, :, None]
        count = weight.sum(dim=1, keepdim=True)
        mean = (features * weight).sum(dim=1, keepdim=True) / count
        centred = (features - mean) * weight
        scale = torch.sqrt((centred * centred).sum(dim=1, keepdim=True) / count + 1e-2)
        return centred / scale

    def forward(self, waveform_BS: Tensor, samples_valid_B: Tensor) -> tuple[Tensor, Tensor]:
        """waveform [B, S], samples_valid [B] -> features [B, T, M], mask [B, T]."""
        log_mel_BTM, mask_BT = self.log_mel(waveform_BS, samples_valid_B)
        return self.finish(log_mel_BTM, mask_BT), mask_BT
