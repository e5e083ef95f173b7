"""Training-time distortions: SpecAugment, voice warps, noise, crops, colour. Nothing here is ever exported.

All act on several rows of a batch at once and change no shapes. Their numbers are drawn on the CPU, a row's
own whichever rows are beside it: a seed means the same distortions on every device and in every split of the
batch. Shape legend: B rows, T frames, M bands, H W picture size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.preset import ImageAugment, Media


class Draws:
    """Uniform numbers for some rows of a batch of `count`, from a seed."""

    def __init__(self, seed: int, count: int, rows: slice) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._count, self._rows = count, rows

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """A number of [low, high) for each of the rows, drawn for the whole batch: it may be split."""
        return (torch.rand(self._count, generator=self._generator) * (high - low) + low)[self._rows]


def distort(
    pixels_BCHW: Tensor, aspect_B: Tensor, augment: ImageAugment, media: Media, draws: Draws
) -> Tensor:
    """What the preset asks for, on whole pictures made square by squashing; pixels in [0, 255].

    Where it asks for no windows, they are seen as in evaluation. `aspect` is as in `crop_or_pad`.
    """
    a = augment
    if media.resize == "squash":
        aspect_B = torch.ones_like(aspect_B)
    if a.min_area < 1 or a.max_zoom_out > 1 or a.flip:
        pixels_BCHW = crop_or_pad(pixels_BCHW, aspect_B, a.min_area, a.max_zoom_out, a.flip, draws)
    elif media.crop == "center":
        still, unmirrored = torch.zeros_like(aspect_B), torch.ones_like(aspect_B)
        side = unmirrored * media.crop_fraction
        pixels_BCHW = _windows(pixels_BCHW, aspect_B, side, still, still, unmirrored)
    if a.brightness or a.saturation:
        pixels_BCHW = colour(pixels_BCHW, a.brightness, a.saturation, draws)
    return pixels_BCHW


def add_noise(
    log_mel_BTM: Tensor,
    mask_BT: Tensor,
    snr_db: tuple[float, float],
    share: float,
    draws: Draws,
) -> Tensor:
    """Stationary noise on a share of the clips, at a random ratio to the clip's mean power and a random tilt.

    Powers of independent signals add, so the noise is added to each band's power; no waveform has to be
    drawn. The ratio is drawn from `snr_db` (lowest, highest); frames outside the mask do not count.
    """
    bands = log_mel_BTM.shape[2]
    device = log_mel_BTM.device
    weight = mask_BT[:, :, None]
    power = (log_mel_BTM.exp() * weight).sum(dim=(1, 2)) / (weight.sum(dim=(1, 2)) * bands)
    level = power.log() - draws.uniform(*snr_db).to(device) * math.log(10) / 10
    tilt = draws.uniform(-2.0, 1.0)[:, None] * torch.linspace(-1, 1, bands)[None, :]
    chosen = (draws.uniform() < share)[:, None, None].to(device)
    noisy = torch.logaddexp(log_mel_BTM, (level[:, None] + tilt.to(device))[:, None, :])
    return torch.where(chosen, noisy, log_mel_BTM)


def warp(log_mel_BTM: Tensor, frequency: float, time: float, draws: Draws) -> Tensor:
    """Stretch each clip's frequency axis (another vocal tract) and time axis by random factors.

    The factors lie within 1 +- the bounds. The time axis is stretched about its start and what leaves the
    clip is lost, so the mask stays as it was.
    """
    count = log_mel_BTM.shape[0]
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = draws.uniform(1 - frequency, 1 + frequency)
    theta[:, 1, 1] = draws.uniform(1 - time, 1 + time)
    theta[:, 0, 2] = theta[:, 0, 0] - 1  # keep the low edge in place
    theta[:, 1, 2] = theta[:, 1, 1] - 1  # keep the start in place
    theta = theta.to(log_mel_BTM.device)
    grid = functional.affine_grid(theta, [count, 1, *log_mel_BTM.shape[1:]], align_corners=True)
    image = log_mel_BTM[:, None]
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=True)[:, 0]


def random_pad(features_BTM: Tensor, mask_BT: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Each clip, and its mask, at a random place among the frames: padding before it as well as behind.

    Clips begin at frame 0 and what is outside their mask is zero.
    """
    frames = mask_BT.shape[1]
    spare = frames - mask_BT.sum(dim=1)
    start = (draws.uniform().to(mask_BT.device) * (spare + 1)).floor().clamp(max=spare)
    position = torch.arange(frames, device=mask_BT.device)[None, :]
    source_BT = (position - start[:, None]).remainder(frames).long()
    moved_BTM = features_BTM.gather(1, source_BT[:, :, None].expand_as(features_BTM))
    return moved_BTM, mask_BT.gather(1, source_BT)


def spec_augment(
    features_BTM: Tensor, frequency_mask: int, time_mask: int, masks: int, draws: Draws
) -> Tensor:
    """Zero `masks` bands of width U[0, frequency_mask] and `masks` spans of U[0, time_mask] frames.

    Park et al. 2019, without the time warp.
    """
    _, frames, bands = features_BTM.shape
    keep_BTM = torch.ones_like(features_BTM)
    for _ in range(masks):
        for size, width, axis in ((frames, time_mask, 1), (bands, frequency_mask, 2)):
            span = draws.uniform(0, width)
            start = draws.uniform() * (size - span).clamp(min=0)
            position = torch.arange(size)[None, :]
            keep = 1 - ((position >= start[:, None]) & (position < (start + span)[:, None])).float()
            keep = keep.to(features_BTM.device)
            keep_BTM = keep_BTM * (keep[:, :, None] if axis == 1 else keep[:, None, :])
    return features_BTM * keep_BTM


def crop_or_pad(
    pixels_BCHW: Tensor,
    aspect_B: Tensor,
    min_area: float,
    max_zoom_out: float,
    flip: bool,
    draws: Draws,
) -> Tensor:
    """Random square window of each picture: it covers at least `min_area` of it, or reaches past its edges.

    `aspect` (of the CPU) is the picture's width by its height; the pixels are the whole of it, squashed, and
    the window is square where it was not. Its side is at most `max_zoom_out` times the root of the picture's
    area. Past the edges the border is repeated (paper: at least 67 % of the area covered).
    """
    # A window as large as the shorter side covers `most`; up to there both axes count, beyond it one.
    most = torch.minimum(aspect_B, 1 / aspect_B)
    low = torch.where(most < min_area, min_area / most, (min_area / most).sqrt())
    side = low + draws.uniform() * (max_zoom_out / most.sqrt() - low).clamp(min=0)
    right, down = draws.uniform(-1, 1), draws.uniform(-1, 1)
    mirror = torch.ones_like(side)
    if flip:
        mirror = torch.where(draws.uniform() < 0.5, -1.0, 1.0)
    return _windows(pixels_BCHW, aspect_B, side, right, down, mirror)


def _windows(
    pixels_BCHW: Tensor, aspect_B: Tensor, side_B: Tensor, right_B: Tensor, down_B: Tensor, mirror_B: Tensor
) -> Tensor:
    """Windows whose side is in units of the shorter one; right and down in [-1, 1], from edge to edge."""
    across, along = side_B * (1 / aspect_B).clamp(max=1), side_B * aspect_B.clamp(max=1)
    theta = torch.zeros(len(side_B), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = across * mirror_B, right_B * (1 - across).abs()
    theta[:, 1, 1], theta[:, 1, 2] = along, down_B * (1 - along).abs()
    grid = functional.affine_grid(theta.to(pixels_BCHW.device), list(pixels_BCHW.shape), align_corners=False)
    return functional.grid_sample(pixels_BCHW, grid, padding_mode="border", align_corners=False)


def colour(pixels_BCHW: Tensor, brightness: float, saturation: float, draws: Draws) -> Tensor:
    """Random brightness and saturation factors within 1 +- the bounds; pixels in [0, 255], clamped."""
    device = pixels_BCHW.device
    bright = draws.uniform(1 - brightness, 1 + brightness)[:, None, None, None].to(device)
    vivid = draws.uniform(1 - saturation, 1 + saturation)[:, None, None, None].to(device)
    grey = pixels_BCHW.mean(dim=1, keepdim=True)
    return (((pixels_BCHW - grey) * vivid + grey) * bright).clamp(0, 255)
