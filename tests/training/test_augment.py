"""Augmentations: shapes stay, the seed decides all, off means untouched, masks stay within bounds."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from indexer.media import decode_image
from training.augment import Draws, add_noise, colour, crop_or_pad, distort, random_pad, spec_augment, warp
from training.cache import cache_spec
from training.preset import ImageAugment, Media, SpeechAugment
from training.towers.features import Features
from training.towers.speech import AugmentedFeatures

FEATURES = torch.rand(6, 50, 24, generator=torch.Generator().manual_seed(0)) + 1
MASK = (torch.arange(50)[None, :] < torch.tensor([50, 40, 30, 20, 10, 50])[:, None]).float()
PIXELS = torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 255

Distort = Callable[[Tensor, Draws], Tensor]
SPEECH: dict[str, Distort] = {
    "noise": lambda x, d: add_noise(x, torch.ones_like(x[:, :, 0]), (0.0, 20.0), 1.0, d),
    "warp": lambda x, d: warp(x, 0.1, 0.2, d),
    "pad": lambda x, d: random_pad(x, torch.ones_like(x[:, :, 0]).cumsum(1).le(9).float(), d)[0],
    "masks": lambda x, d: spec_augment(x, 8, 20, 2, d),
}
IMAGE: dict[str, Distort] = {
    "crop": lambda x, d: crop_or_pad(x, torch.full((len(x),), 1.3), 0.5, 1.3, True, d),
    "colour": lambda x, d: colour(x, 0.3, 0.5, d),
}


def seeded(seed: int, count: int = 6) -> Draws:
    return Draws(seed, count, slice(0, count))


@pytest.mark.parametrize("name", [*SPEECH, *IMAGE])
def test_shape_stays_and_the_seed_decides(name: str) -> None:
    distort, inputs = (SPEECH[name], FEATURES) if name in SPEECH else (IMAGE[name], PIXELS)
    before = inputs.clone()
    first, again, other = (distort(inputs, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == inputs.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, inputs)
    assert first.isfinite().all()
    assert torch.equal(inputs, before)


def test_a_clip_lies_anywhere_among_the_frames_whole_and_in_order() -> None:
    lengths = torch.tensor([1, 20, 49, 50, 30, 40] * 200)
    mask = (torch.arange(50)[None, :] < lengths[:, None]).float()
    clips = torch.arange(1.0, 51)[None, :, None].repeat(1200, 1, 3) * mask[:, :, None]
    moved, moved_mask = random_pad(clips, mask, seeded(1, 1200))
    starts = moved_mask.argmax(dim=1)
    for i, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        assert torch.equal(moved[i, start : start + length], clips[i, :length])
        assert moved[i].count_nonzero() == 3 * length
        assert moved_mask[i].sum() == moved_mask[i, start : start + length].sum() == length
    for length, most in ((1, 49), (20, 30), (49, 1), (50, 0)):
        found = starts[lengths == length]
        assert (int(found.min()), int(found.max())) == (0, most)
        assert found.float().mean() == pytest.approx(most / 2, abs=3.5)


@pytest.mark.parametrize("name", [*SPEECH, *IMAGE])
def test_the_result_is_where_the_input_is(name: str) -> None:
    """What is drawn on the CPU must follow: the device "meta" refuses to mix, as CUDA does."""
    distort, inputs = (SPEECH[name], FEATURES) if name in SPEECH else (IMAGE[name], PIXELS)
    assert distort(inputs.to("meta"), seeded(1)).device.type == "meta"


@pytest.mark.parametrize("name", [*SPEECH, *IMAGE])
def test_a_row_is_distorted_alike_whichever_rows_are_beside_it(name: str) -> None:
    distort, inputs = (SPEECH[name], FEATURES) if name in SPEECH else (IMAGE[name], PIXELS)
    whole = distort(inputs, seeded(1))
    for rows in (slice(0, 2), slice(2, 6), slice(5, 6)):
        torch.testing.assert_close(distort(inputs[rows], Draws(1, 6, rows)), whole[rows])


def test_bounds_of_nothing_change_nothing() -> None:
    assert torch.equal(add_noise(FEATURES, MASK, (0.0, 20.0), 0.0, seeded(1)), FEATURES)
    torch.testing.assert_close(warp(FEATURES, 0.0, 0.0, seeded(1)), FEATURES, atol=1e-4, rtol=0)
    assert torch.equal(spec_augment(FEATURES, 8, 20, 0, seeded(1)), FEATURES)
    assert torch.equal(spec_augment(FEATURES, 0, 0, 3, seeded(1)), FEATURES)
    torch.testing.assert_close(
        crop_or_pad(PIXELS, torch.ones(6), 1.0, 1.0, False, seeded(1)), PIXELS, atol=1e-2, rtol=0
    )
    torch.testing.assert_close(colour(PIXELS, 0.0, 0.0, seeded(1)), PIXELS, atol=1e-3, rtol=0)


def test_masks_are_one_span_of_each_axis_within_bounds() -> None:
    widths: dict[str, list[int]] = {"time": [], "frequency": []}
    for seed in range(40):
        kept = spec_augment(torch.ones(6, 50, 24), 8, 20, 1, seeded(seed))
        for clip in kept:
            frames, bands = clip.amax(dim=1) == 0, clip.amax(dim=0) == 0
            widths["time"].append(int(frames.sum()))
            widths["frequency"].append(int(bands.sum()))
            for masked in (frames, bands):
                edges = torch.diff(masked.int()).abs().sum()
                assert edges <= 2  # one piece
            assert torch.equal(clip == 0, frames[:, None] | bands[None, :])
    assert (max(widths["time"]), max(widths["frequency"])) == (20, 8)
    assert sum(widths["time"]) / len(widths["time"]) == pytest.approx(10, abs=1.5)
    assert sum(widths["frequency"]) / len(widths["frequency"]) == pytest.approx(4, abs=0.7)


def test_a_mask_wider_than_the_clip_is_the_clip() -> None:
    assert spec_augment(torch.ones(4, 5, 24), 0, 500, 1, seeded(3, 4)).sum(dim=(1, 2)).min() == 0


def test_noise_has_the_ratio_that_is_asked_for() -> None:
    """Power added over the clip's own frames, with the tilt evened out over many draws."""
    log_mel = torch.zeros(400, 30, 16)
    noisy = add_noise(log_mel, torch.ones(400, 30), (10.0, 10.0), 1.0, seeded(1, 400))
    added = noisy.exp() - 1
    # The tilt is e^U[-2, 1] at the top band and its inverse at the bottom: next to none in the middle.
    assert 10 * added[:, :, 7:9].mean().log10() == pytest.approx(-10, abs=0.1)


def test_noise_is_measured_on_the_clip_and_not_on_its_padding() -> None:
    alone = add_noise(FEATURES[:, :20], torch.ones(6, 20), (5.0, 5.0), 1.0, seeded(1))
    padded = torch.cat([FEATURES[:, :20], torch.full((6, 30, 24), -13.8)], dim=1)
    mask = (torch.arange(50) < 20).float()[None].repeat(6, 1)
    together = add_noise(padded, mask, (5.0, 5.0), 1.0, seeded(1))
    torch.testing.assert_close(alone, together[:, :20])


def test_noise_falls_on_the_share_of_clips() -> None:
    log_mel = torch.zeros(1000, 3, 4)
    touched = add_noise(log_mel, torch.ones(1000, 3), (0.0, 20.0), 0.3, seeded(1, 1000)).amax(dim=(1, 2)) > 0
    assert touched.float().mean() == pytest.approx(0.3, abs=0.05)


def test_warping_keeps_the_start_and_the_low_edge() -> None:
    ramp = torch.arange(50.0)[None, :, None].repeat(64, 1, 24)
    stretched = warp(ramp, 0.0, 0.2, seeded(1, 64))
    torch.testing.assert_close(stretched[:, 0], ramp[:, 0], atol=1e-3, rtol=0)
    speeds = (stretched[:, 20, 0] - stretched[:, 10, 0]) / 10
    assert speeds.min() >= 0.8 - 1e-3
    assert speeds.max() <= 1.2 + 1e-3
    assert speeds.max() - speeds.min() > 0.2


def test_a_crop_covers_the_share_of_the_picture() -> None:
    """On a picture whose value is its own coordinate, the window's side is the spread of what it shows."""
    line = (torch.arange(200) + 0.5) / 200
    pixels = line[None, None, None, :].repeat(300, 3, 200, 1)
    shown = crop_or_pad(pixels, torch.ones(300), 0.67, 1.0, False, seeded(1, 300))
    sides = shown[:, 0, 0, -1] - shown[:, 0, 0, 0]
    assert sides.min() >= 0.67**0.5 - 0.02
    assert sides.max() <= 1.0
    padded = crop_or_pad(pixels, torch.ones(300), 1.0, 1.22, False, seeded(1, 300))
    assert padded.min() >= line[0] - 1e-5  # beyond the edge comes the edge, not black
    edge = (padded[:, 0, 0] < 0.004).float().sum(dim=1)
    assert edge.max() <= 200 * 0.22


def spans(shown: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of pixels that hold their own place (red from left to right, green downwards): how much of each axis is
    seen, and how much a full window would see of an axis without end."""
    across, along = shown[:, 0, 0], shown[:, 1, :, 0]
    seen = [line[:, -1] - line[:, 0] for line in (across, along)]
    sides = [torch.diff(line, dim=1).amax(dim=1) * line.shape[1] for line in (across, along)]
    return seen[0], seen[1], sides[0], sides[1]


@pytest.mark.parametrize("aspect", [0.5, 0.75, 1.0, 1.33, 1.78])
def test_windows_are_square_and_cover_two_thirds_of_the_original(aspect: float) -> None:
    """The pixels are a whole picture of that aspect, squashed; no one ever sees it so."""
    line = (torch.arange(200) + 0.5) / 200
    place = torch.stack([line.expand(200, 200), line.expand(200, 200).T, torch.zeros(200, 200)])
    shown = crop_or_pad(
        place.repeat(300, 1, 1, 1), torch.full((300,), aspect), 0.67, 1.22, False, seeded(1, 300)
    )
    seen_across, seen_along, across, along = spans(shown)
    covered = seen_across * seen_along
    assert covered.min() >= 0.67 - 0.02
    assert covered.max() > 0.82
    torch.testing.assert_close(across * aspect, along, rtol=0.03, atol=0)
    area = across * along  # of the window, in pictures
    assert area.max() == pytest.approx(1.22**2, rel=0.05)


@pytest.mark.parametrize(("width", "height", "fraction"), [(60, 40, 1.0), (40, 60, 1.0), (50, 50, 0.8)])
def test_without_windows_a_picture_is_seen_as_in_evaluation(width: int, height: int, fraction: float) -> None:
    smooth = np.stack(np.meshgrid(np.linspace(20, 230, width), np.linspace(20, 230, height)), axis=2)
    array = np.concatenate([smooth, np.full((height, width, 1), 90.0)], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    media = Media(max_seconds=1, image_size=32, resize="shortest", crop="center", crop_fraction=fraction)
    expected = decode_image(buffer.getvalue(), media.spec()).array
    whole = decode_image(buffer.getvalue(), cache_spec(media.spec()))
    pixels = torch.from_numpy(whole.array).permute(2, 0, 1)[None].float()
    aspect = torch.tensor([whole.source_width / whole.source_height])
    shown = distort(pixels, aspect, ImageAugment(), media, seeded(1, 1))[0].permute(1, 2, 0)
    assert np.abs(shown.numpy() - expected).max() < 4
    squashed = media.model_copy(update={"resize": "squash", "crop": "none", "crop_fraction": 1.0})
    assert torch.equal(distort(pixels, aspect, ImageAugment(), squashed, seeded(1, 1)), pixels)


def test_flips_mirror_about_half_of_the_pictures() -> None:
    line = torch.arange(20.0)[None, None, None, :].repeat(400, 3, 20, 1)
    flipped = crop_or_pad(line, torch.ones(400), 1.0, 1.0, True, seeded(1, 400))[:, 0, 0]
    mirrored = flipped[:, 0] > flipped[:, -1]
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.08)


def test_colours_stay_within_their_bounds() -> None:
    grey = torch.full((500, 3, 2, 2), 100.0)
    factors = colour(grey, 0.25, 0.9, seeded(1, 500))[:, 0, 0, 0] / 100
    assert factors.min() >= 0.75 - 1e-4
    assert factors.max() <= 1.25 + 1e-4
    bright = colour(torch.full((9, 3, 2, 2), 250.0), 0.5, 0.0, seeded(1, 9))
    assert bright.max() <= 255


def test_augmented_features_are_plain_ones_outside_training() -> None:
    features = Features("log-mel", 24, 512).eval()
    strong = SpeechAugment(
        frequency_mask=8, time_mask=9, masks=1, warp_frequency=0.1, warp_time=0.1, noise_share=1
    )
    front = AugmentedFeatures(features, strong)
    waveform, valid = torch.randn(2, 6000), torch.tensor([6000, 5000])
    plain = features(waveform, valid)
    front.draws = seeded(1, 2)
    front.train()
    assert not torch.equal(front(waveform, valid)[0], plain[0])
    front.eval()
    assert all(torch.equal(a, b) for a, b in zip(front(waveform, valid), plain, strict=True))
    unset = AugmentedFeatures(features, strong).train()
    torch.testing.assert_close(unset(waveform, valid)[0], plain[0], atol=1e-4, rtol=0)  # by FFT
    off = AugmentedFeatures(features, SpeechAugment()).train()
    off.draws = seeded(1, 2)
    assert torch.equal(off(waveform, valid)[0], unset(waveform, valid)[0])
