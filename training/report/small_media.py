"""Media small enough to stand inside a page: a picture as WebP, a clip as MP3, as `data:` addresses."""

from __future__ import annotations

import base64
import io

import soundfile

from indexer.media import MediaSpec, decode_speech
from indexer.media.preview import encode_thumbnail

_SPEECH = MediaSpec(sample_rate_hz=16_000, max_seconds=30.0)
_MP3_SMALLEST = 0.99  # about 3 kB a second of speech


def small_picture(data: bytes, size: int = 224) -> bytes:
    """WebP of the whole upright picture, at most `size` pixels a side. Raises MediaError."""
    return encode_thumbnail(data, size=size)


def small_clip(data: bytes) -> bytes:
    """MP3 of the first 30 seconds, mono, 16 kHz: what every browser plays. Raises MediaError."""
    waveform = decode_speech(data, _SPEECH)
    encoded = io.BytesIO()
    soundfile.write(
        encoded,
        waveform.samples.clip(-1, 1),
        waveform.sample_rate_hz,
        format="MP3",
        compression_level=_MP3_SMALLEST,
    )
    return encoded.getvalue()


def address(data: bytes, media_type: str) -> str:
    """The bytes as a `data:` address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
