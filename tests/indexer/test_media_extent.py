"""What a file claims to be, against what it is once decoded; and that no bytes make the look at it long."""

import io
import time
from contextlib import suppress

import pytest
from PIL import Image

from indexer.media import MediaError, extent
from tests.fixtures.media_bytes import make_png, make_wav


def _picture(kind: str, width: int = 300, height: int = 200, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 90)).save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        make_png(width=300, height=200),
        _picture("JPEG"),
        _picture("JPEG", progressive=True, comment=b"x" * 60_000),
        _picture("GIF"),
        _picture("WEBP"),
        _picture("WEBP", lossless=True),
    ],
    ids=["png", "jpeg", "progressive jpeg", "gif", "webp", "lossless webp"],
)
def test_a_picture_is_as_large_as_its_header_says(data: bytes) -> None:
    assert (extent(data).megapixels, extent(data).seconds) == (0.06, 0.0)


def test_a_bomb_is_charged_for_what_it_claims() -> None:
    assert extent(make_png(width=8000, height=6000)[:2000]).megapixels == 48


def test_a_header_that_says_nothing_counts_by_its_bytes() -> None:
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00", b"RIFF1234WEBPxxxx"):
        assert 0 < extent(head + b"\0" * 20_000).megapixels < 1


def test_speech_lasts_at_least_as_long_as_it_does() -> None:
    for seconds in (0.5, 3.0, 20.0):
        assert extent(make_wav(seconds)).seconds >= seconds
        assert extent(make_wav(seconds, sample_rate_hz=8000)).seconds >= seconds


def test_what_is_neither_is_refused_as_when_it_is_decoded() -> None:
    for data in (b"", b"hello", b"%PDF-1.7"):
        with pytest.raises(MediaError):
            extent(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0" + b"\x00\x02\xff\xe0" * 5_000_000,
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" * 2_000_000) + b"\xff\xfb\x90\x00",
        b"\0" * 20_000_000,
    ],
    ids=["segments", "tags", "zeros"],
)
def test_no_bytes_make_the_look_long(data: bytes) -> None:
    began = time.perf_counter()
    with suppress(MediaError):
        extent(data)
    assert time.perf_counter() - began < 0.25  # seconds without the bounds
