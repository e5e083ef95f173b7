"""Image decoding against the picture that was encoded: formats, modes, turns, sizes, bombs, hostile bytes."""

import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from indexer.media import MediaError, MediaLimits, MediaSpec, Pixels, decode_image
from indexer.media.header import Size
from tests.fixtures.encoded import picture_bytes, raw_png
from tests.fixtures.media_bytes import make_wav

ROOT = Path(__file__).parents[2]
SPEC = MediaSpec()
EDGE = SPEC.image_size


def scene(width: int = EDGE, height: int = EDGE) -> Image.Image:
    """Smooth, unlike in every corner and in every channel, so that a turn, a swap or a half picture shows."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = (across, down, 0.5 + 0.5 * np.sin(5 * across + 3 * down**2))
    return Image.fromarray((np.stack(channels, axis=-1) * 255).round().astype(np.uint8))


def pixels(data: bytes, spec: MediaSpec = SPEC) -> NDArray[np.uint8]:
    decoded = decode_image(data, spec)
    check_form(decoded, spec)
    return decoded.array


def check_form(decoded: Pixels, spec: MediaSpec) -> None:
    assert decoded.array.dtype == np.uint8
    assert decoded.array.shape == (spec.image_size, spec.image_size, 3)
    assert decoded.array.flags.c_contiguous
    assert decoded.array.flags.writeable
    assert decoded.source_width >= 1
    assert decoded.source_height >= 1


def difference(one: NDArray[np.uint8], other: Image.Image | NDArray[np.uint8]) -> tuple[float, int]:
    """Mean and largest absolute difference."""
    apart = np.abs(one.astype(np.int16) - np.asarray(other).astype(np.int16))
    return float(apart.mean()), int(apart.max())


def fault(data: bytes, limits: MediaLimits | None = None) -> MediaError:
    with pytest.raises(MediaError) as caught:
        decode_image(data, SPEC, limits)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value


LOSSLESS: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda picture: picture_bytes(picture, "PNG"),
    "webp": lambda picture: picture_bytes(picture, "WEBP", lossless=True),
    "tiff": lambda picture: picture_bytes(picture, "TIFF"),
    "tiff-lzw": lambda picture: picture_bytes(picture, "TIFF", compression="tiff_lzw"),
    "tiff-deflate": lambda picture: picture_bytes(picture, "TIFF", compression="tiff_adobe_deflate"),
    "tiff-packbits": lambda picture: picture_bytes(picture, "TIFF", compression="packbits"),
    "tiff-big": lambda picture: picture_bytes(picture, "TIFF", big_tiff=True),
}
LOSSY: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda picture: picture_bytes(picture, "JPEG", quality=95),
    "jpeg-progressive": lambda picture: picture_bytes(picture, "JPEG", quality=95, progressive=True),
    "jpeg-cmyk": lambda picture: picture_bytes(picture.convert("CMYK"), "JPEG", quality=95),
    "webp-lossy": lambda picture: picture_bytes(picture, "WEBP", quality=95),
    "tiff-jpeg": lambda picture: picture_bytes(picture, "TIFF", compression="jpeg", quality=95),
    "gif": lambda picture: picture_bytes(picture.quantize(256), "GIF"),
    "png-palette": lambda picture: picture_bytes(picture.quantize(256), "PNG"),
}
EVERY = {**LOSSLESS, **LOSSY}


class TestFormats:
    @pytest.mark.parametrize("name", LOSSLESS)
    def test_lossless_gives_the_very_pixels(self, name: str) -> None:
        np.testing.assert_array_equal(pixels(LOSSLESS[name](scene())), np.asarray(scene()))

    @pytest.mark.parametrize("name", LOSSY)
    def test_lossy_gives_nearly_those_pixels(self, name: str) -> None:
        mean, largest = difference(pixels(LOSSY[name](scene())), scene())
        assert mean < 6  # what 256 colours can do
        assert largest < 40

    def test_the_size_of_the_source_is_told(self) -> None:
        decoded = decode_image(LOSSLESS["png"](scene(200, 50)), SPEC)
        assert (decoded.source_width, decoded.source_height) == (200, 50)

    @pytest.mark.parametrize("options", [{}, {"bits": 1}, {"bits": 2}, {"bits": 4}])
    def test_palettes(self, options: dict[str, int]) -> None:
        colours = 2 ** options.get("bits", 8)
        reduced = scene().quantize(colours)
        np.testing.assert_array_equal(
            pixels(picture_bytes(reduced, "PNG", **options)), np.asarray(reduced.convert("RGB"))
        )

    def test_black_and_white(self) -> None:
        reduced = scene().convert("1")
        for format in ("PNG", "TIFF"):
            np.testing.assert_array_equal(
                pixels(picture_bytes(reduced, format)), np.asarray(reduced.convert("RGB"))
            )

    def test_cmyk_tiff(self) -> None:
        data = picture_bytes(scene().convert("CMYK"), "TIFF")
        assert difference(pixels(data), scene())[1] <= 2

    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_sixteen_bit_grey_is_scaled_and_not_clipped(self, format: str) -> None:
        levels = np.linspace(0, 65535, EDGE * EDGE).astype(np.uint16).reshape(EDGE, EDGE)
        expected = np.repeat((levels >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        np.testing.assert_array_equal(pixels(picture_bytes(Image.fromarray(levels), format)), expected)

    def test_sixteen_bit_colour(self) -> None:
        wide = (np.asarray(scene()).astype(np.uint16) * 257).astype(">u2")
        rows = b"".join(b"\x00" + row.tobytes() for row in wide)
        data = raw_png(rows, EDGE, EDGE, bits=16, colour=2)
        np.testing.assert_array_equal(pixels(data), np.asarray(scene()))

    @pytest.mark.parametrize("mode", ["F", "I"])
    def test_samples_without_a_known_white_are_refused(self, mode: str) -> None:
        assert fault(picture_bytes(scene().convert(mode), "TIFF")).kind == "unsupported"


class TestTransparency:
    @staticmethod
    def over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
        share = alpha[:, :, None] / 255
        mixed: NDArray[np.uint8] = (colour * share + 255 * (1 - share)).round().astype(np.uint8)
        return mixed

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
    def test_colour_with_alpha(self, format: str) -> None:
        alpha = np.tile(np.linspace(0, 255, EDGE).astype(np.uint8), (EDGE, 1))
        picture = scene()
        picture.putalpha(Image.fromarray(alpha))
        options = {"lossless": True, "exact": True} if format == "WEBP" else {}
        expected = self.over_white(np.asarray(scene()), alpha)
        assert difference(pixels(picture_bytes(picture, format, **options)), expected)[1] <= 1

    def test_grey_with_alpha(self) -> None:
        grey = np.asarray(scene().convert("L"))
        alpha = np.tile(np.linspace(0, 255, EDGE).astype(np.uint8), (EDGE, 1))
        picture = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
        expected = self.over_white(np.repeat(grey[:, :, None], 3, axis=2), alpha)
        assert difference(pixels(picture_bytes(picture, "PNG")), expected)[1] <= 1

    def test_palette_with_one_clear_colour(self) -> None:
        for format in ("PNG", "GIF"):
            picture = scene().quantize(16)
            clear = picture.getpixel((0, 0))
            data = picture_bytes(picture, format, transparency=clear)
            is_clear = np.asarray(picture) == clear
            expected = np.where(is_clear[:, :, None], 255, np.asarray(picture.convert("RGB")))
            np.testing.assert_array_equal(pixels(data), expected)

    def test_palette_with_a_table_of_alphas(self) -> None:
        picture = scene().quantize(16)
        table = bytes(range(0, 256, 16))
        alpha = np.frombuffer(table, np.uint8)[np.asarray(picture)]
        expected = self.over_white(np.asarray(picture.convert("RGB")), alpha)
        assert difference(pixels(picture_bytes(picture, "PNG", transparency=table)), expected)[1] <= 1

    def test_one_clear_colour_in_true_colour_and_grey(self) -> None:
        picture = Image.new("RGB", (EDGE, EDGE), (10, 20, 30))
        picture.paste((200, 100, 50), (0, 0, EDGE, EDGE // 2))
        shown = pixels(picture_bytes(picture, "PNG", transparency=(10, 20, 30)))
        assert (shown[0, 0].tolist(), shown[-1, -1].tolist()) == ([200, 100, 50], [255, 255, 255])
        shown = pixels(
            picture_bytes(
                picture.convert("L"), "PNG", transparency=picture.convert("L").getpixel((0, EDGE - 1))
            )
        )
        assert shown[-1, -1].tolist() == [255, 255, 255]

    def test_what_lies_below_clear_pixels_does_not_bleed(self) -> None:
        """Scaled down, red under full transparency must not tint the edge of what is seen."""
        colour = np.zeros((400, 400, 4), np.uint8)
        colour[:, :, 0] = 255
        colour[100:300, 100:300] = (0, 0, 0, 255)
        shown = pixels(picture_bytes(Image.fromarray(colour), "PNG")).astype(int)
        assert np.abs(shown[:, :, 0] - shown[:, :, 1]).max() <= 1


class TestOrientation:
    @pytest.mark.parametrize("turn", range(1, 9))
    @pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG"])
    def test_each(self, format: str, turn: int) -> None:
        stored = scene(150, 90)
        exif = Image.Exif()
        exif[0x0112] = turn
        by_format: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
        options = by_format.get(format, {})
        data = picture_bytes(stored, format, exif=exif, **options)
        decoded = decode_image(data, SPEC)
        stored.getexif()[0x0112] = turn
        displayed = ImageOps.exif_transpose(stored)
        assert (decoded.source_width, decoded.source_height) == displayed.size
        expected = displayed.resize((EDGE, EDGE), Image.Resampling.BICUBIC)
        mean, largest = difference(decoded.array, expected)
        assert mean < (2.5 if format == "JPEG" else 0.5)
        assert largest < (40 if format == "JPEG" else 3)

    @pytest.mark.parametrize(
        "exif", [b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00" + b"MM" * 40]
    )
    def test_broken_exif_spoils_nothing(self, exif: bytes) -> None:
        plain = pixels(picture_bytes(scene(), "JPEG"))
        np.testing.assert_array_equal(pixels(picture_bytes(scene(), "JPEG", exif=exif)), plain)

    @pytest.mark.parametrize("turn", [0, 9, 65535])
    def test_orientations_that_do_not_exist(self, turn: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = turn
        np.testing.assert_array_equal(pixels(picture_bytes(scene(), "PNG", exif=exif)), np.asarray(scene()))


class TestFrames:
    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_the_first_is_taken(self, format: str) -> None:
        others = [Image.new("RGB", (EDGE, EDGE), colour) for colour in ("black", "white")]
        options = {"lossless": True} if format == "WEBP" else {}
        data = picture_bytes(scene(), format, save_all=True, append_images=others, **options)
        mean, _ = difference(pixels(data), scene())
        assert mean < (6 if format == "GIF" else 1e-9)

    def test_a_first_frame_smaller_than_its_canvas(self) -> None:
        two_colours = Image.new("P", (48, 48), 0)
        two_colours.putpalette([255, 0, 0, 0, 0, 255])
        two_colours.paste(1, (0, 24, 48, 48))
        whole = picture_bytes(two_colours, "GIF")
        header, body = whole[: whole.index(b",")], whole[whole.index(b",") + 10 :]
        canvas = header[:6] + struct.pack("<HH", 96, 96) + header[10:]
        shown = pixels(canvas + b"," + struct.pack("<HHHHB", 48, 48, 48, 48, 0) + body)
        assert shown[90, 72].tolist() == [0, 0, 255]
        assert shown[90, 30].tolist() != [0, 0, 255]


class TestResize:
    @pytest.mark.parametrize(
        ("width", "height"), [(300, 200), (64, 64), (50, 333), (1000, 1000), (1, 1), (1, 500)]
    )
    def test_squash_is_the_whole_picture_scaled(self, width: int, height: int) -> None:
        expected = scene(width, height).resize((EDGE, EDGE), Image.Resampling.BICUBIC)
        mean, largest = difference(pixels(LOSSLESS["png"](scene(width, height))), expected)
        assert mean < 1
        assert largest <= 6

    @pytest.mark.parametrize("fraction", [1.0, 0.875, 0.5])
    @pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (97, 96), (800, 640), (60, 50)])
    def test_shortest_is_scale_then_crop(self, width: int, height: int, fraction: float) -> None:
        spec = MediaSpec(resize="shortest", crop="center", crop_fraction=fraction)
        full = round(EDGE / fraction)
        scale = full / min(width, height)
        scaled = scene(width, height).resize(
            (round(width * scale), round(height * scale)), Image.Resampling.BICUBIC
        )
        left, top = (scaled.width - EDGE) // 2, (scaled.height - EDGE) // 2
        expected = scaled.crop((left, top, left + EDGE, top + EDGE))
        assert difference(pixels(LOSSLESS["png"](scene(width, height)), spec), expected)[0] < 1.5

    def test_squash_with_a_crop(self) -> None:
        spec = MediaSpec(resize="squash", crop="center", crop_fraction=0.8)
        scaled = scene(300, 200).resize((120, 120), Image.Resampling.BICUBIC)
        expected = scaled.crop((12, 12, 108, 108))
        assert difference(pixels(LOSSLESS["png"](scene(300, 200)), spec), expected)[0] < 1

    def test_a_thread_of_pixels_takes_no_memory(self) -> None:
        spec = MediaSpec(resize="shortest", crop="center")
        for size in ((60000, 1), (1, 60000)):
            data = picture_bytes(Image.new("L", size, 90), "PNG")
            assert (pixels(data, spec) == 90).all()

    @pytest.mark.parametrize("name", ["RGB", "RGBA", "LA", "L", "1", "P", "P with alphas", "I;16", "CMYK"])
    @pytest.mark.parametrize("spec", [SPEC, MediaSpec(resize="shortest", crop="center", crop_fraction=0.8)])
    def test_shrinking_band_by_band_shows_what_shrinking_the_whole_does(
        self, name: str, spec: MediaSpec
    ) -> None:
        """The oracle: every pixel converted at full size, then scaled in one go."""
        picture, options = scene(1237, 1911), {}
        alpha = Image.fromarray(np.tile(np.linspace(40, 255, 1237).astype(np.uint8), (1911, 1)))
        if name == "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 256)
        elif name.startswith("P"):
            picture = picture.quantize(64)
            options = {"transparency": bytes(range(64, 128))} if name != "P" else {}
        else:
            picture = picture.convert(name)
        if name in ("RGBA", "LA"):
            picture.putalpha(alpha)
        data = picture_bytes(picture, "TIFF" if name == "CMYK" else "PNG", **options)
        whole: Image.Image = PngImageFile(io.BytesIO(data)) if name != "CMYK" else picture
        if name == "I;16":
            whole = Image.fromarray((np.asarray(whole) >> 8).astype(np.uint8))
        whole = whole.convert("CMYK" if name == "CMYK" else "RGBA")
        side = spec.image_size / round(spec.image_size / spec.crop_fraction)
        across, down = (1237 * side, 1911 * side) if spec.resize == "squash" else (1237 * side, 1237 * side)
        left, top = (1237 - across) / 2, (1911 - down) / 2
        shown = whole.resize(
            (EDGE, EDGE), Image.Resampling.BICUBIC, box=(left, top, left + across, top + down)
        )
        if name != "CMYK":
            shown = Image.alpha_composite(Image.new("RGBA", (EDGE, EDGE), "white"), shown)
        mean, largest = difference(pixels(data, spec), shown.convert("RGB"))
        assert mean < (3 if name == "1" else 1)
        assert largest <= (20 if name in ("1", "P", "P with alphas") else 4)

    @pytest.mark.parametrize("edge", [8, 17, 96, 299])
    def test_decoding_a_jpeg_small_shows_the_same_picture(self, edge: int) -> None:
        spec = MediaSpec(image_size=edge)
        small = pixels(picture_bytes(scene(1600, 1200), "JPEG", quality=95), spec)
        expected = scene(1600, 1200).resize((edge, edge), Image.Resampling.BICUBIC)
        assert difference(small, expected)[0] < 2

    def test_again_and_in_many_threads(self) -> None:
        files = [encode(scene(500, 300)) for encode in EVERY.values()]
        expected = [pixels(data) for data in files]
        with ThreadPoolExecutor(6) as pool:
            shown = list(pool.map(pixels, files * 3))
        for number, array in enumerate(shown):
            np.testing.assert_array_equal(array, expected[number % len(files)])


def tiff_header(width: int, height: int, *, tile: int | None = None) -> bytes:
    """A TIFF that states a size and holds next to nothing."""
    tags = [(256, width), (257, height), (258, 8), (259, 5), (262, 1), (277, 1)]
    tags += [(322, tile), (323, tile), (324, 8), (325, 9)] if tile else [(273, 8), (278, height), (279, 9)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64)


class TestBombs:
    def test_png(self) -> None:
        error = fault(raw_png(bytes(100), 50_000, 50_000, bits=8, colour=2))
        assert error.kind == "too_large"
        assert "50000 x 50000" in str(error)

    def test_png_just_over_and_just_within(self) -> None:
        rows = bytes(11 * 10)
        data = raw_png(rows, 10, 10, bits=8, colour=0)
        assert fault(data, MediaLimits(max_pixels=99)).kind == "too_large"
        assert decode_image(data, SPEC, MediaLimits(max_pixels=100)).source_width == 10

    def test_larger_than_pillow_would_warn_of(self) -> None:
        """Ten thousand squared is within Pillow's own limits, whose warning must not be what refuses it."""
        data = raw_png(bytes(100), 10_000, 10_000, bits=8, colour=0)
        assert fault(data).kind == "too_large"
        assert fault(data, MediaLimits(max_pixels=200_000_000)).kind == "undecodable"

    def test_gif(self) -> None:
        def gif(canvas: tuple[int, int], frame: tuple[int, int]) -> bytes:
            header = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + bytes(6)
            return header + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"

        assert fault(gif((65535, 65535), (1, 1))).kind == "too_large"
        assert fault(gif((1, 1), (65535, 65535))).kind == "too_large"
        assert fault(gif((1, 1), (9000, 9000))).kind == "too_large"

    def test_tiff(self) -> None:
        assert fault(tiff_header(60_000, 60_000)).kind == "too_large"
        assert fault(tiff_header(64, 64, tile=20_000)).kind == "too_large"
        assert fault(tiff_header(64, 64, tile=2**30)).kind == "too_large"

    def test_webp(self) -> None:
        data = b"RIFF\x20\x00\x00\x00WEBPVP8X\x0a" + bytes(7) + b"\xff" * 6 + bytes(10)
        assert fault(data).kind == "too_large"

    def test_webp_sizes_are_read_as_its_decoder_reads_them(self) -> None:
        for options in (
            {"lossless": True},
            {"quality": 80},
            {"quality": 80, "exif": b"Exif\x00\x00MM\x00*" + bytes(8)},
        ):
            data = picture_bytes(scene(123, 77), "WEBP", **options)
            assert fault(data, MediaLimits(max_pixels=123 * 77 - 1)).kind == "too_large"
            assert decode_image(data, SPEC, MediaLimits(max_pixels=123 * 77)).source_width == 123

    def test_jpeg(self) -> None:
        data = picture_bytes(scene(320, 240), "JPEG").replace(
            struct.pack(">HH", 240, 320), struct.pack(">HH", 65_000, 65_000)
        )
        assert fault(data).kind == "too_large"

    def test_jpeg_of_endless_scans(self) -> None:
        data = picture_bytes(scene(1000, 800), "JPEG", progressive=True)
        last = data.rindex(b"\xff\xda")
        assert fault(data[:-2] + data[last:-2] * 2000 + data[-2:]).kind == "too_large"
        assert pixels(data[:-2] + data[last:-2] * 3 + data[-2:]).any()

    def test_scans_are_not_counted_in_what_follows_the_picture(self) -> None:
        """Telephones append whole films to a JPEG."""
        data = picture_bytes(scene(1000, 800), "JPEG")
        np.testing.assert_array_equal(pixels(data + b"\xff\xda" * 5000), pixels(data))

    @pytest.mark.parametrize(
        ("format", "options", "bytes_per_pixel"),
        [
            ("PNG", {}, 4),
            ("WEBP", {"lossless": True}, 16),
            ("WEBP", {}, 16),
            ("TIFF", {}, 8),
            ("TIFF", {"compression": "tiff_lzw", "strip_size": 1}, 4),
            ("TIFF", {"compression": "tiff_lzw", "strip_size": 1 << 30}, 8),
            ("JPEG", {"progressive": True}, 10),
        ],
    )
    def test_memory(self, format: str, options: dict[str, Any], bytes_per_pixel: int) -> None:
        """What is beside the pixels is counted: canvases, strips, the samples that scans are gathered in."""
        picture = scene(200, 100)
        data = picture_bytes(picture, format, **options)
        enough = MediaLimits(max_unpacked_bytes=20_000 * bytes_per_pixel + 200 * 4)
        assert decode_image(data, SPEC, enough).source_width == 200
        error = fault(data, MediaLimits(max_unpacked_bytes=20_000 * bytes_per_pixel - 1))
        assert error.kind == "too_large"
        assert "200 x 100" in str(error)

    def test_a_jpeg_decoded_small_needs_next_to_nothing(self) -> None:
        data = picture_bytes(Image.new("RGB", (8000, 6000)), "JPEG")
        assert decode_image(data, SPEC, MediaLimits(max_unpacked_bytes=4_000_000)).source_width == 8000

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("format", "mode", "size", "options"),
        [
            ("WEBP", "RGBA", (5000, 4000), {"lossless": True, "method": 0}),
            ("PNG", "RGBA", (8000, 6000), {"compress_level": 1}),
            ("PNG", "LA", (8000, 6000), {"compress_level": 1}),
            ("PNG", "P", (8000, 6000), {"compress_level": 1, "transparency": bytes(range(256))}),
            ("TIFF", "RGB", (6000, 5000), {"compression": "tiff_lzw", "strip_size": 1 << 30}),
            ("JPEG", "RGB", (8000, 6000), {"progressive": True, "subsampling": 0}),
        ],
    )
    def test_the_largest_pictures_take_no_more_than_was_reckoned(
        self, tmp_path: Path, format: str, mode: str, size: Size, options: dict[str, Any]
    ) -> None:
        """In a process of its own, because the most memory ever held cannot be reset."""
        path = tmp_path / "picture"
        path.write_bytes(picture_bytes(Image.new(mode, size, 200), format, **options))
        program = """
import resource, sys
from pathlib import Path
from indexer.media import MediaSpec, decode_image
from tests.fixtures.media_bytes import make_png
held_kb = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = Path(sys.argv[1]).read_bytes()
decode_image(make_png(), MediaSpec())
before = held_kb()
decode_image(data, MediaSpec())
print((held_kb() - before) // 1000)
"""
        run = [sys.executable, "-c", program, str(path)]
        taken_mb = int(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        assert taken_mb < MediaLimits().max_unpacked_bytes / 1e6 + 20

    def test_bytes(self) -> None:
        data = LOSSLESS["png"](scene())
        assert fault(data, MediaLimits(max_bytes=len(data) - 1)).kind == "too_large"
        assert decode_image(data, SPEC, MediaLimits(max_bytes=len(data))).source_width == EDGE

    def test_text_that_unpacks_without_end(self) -> None:
        body = b"Comment\x00\x00" + zlib.compress(bytes(100_000_000), 9)
        chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
        rows = b"".join(b"\x00" + row.tobytes() for row in np.asarray(scene()))
        data = raw_png(rows, EDGE, EDGE, bits=8, colour=2, extra=chunk)
        try:
            shown = pixels(data)
        except MediaError as error:
            assert error.kind == "undecodable"  # noqa: PT017  either is right, as long as it is quick
        else:
            np.testing.assert_array_equal(shown, np.asarray(scene()))


class TestFaults:
    def test_kinds(self) -> None:
        assert fault(b"").kind == "empty"
        for data in (b"words", b"%PDF-1.4", b"<?xml version='1.0'?><svg/>", make_wav(), b"BM" + bytes(60)):
            assert fault(data).kind == "unsupported"
        for data in (
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"RIFF\x04\x00\x00\x00WEBP",
            b"II*\x00",
        ):
            assert fault(data).kind == "undecodable"

    def test_what_was_sent_is_named(self) -> None:
        assert "SVG" in str(fault(b"<?xml version='1.0'?>\n<svg/>"))
        assert "PDF" in str(fault(b"%PDF-1.4"))
        assert "WAV" in str(fault(make_wav()))

    @pytest.mark.parametrize("name", EVERY)
    def test_a_file_cut_short_is_refused_or_whole(self, name: str) -> None:
        """Never a picture that is grey from some row on: what comes out is all of it, or nothing."""
        data = EVERY[name](scene(320, 240))
        whole = pixels(data)
        refused = 0
        for length in sorted(
            {*range(0, len(data), max(1, len(data) // 25)), *range(len(data) - 16, len(data))}
        ):
            try:
                shown = pixels(data[:length])
            except MediaError as error:
                assert error.kind in ("undecodable", "empty", "unsupported")  # noqa: PT017
                refused += 1
            else:
                np.testing.assert_array_equal(shown, whole)
        assert refused >= 20

    def test_a_png_with_a_flipped_bit(self) -> None:
        data = bytearray(LOSSLESS["png"](scene()))
        data[data.index(b"IDAT") + 40] ^= 1
        assert fault(bytes(data)).kind == "undecodable"


class TestHostileBytes:
    MAGIC = (
        *(
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"RIFF\xff\x00\x00\x00WEBPVP8",
        ),
        *(b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08", b"II+\x00", b""),
    )

    @staticmethod
    def try_decoding(data: bytes) -> None:
        try:
            check_form(decode_image(data, SPEC), SPEC)
        except MediaError as error:
            assert str(error).endswith(".")  # noqa: PT017  any MediaError will do; nothing else may come out

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(magic=st.sampled_from(MAGIC), body=st.binary(max_size=300))
    def test_any_bytes(self, magic: bytes, body: bytes) -> None:
        self.try_decoding(magic + body)

    def test_damaged_files(self, capfd: pytest.CaptureFixture[str]) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        seeds = [encode(scene(60, 40)) for encode in EVERY.values()]
        seeds.append(picture_bytes(scene(60, 40), "JPEG", exif=exif))
        seeds.append(picture_bytes(scene(60, 40), "PNG", save_all=True, append_images=[scene(60, 40)]))
        seeds.append(
            picture_bytes(scene(60, 40), "GIF", save_all=True, append_images=[scene(60, 40).rotate(90)])
        )
        chance = random.Random(7)
        for number in range(900):
            damaged = bytearray(seeds[number % len(seeds)])
            for _ in range(chance.choice((1, 2, 5, 30))):
                place = chance.randrange(chance.choice((min(200, len(damaged)), len(damaged))))
                if chance.random() < 0.3:
                    damaged[place : place + 4] = chance.choice(
                        (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4))
                    )
                else:
                    damaged[place] = chance.randrange(256)
            if chance.random() < 0.2:
                del damaged[chance.randrange(1, len(damaged)) :]
            self.try_decoding(bytes(damaged))
        assert capfd.readouterr() == ("", "")

    def test_what_is_damaged_is_not_in_our_log(self, caplog: pytest.LogCaptureFixture) -> None:
        whole = picture_bytes(scene(), "TIFF")
        samples_per_pixel = struct.pack("<HHIHH", 277, 3, 1, 3, 0)
        assert samples_per_pixel in whole
        with pytest.raises(MediaError):
            decode_image(whole.replace(samples_per_pixel, struct.pack("<HHIHH", 277, 3, 1, 27395, 0)), SPEC)
        assert caplog.records == []
