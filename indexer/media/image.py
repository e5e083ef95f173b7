"""Images: bytes in any accepted format -> upright uint8 RGB at the bundle's size; same bytes, same pixels.

The header is judged before any pixel is decoded, and a picture that is cut short is refused whole.
"""

import io
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
from indexer.media.native import restrain
from indexer.media.sniff import GIF, JPEG, PNG, TIFF, WEBP, MediaType, expect
from indexer.media.spec import MediaLimits, MediaSpec, Pixels

Size = tuple[int, int]
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
_ORIENTATION_TAG = 0x0112
_TILE_TAGS = (0x0142, 0x0143)  # width and height
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_REDUCING_GAP = (
    3.0  # shrink by whole steps while three times too large: cheap, and not to be seen in the result
)
_MAX_SCAN_PIXELS = 1_000_000_000  # 20 scans of the largest picture; progressive files have about 10


def decode_image(data: bytes, spec: MediaSpec, limits: MediaLimits | None = None) -> Pixels:
    """The first frame of a picture as it is displayed, resized (and cropped) as `spec` says.

    EXIF orientation is applied; transparency is laid over white; CMYK, palettes and 16-bit samples become
    8-bit RGB. Colour profiles are not applied. Raises MediaError and nothing else.
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

    Raises MediaError and nothing else.
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
    except MediaError:
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
    if media_type is WEBP:
        _check_size(
            webp_size(data), limits
        )  # its decoder takes memory for the canvas as soon as it is opened
    stored = _PLUGINS[media_type](io.BytesIO(data))
    size = stored.size
    _check_size(size, limits)
    if isinstance(stored, TiffImageFile):
        # A tile is unpacked whole, and may be far larger than the picture.
        tile = [int(stored.tag_v2.get(tag, 0)) for tag in _TILE_TAGS]
        _check_size((tile[0], tile[1]), limits)
    if media_type is JPEG:
        _check_scans(data, size)
        wanted, _ = region(size)
        # JPEG can be decoded straight to 1/2, 1/4 or 1/8 of its size.
        stored.draft(None, (round(wanted[0] * _REDUCING_GAP), round(wanted[1] * _REDUCING_GAP)))
    stored.load()
    orientation = _orientation(stored)
    if media_type is TIFF:
        size = stored.size  # this plugin turns the picture upright itself, while loading
    picture = _scalable(stored)
    wanted, box = region(size)
    x, y = picture.width / size[0], picture.height / size[1]  # below 1 where a draft was decoded
    picture = picture.resize(
        wanted,
        Image.Resampling.BICUBIC,
        box=(box[0] * x, box[1] * y, min(box[2] * x, picture.width), min(box[3] * y, picture.height)),
        reducing_gap=_REDUCING_GAP,
    )
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    picture = picture.convert("RGB")
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
        size = size if orientation < 5 else size[::-1]
    return picture, size


def _check_size(size: Size, limits: MediaLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise MediaError(
            "too_large",
            f"The image has {width} x {height} pixels; at most {limits.max_pixels:,} in all are accepted.",
        )


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


def _check_scans(data: bytes, size: Size) -> None:
    """Refuse a JPEG that would keep the decoder busy for hours: every scan of a progressive file goes over
    all pixels again, and may be a dozen bytes long."""
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != b"\xda":
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    scans = 0
    # From the first scan on, a marker is 0xFF and something else than stuffing, restart or fill.
    for marker in re.finditer(rb"\xff([^\x00\x01\xd0-\xd7\xff])", data[position:]):
        if marker[1] == b"\xd9":
            break
        scans += marker[1] == b"\xda"
    if scans * size[0] * size[1] > _MAX_SCAN_PIXELS:
        raise MediaError(
            "too_large", f"The JPEG image goes over its pixels {scans} times; that is too often."
        )


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
    """Pillow warns of odd metadata on the way to a good picture; who sends bytes has no business in our log.

    The filter stays: warnings.catch_warnings is not for several threads. It is put back where it was lost.
    """
    ours = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    if ours not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
