"""Images: bytes in any accepted format -> upright uint8 RGB at the bundle's size; same bytes, same pixels.

The header is judged before any pixel is decoded, and a picture that is cut short is refused whole.
"""

import io
import logging
import re
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
from indexer.media.header import (
    Size,
    check_memory,
    check_size,
    pixel_bytes,
    scan_bytes,
    strip_bytes,
    webp_size,
)
from indexer.media.native import restrain
from indexer.media.room import NoRoom, Room
from indexer.media.sniff import GIF, JPEG, PNG, TIFF, WEBP, MediaType, expect
from indexer.media.spec import MediaLimits, MediaSpec, Pixels

# What to make of a stored picture of this size: the size of the result, and the box of the source it shows.
Region = Callable[[Size], tuple[Size, tuple[float, float, float, float]]]

# The plugins themselves, not Image.open: that measures by a limit of its own, set for the whole process, and
# might try formats that were not sniffed.
_PLUGINS: dict[MediaType, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    JPEG: JpegImageFile,
    PNG: PngImageFile,
    GIF: GifImageFile,
    WEBP: WebPImageFile,
    TIFF: TiffImageFile,
}
_BAND_PIXELS = 500_000
_PILLOW_LOG = logging.getLogger("PIL")
_ROOM = Room()
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_REDUCING_GAP = 3.0  # shrink by whole steps while three times too large: that is not to be seen later


def decode_image(data: bytes, spec: MediaSpec, limits: MediaLimits | None = None) -> Pixels:
    """The first frame of a picture as it is displayed, resized (and cropped) as `spec` says.

    EXIF orientation is applied; transparency is laid over white; CMYK, palettes and 16-bit samples become
    8-bit RGB. Colour profiles are not applied. Raises MediaError, or NoRoom, and nothing else.
    """
    edge = spec.image_size

    def region(source: Size) -> tuple[Size, tuple[float, float, float, float]]:
        width, height = source
        share = edge / round(edge / spec.crop_fraction)
        if spec.resize == "shortest":
            across = down = min(width, height) * share
        else:
            across, down = width * share, height * share
        # Scaling the cut-out alone shows what scaling the whole and then cropping would, but a picture of
        # 1 x 50,000,000 never has to be held at its scaled size.
        left, top = (width - across) / 2, (height - down) / 2
        return (edge, edge), (left, top, left + across, top + down)

    picture, (width, height) = render(data, region, limits or MediaLimits())
    return Pixels(np.array(picture, dtype=np.uint8), width, height)


def render(data: bytes, region: Region, limits: MediaLimits) -> tuple[Image.Image, Size]:
    """The part of a picture that `region` asks for, upright and in RGB, and the whole's size as displayed.

    Raises MediaError, or NoRoom, and nothing else.
    """
    if len(data) > limits.max_bytes:
        raise MediaError(
            "too_large", f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted."
        )
    media_type = expect(data, "image")
    restrain()
    _hush_pillow()
    try:
        return _render(data, media_type, region, limits)
    except (MediaError, NoRoom):
        raise
    except Image.DecompressionBombError as error:  # a frame larger than the picture it belongs to
        raise MediaError("too_large", f"The {media_type.name} image is too large once unpacked.") from error
    except Exception as error:  # Pillow raises a dozen types over damaged files; the fault is in the bytes
        raise MediaError(
            "undecodable", f"The {media_type.name} image is damaged or cut off and cannot be decoded."
        ) from error


def _render(
    data: bytes, media_type: MediaType, region: Region, limits: MediaLimits
) -> tuple[Image.Image, Size]:
    picture, size, orientation = _stored_part(data, media_type, region, limits)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    picture = picture.convert("RGB")
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
        size = size if orientation < 5 else size[::-1]
    return picture, size


def _stored_part(
    data: bytes, media_type: MediaType, region: Region, limits: MediaLimits
) -> tuple[Image.Image, Size, int]:
    """The part that `region` asks for, not turned yet; the whole's size as stored; its orientation."""
    if media_type is WEBP:  # its decoder asks for memory as soon as it is opened
        size = webp_size(data)
        check_size(size, limits)
        check_memory(size, size[0] * size[1] * pixel_bytes(WEBP), WEBP, limits)
    stored = _PLUGINS[media_type](io.BytesIO(data))
    size = stored.size
    check_size(size, limits)
    beside_bytes = 0
    if isinstance(stored, TiffImageFile):
        beside_bytes = strip_bytes(stored)
    if isinstance(stored, JpegImageFile):
        beside_bytes = scan_bytes(data, size, len(stored.getbands()))
        wanted, _ = region(size)
        # JPEG can be decoded straight to 1/2, 1/4 or 1/8 of its size.
        stored.draft(None, (round(wanted[0] * _REDUCING_GAP), round(wanted[1] * _REDUCING_GAP)))
    needed_bytes = beside_bytes + stored.width * stored.height * pixel_bytes(media_type, stored.mode)
    check_memory(size, needed_bytes, media_type, limits)
    with _ROOM.taken(needed_bytes, limits.max_unpacked_bytes):
        stored.load()
        if media_type is TIFF:
            size = stored.size  # this plugin turns the picture upright itself, while loading
        wanted, (left, top, right, bottom) = region(size)
        x, y = stored.width / size[0], stored.height / size[1]  # below 1 where a draft was decoded
        across = max(1, int((right - left) * x / wanted[0] / _REDUCING_GAP))
        down = max(1, int((bottom - top) * y / wanted[1] / _REDUCING_GAP))
        picture = _shrunk(stored, across, down)
        x, y = x / across, y / down
        box = (left * x, top * y, min(right * x, picture.width), min(bottom * y, picture.height))
        return picture.resize(wanted, Image.Resampling.BICUBIC, box), size, _orientation(stored)


def _shrunk(stored: Image.Image, across: int, down: int) -> Image.Image:
    """`_scalable(stored)`, so many times smaller: a band of rows at a time, so that neither its new mode nor
    the premultiplied form that shrinking makes of it is ever there at full size."""
    if across == down == 1:
        return _scalable(stored)
    mode = _scalable(stored.crop((0, 0, 1, 1))).mode
    shrunk = Image.new(mode, (-(-stored.width // across), -(-stored.height // down)))
    rows = down * max(1, _BAND_PIXELS // stored.width // down)
    for top in range(0, stored.height, rows):
        band = stored.crop((0, top, stored.width, min(top + rows, stored.height)))
        shrunk.paste(_scalable(band).reduce((across, down)), (0, top // down))
    return shrunk


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # noqa: BLE001  broken EXIF does not make a picture unusable
        return 1
    return value if isinstance(value, int) else 1


def _scalable(picture: Image.Image) -> Image.Image:
    """The picture in a mode that can be scaled: L, RGB, CMYK or RGBA."""
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion makes everything above 255 white.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode in ("L", "RGB", "CMYK"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("P", "YCbCr", "LAB", "RGBX"):
        return picture.convert("RGB")
    raise MediaError(
        "unsupported", "The image has samples of a rare kind; save it with 8 or 16 bits a channel."
    )


def _hush_pillow() -> None:
    """Pillow warns of odd metadata on the way to a good picture, and logs what is damaged; who sends bytes
    has no business in our log.

    The filter stays: warnings.catch_warnings is not for several threads. It is put back where it was lost.
    """
    ours = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    if ours not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    if _PILLOW_LOG.level != logging.CRITICAL:
        _PILLOW_LOG.setLevel(logging.CRITICAL)
