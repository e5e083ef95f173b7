"""Thumbnails and drawn waveforms, looked at pixel by pixel."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from indexer.media import (
    MediaError,
    MediaLimits,
    MediaSpec,
    Waveform,
    decode_image,
    decode_speech,
    draw_waveform,
    encode_thumbnail,
    sniff,
)
from tests.fixtures.encoded import picture_bytes, raw_png
from tests.fixtures.media_bytes import make_wav


def opened(data: bytes) -> Image.Image:
    assert sniff(data).mime == "image/webp"
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), (220, 30, 30))
    picture.paste((30, 30, 220), (width // 2, 0, width, height))
    return picture


class TestThumbnail:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ((1000, 500), (256, 128)),
            ((500, 1000), (128, 256)),
            ((256, 256), (256, 256)),
            ((40, 30), (40, 30)),
            ((5000, 1), (256, 1)),
        ],
    )
    def test_size(self, source: tuple[int, int], expected: tuple[int, int]) -> None:
        assert opened(encode_thumbnail(picture_bytes(halves(*source), "PNG"))).size == expected

    def test_another_size(self) -> None:
        assert opened(encode_thumbnail(picture_bytes(halves(1000, 500), "PNG"), size=64)).size == (64, 32)

    def test_it_shows_the_picture(self) -> None:
        shown = np.asarray(opened(encode_thumbnail(picture_bytes(halves(800, 600), "JPEG"))))
        assert np.abs(shown[96, 40].astype(int) - (220, 30, 30)).max() < 20
        assert np.abs(shown[96, 216].astype(int) - (30, 30, 220)).max() < 20

    def test_it_is_upright_and_carries_no_metadata(self) -> None:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "maker of the camera"
        data = encode_thumbnail(picture_bytes(halves(800, 600), "JPEG", exif=exif))
        thumbnail = opened(data)
        assert thumbnail.size == (192, 256)
        shown = np.asarray(thumbnail)
        assert shown[20, 96, 0] > 180
        assert shown[230, 96, 2] > 180
        assert not thumbnail.getexif()
        assert b"maker" not in data

    def test_transparency_is_white(self) -> None:
        thumbnail = opened(encode_thumbnail(picture_bytes(Image.new("RGBA", (300, 300)), "PNG")))
        assert thumbnail.mode == "RGB"
        assert np.asarray(thumbnail).min() >= 253

    def test_it_is_small_and_always_the_same(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
        data = picture_bytes(Image.fromarray(noise), "JPEG")
        assert len(encode_thumbnail(data)) < 40_000
        assert encode_thumbnail(data) == encode_thumbnail(data)

    def test_what_cannot_be_decoded_is_refused(self) -> None:
        for data, kind in (
            (b"", "empty"),
            (b"words", "unsupported"),
            (make_wav(), "unsupported"),
            (picture_bytes(halves(90, 90), "JPEG")[:500], "undecodable"),
            (raw_png(bytes(9), 50_000, 50_000, bits=8, colour=2), "too_large"),
        ):
            with pytest.raises(MediaError) as caught:
                encode_thumbnail(data)
            assert caught.value.kind == kind
        with pytest.raises(MediaError):
            encode_thumbnail(picture_bytes(halves(90, 90), "PNG"), MediaLimits(max_pixels=100))

    def test_a_thumbnail_can_be_decoded_itself(self) -> None:
        data = encode_thumbnail(picture_bytes(halves(800, 600), "PNG"))
        assert decode_image(data, MediaSpec()).source_width == 256


def waveform_of(samples: NDArray[np.float64]) -> Waveform:
    return Waveform(samples.astype(np.float32), 16000, len(samples) / 16000, False)


def bar_heights(data: bytes) -> NDArray[np.float64]:
    """Height in pixels of every bar, from the opacity of the column through its middle."""
    alpha = np.asarray(opened(data))[:, :, 3].astype(np.float64) / 255
    heights: NDArray[np.float64] = alpha.sum(axis=0)[2::5]
    return heights


class TestWaveform:
    TONE = np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)

    def test_size_and_transparency(self) -> None:
        picture = opened(draw_waveform(waveform_of(self.TONE)))
        assert (picture.size, picture.mode) == ((320, 64), "RGBA")
        alpha = np.asarray(picture)[:, :, 3]
        assert alpha[0, 0] == 0  # round ends leave the corners free
        assert alpha[:, 4::5].max() == 0  # and so do the gaps between bars
        assert alpha.max() == 255
        assert opened(draw_waveform(waveform_of(self.TONE), 100, 20)).size == (100, 20)

    def test_the_colour_reads_on_white_and_on_near_black(self) -> None:
        shown = np.asarray(opened(draw_waveform(waveform_of(self.TONE))))
        colour = shown[shown[:, :, 3] == 255][0, :3] / 255
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        luminance = float(linear @ [0.2126, 0.7152, 0.0722])
        for background in (1.0, 0.006):  # the contrast ratio of WCAG 2.2; graphics want 3
            lighter, darker = max(luminance, background), min(luminance, background)
            assert (lighter + 0.05) / (darker + 0.05) > 4

    def test_loud_is_high_and_quiet_is_low(self) -> None:
        heights = bar_heights(draw_waveform(waveform_of(self.TONE * np.linspace(0.02, 1, 32000))))
        assert len(heights) == 64
        assert (np.diff(heights) > -1).all()
        assert heights[-1] > 60
        assert heights[0] < 12

    def test_only_the_shape_counts_and_not_the_level(self) -> None:
        swell = self.TONE * np.linspace(0.02, 1, 32000)
        assert draw_waveform(waveform_of(swell)) == draw_waveform(waveform_of(swell / 4))

    def test_silence_inside_is_a_row_of_dots(self) -> None:
        samples = self.TONE.copy()
        samples[12000:20000] = 0
        heights = bar_heights(draw_waveform(waveform_of(samples)))
        assert 1 < heights[32] < 4
        assert heights[10] > 60

    def test_top_and_bottom_mirror_each_other(self) -> None:
        alpha = np.asarray(opened(draw_waveform(waveform_of(self.TONE * np.hanning(32000)))))[:, :, 3]
        assert np.abs(alpha.astype(int) - alpha[::-1]).max() <= 64  # a quarter of a pixel, at most

    @pytest.mark.parametrize("samples", [1, 5, 63, 1600])
    def test_very_short_clips(self, samples: int) -> None:
        assert opened(draw_waveform(waveform_of(self.TONE[1 : samples + 1]))).size == (320, 64)

    def test_nothing_at_all_is_still_a_picture(self) -> None:
        assert bar_heights(draw_waveform(waveform_of(np.zeros(16000)))).max() < 4

    def test_a_real_clip_is_small_and_always_the_same(self) -> None:
        waveform = decode_speech(make_wav(3.0), MediaSpec())
        assert len(draw_waveform(waveform)) < 2000
        assert draw_waveform(waveform) == draw_waveform(waveform)
