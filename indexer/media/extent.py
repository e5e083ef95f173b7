"""How much a file will be, from its first bytes alone: for deciding whether to take it on, not for using it.

Nothing is decoded and nothing is trusted: speech is taken for as long as its bytes could last, and a picture
for the size its header claims.
"""

from dataclasses import dataclass

from indexer.media.errors import MediaError
from indexer.media.header import webp_size
from indexer.media.sniff import FLAC, GIF, JPEG, PNG, WAV, WEBP, MediaType, sniff

# The thinnest in use: telephone speech in WAV, quiet mono in FLAC, Opus at 16 kbit/s for the rest.
_BYTES_PER_SECOND = {WAV: 8_000, FLAC: 8_000}
_BYTES_PER_SECOND_CODED = 2_000
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # the markers that a size follows

_MAX_SEGMENTS = 1_000  # a file of nothing but empty ones would be walked for seconds


@dataclass(frozen=True)
class Extent:
    """At most so many seconds of speech, or a picture of so many megapixels."""

    seconds: float = 0.0
    megapixels: float = 0.0


def extent(data: bytes) -> Extent:
    """Raises MediaError where `sniff` does."""
    media_type = sniff(data)
    if media_type.modality == "speech":
        return Extent(seconds=len(data) / _BYTES_PER_SECOND.get(media_type, _BYTES_PER_SECOND_CODED))
    return Extent(megapixels=max(1, _pixels(data, media_type)) / 1e6)


def _pixels(data: bytes, media_type: MediaType) -> int:
    """As the header claims; where it cannot be made out, as many as there are bytes."""
    if media_type is PNG and len(data) >= 24:
        return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    if media_type is GIF and len(data) >= 10:
        return int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little")
    if media_type is JPEG and (frame := _jpeg_frame(data)):
        return int.from_bytes(frame[:2], "big") * int.from_bytes(frame[2:], "big")
    if media_type is WEBP:
        try:
            width, height = webp_size(data)
        except MediaError:  # whoever decodes it will say so
            return len(data)
        return width * height
    return len(data)


def _jpeg_frame(data: bytes) -> bytes:
    """Height and width as they stand in the frame header (ITU T.81, B.2.2), or nothing."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        if data[position : position + 1] != b"\xff":
            break
        marker, size = data[position + 1 : position + 2], data[position + 2 : position + 4]
        if marker and marker[0] in _JPEG_FRAMES:
            return data[position + 5 : position + 9]
        position += 2 + max(2, int.from_bytes(size, "big"))
    return b""
