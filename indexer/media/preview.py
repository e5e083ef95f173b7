"""Small pictures that stand for an item in a page: a thumbnail of an image, the drawn waveform of a clip. Both WebP."""

import io

import numpy as np
from PIL import Image, ImageDraw

from indexer.media.image import render
from indexer.media.spec import MediaLimits, Waveform

# A mid-tone: about 4.4 to 1 against white and against near-black alike.
_BAR_COLOUR = (93, 118, 203)
_BAR_WIDTH, _BAR_PITCH = 3, 5
_OVERSAMPLING = 4  # drawn large and scaled down, which is how the round ends get smooth edges


def encode_thumbnail(data: bytes, limits: MediaLimits | None = None, size: int = 256) -> bytes:
    """WebP of the upright picture, its longest side at most `size` pixels (never enlarged), without metadata.

    Raises MediaError like `decode_image`.
    """

    def region(width: int, height: int) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
        scale = min(1.0, size / max(width, height))
        return (max(1, round(width * scale)), max(1, round(height * scale))), (0.0, 0.0, width, height)

    picture, _, _ = render(data, limits or MediaLimits(), region)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=80, method=4)
    return out.getvalue()


def draw_waveform(waveform: Waveform, width: int = 320, height: int = 64) -> bytes:
    """WebP, `width` x `height`, transparent: rounded bars as high as each stretch is loud, the loudest filling the height.

    Loudness is the root mean square, drawn to the power 0.6 so that quiet syllables show beside loud ones.
    """
    bars = max(1, (width + _BAR_PITCH - _BAR_WIDTH) // _BAR_PITCH)
    edges = np.linspace(0, len(waveform.samples), bars + 1).astype(np.int64)
    loudness = np.array(
        [
            float(np.sqrt(np.mean(np.square(waveform.samples[start:end], dtype=np.float64)))) if end > start else 0.0
            for start, end in zip(edges[:-1], edges[1:], strict=True)
        ]
    )
    relative = (loudness / max(float(loudness.max()), 1e-9)) ** 0.6
    scale = _OVERSAMPLING
    canvas = Image.new("L", (width * scale, height * scale), 0)
    draw = ImageDraw.Draw(canvas)
    left = (width - (bars * _BAR_PITCH - (_BAR_PITCH - _BAR_WIDTH))) * scale // 2
    for bar, share in enumerate(relative):
        half = max(_BAR_WIDTH * scale, round(float(share) * height * scale)) / 2
        x = left + bar * _BAR_PITCH * scale
        middle = height * scale / 2
        draw.rounded_rectangle(
            (x, middle - half, x + _BAR_WIDTH * scale - 1, middle + half - 1), radius=_BAR_WIDTH * scale / 2, fill=255
        )
    picture = Image.new("RGBA", (width, height), (*_BAR_COLOUR, 0))
    picture.putalpha(canvas.resize((width, height), Image.Resampling.BOX))
    out = io.BytesIO()
    picture.save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()
