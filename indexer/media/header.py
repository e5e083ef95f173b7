"""What a picture's header claims, judged before any memory is taken for its pixels."""

import re

from PIL import ExifTags
from PIL.TiffImagePlugin import BITSPERSAMPLE, ROWSPERSTRIP, TILELENGTH, TILEWIDTH, TiffImageFile

from indexer.media.errors import MediaError
from indexer.media.sniff import TIFF, WEBP, MediaType
from indexer.media.spec import MediaLimits

Size = tuple[int, int]

_GREY_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # a pixel; every other mode has 4
# Two canvases of a decoder made for moving pictures, the frame, and Pillow's copy.
_WEBP_BYTES = 16
_MAX_SCAN_PIXELS = 1_000_000_000  # 20 scans of the largest picture; progressive files have about 10


def check_size(size: Size, limits: MediaLimits) -> None:
    """Raises MediaError "too_large" for more pixels than are accepted."""
    width, height = size
    if width * height > limits.max_pixels:
        raise MediaError(
            "too_large",
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are accepted.",
        )


def pixel_bytes(media_type: MediaType, mode: str = "") -> int:
    """What an unpacked pixel takes."""
    return _WEBP_BYTES if media_type is WEBP else _GREY_BYTES.get(mode, 4)


def check_memory(size: Size, needed_bytes: int, media_type: MediaType, limits: MediaLimits) -> None:
    """Raises MediaError "too_large" for a picture that takes more memory than there is for it."""
    if needed_bytes > limits.max_unpacked_bytes:
        needed, given = (
            f"{size_bytes / 1e6:,.0f} MB" for size_bytes in (needed_bytes, limits.max_unpacked_bytes)
        )
        raise MediaError(
            "too_large",
            f"The {media_type.name} image has {size[0]} x {size[1]} pixels, for which {needed} of memory are "
            f"needed, and only {given} are given; make it smaller.",
        )


def strip_bytes(stored: TiffImageFile) -> int:
    """What a TIFF takes beside its pixels: a strip or tile is unpacked whole, and a tile may be larger than
    the picture; while a picture is turned it is there twice."""
    tags = stored.tag_v2
    width, height = stored.size
    rows = min(int(tags.get(ROWSPERSTRIP, height)), height)
    pixels = max(width * rows, int(tags.get(TILEWIDTH, 0)) * int(tags.get(TILELENGTH, 0)))
    strip = pixels * max(4, sum(map(int, tags.get(BITSPERSAMPLE, ()))) // 8)
    turned = tags.get(ExifTags.Base.Orientation, 1) != 1
    return max(strip, width * height * pixel_bytes(TIFF, stored.mode) if turned else 0)


def scan_bytes(data: bytes, size: Size, channels: int) -> int:
    """What a JPEG takes beside its pixels: several scans are gathered at full size, two bytes a sample.

    Raises MediaError "too_large" for a file that would keep the decoder busy for hours: every scan goes over
    all pixels again, and may be a dozen bytes long.
    """
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != b"\xda":
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    scans = 0
    # From the first scan on, a marker is 0xFF and something else than stuffing, restart or fill.
    for marker in re.finditer(rb"\xff([^\x00\x01\xd0-\xd7\xff])", data[position:]):
        if marker[1] == b"\xd9":
            break
        scans += marker[1] == b"\xda"
    pixels = size[0] * size[1]
    if scans * pixels > _MAX_SCAN_PIXELS:
        raise MediaError(
            "too_large", f"The JPEG image goes over its pixels {scans} times; that is too often."
        )
    return 2 * channels * pixels if scans > 1 else 0


def webp_size(data: bytes) -> Size:
    """Width and height from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = data[12:16], data[20:30]
    if len(body) == 10 and chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if len(body) == 10 and chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if len(body) >= 5 and chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise MediaError("undecodable", "The WebP image is damaged or cut off and cannot be decoded.")
