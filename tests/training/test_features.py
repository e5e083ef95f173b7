"""The acoustic front end against an independent computation in NumPy: FFT, mel filters, DCT by definition."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.preset_file import load_preset, shipped
from training.towers.features import LOG_FLOOR, Features, mel_filters

RATE = 16_000
Kind = Literal["mfcc", "log-mel"]


def voice(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Something with harmonics that moves, in noise."""
    time = np.arange(samples) / RATE
    pitch = 140 + 30 * np.sin(2 * np.pi * 1.3 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(n * phase) / n for n in range(1, 25)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time))
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (0.1 * tone + 0.02 * noise).astype(np.float32)


def slow_features(
    waveform: NDArray[np.float32], kind: Kind, bands: int, fft_size: int
) -> NDArray[np.float64]:
    """20 ms Hann windows every 10 ms, power of a real FFT, triangles on the HTK mel scale, log, DCT-II."""
    window, hop = 320, 160
    hann = 0.5 * (1 - np.cos(2 * np.pi * np.arange(window) / window))
    top = 1127 * np.log(1 + RATE / 2 / 700)
    corners = [700 * (np.exp(top * i / (bands + 1) / 1127) - 1) for i in range(bands + 2)]
    frequencies = np.arange(fft_size // 2 + 1) * RATE / fft_size
    rows = []
    for start in range(0, len(waveform) - window + 1, hop):
        spectrum = np.fft.rfft(waveform[start : start + window].astype(np.float64) * hann, fft_size)
        power = np.abs(spectrum) ** 2
        mel = []
        for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
            triangle = np.interp(frequencies, [low, middle, high], [0, 1, 0], left=0, right=0)
            mel.append(np.log((triangle * power).sum() + LOG_FLOOR))
        if kind == "mfcc":
            mel = [
                np.sqrt((1 if k == 0 else 2) / bands)
                * sum(mel[n] * np.cos(np.pi * k * (2 * n + 1) / (2 * bands)) for n in range(bands))
                for k in range(bands)
            ]
        rows.append(mel)
    table = np.asarray(rows)
    return np.asarray((table - table.mean(axis=0)) / np.sqrt(table.var(axis=0) + 1e-2))


@pytest.mark.parametrize(
    ("kind", "bands", "fft_size"), [("mfcc", 128, 1024), ("log-mel", 64, 1024), ("log-mel", 64, 512)]
)
@pytest.mark.parametrize("fitting", [False, True])
def test_features_are_what_the_definition_gives(kind: Kind, bands: int, fft_size: int, fitting: bool) -> None:
    waveform = voice(RATE // 2 + 37)
    features = Features(kind, bands, fft_size).train(fitting)
    ours, mask = features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    expected = slow_features(waveform, kind, bands, fft_size)
    assert ours.shape == (1, *expected.shape)
    assert mask.all()
    # float32 sums of 320 products against float64
    np.testing.assert_allclose(ours[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(("seconds", "frames"), [(3.5, 349), (8.0, 799), (0.02, 1), (0.1, 9)])
def test_frames_are_not_padded(seconds: float, frames: int) -> None:
    samples = round(seconds * RATE)
    features, mask = Features("mfcc", 40)(torch.randn(1, samples), torch.tensor([samples]))
    assert features.shape == (1, frames, 40)
    assert mask.shape == (1, frames)


@pytest.mark.parametrize("name", shipped())
def test_no_shipped_preset_has_an_empty_filter(name: str) -> None:
    preset = load_preset(name)
    filters = mel_filters(preset.speech.bands, preset.speech.fft_size, preset.media.sample_rate_hz)
    assert (filters.sum(axis=0) > 0).all()


def test_bands_that_would_be_empty_are_refused() -> None:
    assert (mel_filters(128, 1024, RATE).sum(axis=0) > 0).all()
    with pytest.raises(ValueError, match=r"128 mel bands over an FFT of 512 leave 1 bands empty"):
        mel_filters(128, 512, RATE)
    with pytest.raises(ValueError, match=r"128 mel bands over an FFT of 320 leave 8 bands empty"):
        Features("mfcc", 128, 320)


def test_what_is_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="an FFT of 256 is shorter than the window of 320 samples"):
        Features("mfcc", 20, 256)
    with pytest.raises(ValueError, match="must be a multiple of the hop"):
        Features("mfcc", 20, window_seconds=0.025)


@pytest.mark.parametrize("fitting", [False, True])
@pytest.mark.parametrize("kind", ["mfcc", "log-mel"])
def test_padding_changes_nothing(kind: Kind, fitting: bool) -> None:
    features = Features(kind, 40).train(fitting)
    lengths = [1600, 1759, 1760, 4321, 12_000]
    padded = torch.zeros(len(lengths), 16_000)
    for row, length in zip(padded, lengths, strict=True):
        row[:length] = torch.from_numpy(voice(length, length))
        row[length:] = 0.3 * torch.randn(16_000 - length)  # whatever is behind a clip is none of its own
    together, mask = features(padded, torch.tensor(lengths))
    for i, length in enumerate(lengths):
        alone, _ = features(torch.from_numpy(voice(length, length))[None], torch.tensor([length]))
        frames = alone.shape[1]
        assert mask[i].sum() == frames == (length - 320) // 160 + 1
        torch.testing.assert_close(together[i, :frames], alone[0], atol=1e-5, rtol=0)
        assert (together[i, frames:] == 0).all()


def test_the_level_of_a_clip_does_not_matter() -> None:
    features, waveform = Features("log-mel", 40).eval(), torch.from_numpy(voice(8000))[None] * 3
    loud, _ = features(waveform, torch.tensor([8000]))
    soft, _ = features(waveform / 3, torch.tensor([8000]))
    torch.testing.assert_close(loud, soft, atol=0.02, rtol=0)


def test_silence_stays_finite() -> None:
    features, _ = Features("mfcc", 40).eval()(torch.zeros(1, 4000), torch.tensor([4000]))
    assert (features.abs() < 1e-3).all()
