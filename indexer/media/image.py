"""Images: bytes in any accepted format -> upright uint8 RGB at the bundle's size. The same bytes always give the same
pixels. Sizes are read from the header and judged before any pixel is decoded; a picture cut short is refused whole."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from indexer.media.errors import MediaError
from indexer.media.sniff import GIF, JPEG, PNG, TIFF, WEBP, MediaType, expect
from indexer.media.spec import MediaLimits, MediaSpec, Pixels

# The plugins themselves, not Image.open: that warns of large pictures by a process-wide figure, and tries formats that
# were not sniffed.
_OPENERS: dict[MediaType, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    JPEG: JpegImageFile,
    PNG: PngImageFile,
    GIF: GifImageFile,
    WEBP: WebPImageFile,
    TIFF: TiffImageFile,
}
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Scaling by whole steps first keeps large photographs cheap; from this gap on it cannot be told from doing without.
_REDUCING_GAP = 3.0


def decode_image(data: bytes, spec: MediaSpec, limits: MediaLimits | None = None) -> Pixels:
    """The first frame of a picture as it is displayed: EXIF orientation applied, transparency over white, CMYK, palette
    and 16-bit samples brought to 8-bit RGB, then resized (and cropped) as `spec` says. Raises MediaError and nothing else.
    """
    limits = limits or MediaLimits()
    size = spec.image_size

    def region(width: int, height: int) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
        full = round(size / spec.crop_fraction)
        if spec.resize == "shortest":
            across = down = min(width, height) * size / full
        else:
            across, down = width * size / full, height * size / full
        # Scaling the cut-out alone gives the pixels of scale-then-crop without ever holding the scaled whole, which for
        # a picture of 1 x 50,000,000 would not fit in memory.
        left, top = (width - across) / 2, (height - down) / 2
        return (size, size), (left, top, left + across, top + down)

    picture, width, height = render(data, limits, region)
    return Pixels(np.array(picture, dtype=np.uint8), width, height)


Region = Callable[[int, int], tuple[tuple[int, int], tuple[float, float, float, float]]]


def render(data: bytes, limits: MediaLimits, region: Region) -> tuple[Image.Image, int, int]:
    """The upright RGB picture that `region(width, height) -> (output size, source box)` asks for, and the displayed size
    of its source. `region` sees the stored size, before the orientation is applied. Raises MediaError and nothing else.
    """
    if len(data) > limits.max_bytes:
        raise MediaError("too_large", f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted.")
    media_type = expect(data, "image")
    _hush_pillow()
    try:
        picture, (width, height) = _open(data, media_type, limits)
        wanted, _ = region(width, height)
        # JPEG alone can decode straight to 1/2, 1/4 or 1/8; the others ignore this.
        picture.draft(None, (round(wanted[0] * _REDUCING_GAP), round(wanted[1] * _REDUCING_GAP)))
        picture.load()
        orientation = _orientation(picture)
        if media_type is TIFF:
            width, height = picture.size  # this plugin turns the picture upright while loading
        flat = _flat(picture, media_type)
        wanted, box = region(width, height)
        across, down = flat.width / width, flat.height / height  # below 1 after a draft
        small = flat.resize(
            wanted,
            Image.Resampling.BICUBIC,
            box=(box[0] * across, box[1] * down, min(box[2] * across, flat.width), min(box[3] * down, flat.height)),
            reducing_gap=_REDUCING_GAP,
        )
        upright = _over_white(small)
        if orientation in _UPRIGHT:
            upright = upright.transpose(_UPRIGHT[orientation])
            if orientation >= 5:
                width, height = height, width
        return upright, width, height
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001  Pillow raises a dozen types on damaged files; the fault is in the bytes
        raise MediaError("undecodable", f"The {media_type.name} image is damaged or cut off.") from error


def _open(
    data: bytes, media_type: MediaType, limits: MediaLimits
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    if media_type is WEBP:
        _check_pixels(_webp_size(data), media_type, limits)  # its decoder takes memory for the canvas on opening
    picture = _OPENERS[media_type](io.BytesIO(data))
    _check_pixels(picture.size, media_type, limits)
    return picture, picture.size


def _check_pixels(size: tuple[int, int], media_type: MediaType, limits: MediaLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise MediaError("undecodable", f"The {media_type.name} header states a size of {width} x {height} pixels.")
    if width * height > limits.max_pixels:
        raise MediaError(
            "too_large",
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are accepted.",
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = data[12:16], data[20:30]
    if len(body) == 10 and chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if len(body) == 10 and chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if len(body) >= 5 and chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise MediaError("undecodable", "The WebP image is damaged or cut off.")


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  broken EXIF does not make a picture unusable
        return 1
    return value if isinstance(value, int) else 1


def _flat(picture: Image.Image, media_type: MediaType) -> Image.Image:
    """The picture in a mode that can be scaled: L, RGB, CMYK or RGBA."""
    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        # Pillow's own conversion clips everything above 255 to white.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode in ("L", "RGB", "CMYK"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("P", "YCbCr", "LAB", "HSV", "RGBX"):
        return picture.convert("RGB")
    raise MediaError(
        "unsupported",
        f"The {media_type.name} image has samples of a kind that is not read; save it with 8 or 16 bits a channel.",
    )


def _over_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _hush_pillow() -> None:
    """Pillow warns of odd metadata on the way to a good picture; senders of bytes do not get to write to our log.

    A filter that stays, because catch_warnings may not be used by several threads; added again where it was taken away.
    """
    if not any(entry[0] == "ignore" and "PIL" in str(getattr(entry[3], "pattern", "")) for entry in warnings.filters):
        warnings.filterwarnings("ignore", module=r"PIL\.")
