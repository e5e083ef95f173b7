"""Small pictures that stand for items in a page: the thumbnail of an image, the drawn waveform of a clip."""

import io
import itertools

import numpy as np
from PIL import Image, ImageDraw

from indexer.media.header import Size
from indexer.media.image import render
from indexer.media.spec import MediaLimits, Waveform

_BAR_COLOUR = (101, 115, 206)  # a mid-tone that stands out from white and from near-black alike
_BAR_WIDTH, _BAR_PITCH = 3, 5
_OVERSAMPLING = 4  # drawn large and scaled down, which is what makes round ends smooth


def encode_thumbnail(data: bytes, limits: MediaLimits | None = None, size: int = 256) -> bytes:
    """WebP of the upright picture, its longest side at most `size` pixels (never enlarged), without metadata.

    Raises MediaError like `decode_image`.
    """

    def region(source: Size) -> tuple[Size, tuple[float, float, float, float]]:
        width, height = source
        scale = min(1.0, size / max(width, height))
        return (max(1, round(width * scale)), max(1, round(height * scale))), (0.0, 0.0, width, height)

    picture, _ = render(data, region, limits or MediaLimits())
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=80, method=4)
    return encoded.getvalue()


def draw_waveform(waveform: Waveform, width: int = 320, height: int = 64) -> bytes:
    """WebP, transparent but for rounded bars as high as each stretch is loud; the loudest fills the height.

    Loudness is the root mean square, to the power 0.6 so that quiet syllables show beside loud ones.
    """
    bars = max(1, (width + _BAR_PITCH - _BAR_WIDTH) // _BAR_PITCH)
    samples = waveform.samples.astype(np.float64)
    edges = np.linspace(0, len(samples), bars + 1).astype(np.int64)
    loudness = np.array(
        [np.sqrt(np.mean(np.square(samples[a:b]))) if b > a else 0.0 for a, b in itertools.pairwise(edges)]
    )
    shares = (loudness / max(float(loudness.max()), 1e-9)) ** 0.6

    big = _OVERSAMPLING
    mask = Image.new("L", (width * big, height * big), 0)
    draw = ImageDraw.Draw(mask)
    bar_width, middle = _BAR_WIDTH * big, height * big / 2
    margin = (width - (bars - 1) * _BAR_PITCH - _BAR_WIDTH) * big // 2
    for bar, share in enumerate(shares.tolist()):
        left = margin + bar * _BAR_PITCH * big
        half = max(bar_width, round(share * height * big)) / 2  # silence is a dot
        corners = (left, middle - half, left + bar_width - 1, middle + half - 1)
        draw.rounded_rectangle(corners, radius=bar_width / 2, fill=255)
    picture = Image.new("RGBA", (width, height), (*_BAR_COLOUR, 0))
    picture.putalpha(mask.resize((width, height), Image.Resampling.BOX))
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", lossless=True, exact=True)
    return encoded.getvalue()
