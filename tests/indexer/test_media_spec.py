"""MediaSpec in and out of a manifest, sniffing by content alone, and what an error carries."""

import json
import pickle
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.media import MediaError, MediaSpec, sniff
from indexer.media.sniff import audio_start, mpeg_start
from tests.fixtures.encoded import LOSSLESS, LOSSY, picture_bytes
from tests.fixtures.media_bytes import make_png, make_wav

ID3_TAG = b"ID3\x04\x00\x00\x00\x00\x00\x05title"


class TestSpec:
    def test_through_json_and_back(self) -> None:
        for spec in (
            MediaSpec(),
            MediaSpec(22050, 3.5, 299, "shortest", "center", 0.875),
            MediaSpec(image_size=224, crop="center", crop_fraction=0.9),
        ):
            assert MediaSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    def test_max_samples(self) -> None:
        assert MediaSpec().max_samples == 128_000
        assert MediaSpec(sample_rate_hz=22050, max_seconds=0.3).max_samples == 6615

    @pytest.mark.parametrize(
        "wrong",
        [
            {"sample_rate_hz": 0},
            {"sample_rate_hz": 10**9},
            {"max_seconds": 0.0},
            {"max_seconds": float("nan")},
            {"image_size": 0},
            {"image_size": 100_000},
            {"resize": "stretch"},
            {"crop": "left"},
            {"crop": "center", "crop_fraction": 0.0},
            {"crop": "center", "crop_fraction": 1.1},
            {"crop_fraction": 0.9},
            {"resize": "shortest"},
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"\.$"):
            MediaSpec.from_dict({**MediaSpec().to_dict(), **wrong})

    def test_keys_must_be_all_there_and_no_others(self) -> None:
        block = MediaSpec().to_dict()
        with pytest.raises(ValueError, match="unknown keys: colour"):
            MediaSpec.from_dict({**block, "colour": "grey"})
        del block["crop"]
        with pytest.raises(ValueError, match="lacks these keys: crop"):
            MediaSpec.from_dict(block)


class TestSniff:
    def test_speech(self) -> None:
        import numpy as np

        tone = 0.5 * np.sin(np.arange(24000) / 10)[None]
        mimes = {
            "mp4": "mp4",
            "wav": "wav",
            "flac": "flac",
            "mp3": "mpeg",
            "ogg": "ogg",
            "aac": "aac",
            "webm": "webm",
            "m4a": "mp4",
        }
        for name, encode in {**LOSSLESS, **LOSSY}.items():
            found = sniff(encode(tone, 48000))
            assert (found.modality, found.mime) == ("speech", f"audio/{mimes[name.split('-')[0]]}"), name
            assert found.extension.startswith(".")

    def test_images(self) -> None:
        from PIL import Image

        picture = Image.new("RGB", (8, 8), "teal")
        for format, mime in {
            "PNG": "png",
            "JPEG": "jpeg",
            "GIF": "gif",
            "WEBP": "webp",
            "TIFF": "tiff",
        }.items():
            found = sniff(picture_bytes(picture, format))
            assert (found.modality, found.mime) == ("image", f"image/{mime}")

    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (b"%PDF-1.7", "PDF"),
            (b'<?xml version="1.0"?><!-- x --><svg></svg>', "SVG"),
            (b"<!DOCTYPE html><title>404</title>", "HTML"),
            (b"{}", "text"),
            ("Schöne Grüße aus Köln".encode("latin-1"), "text"),
            ("words".encode("utf-16"), "text"),
            (b"PK\x03\x04" + bytes(20), "ZIP"),
            (b"\x00\x00\x00\x1cftypavif", "AVIF"),
            (b"\x00\x00\x00\x1cftypheic", "HEIC"),
            (b"FORM\x00\x00\x00\x20AIFFCOMM", "AIFF"),
            (bytes(300), "unknown"),
            (b"\xff" * 300, "unknown"),
            (b"\xff\xfb" * 300, "unknown"),
        ],
    )
    def test_what_is_not_read_is_named(self, data: bytes, word: str) -> None:
        with pytest.raises(MediaError, match=word) as caught:
            sniff(data)
        assert caught.value.kind == "unsupported"

    def test_chance_is_never_taken_for_an_mp3(self) -> None:
        chance = random.Random(1)
        for _ in range(200):
            data = chance.choice((b"", b"\xff\xfb", b"\xff\xe3")) + chance.randbytes(3000)
            with pytest.raises(MediaError):
                sniff(data)

    @given(
        tag=st.sampled_from([b"", ID3_TAG, ID3_TAG[:-1], ID3_TAG * 2]),
        zeros=st.integers(0, 70) | st.integers(65_500, 65_600),
        rest=st.binary(max_size=20),
    )
    @example(b"", 0, b"")
    @example(b"", 65_536, b"\xff")
    @example(b"", 65_537, b"\xff")
    @example(ID3_TAG[:-1], 0, b"")  # the tag ends behind the file
    def test_padding_ends_where_a_look_at_every_byte_ends_it(
        self, tag: bytes, zeros: int, rest: bytes
    ) -> None:
        data = tag + bytes(zeros) + rest
        start = audio_start(data)
        end = min(len(data), start + 65_536)
        while start < end and data[start] == 0:
            start += 1
        assert mpeg_start(data) == start

    def test_only_the_content_is_asked(self) -> None:
        assert sniff(make_wav()).mime == "audio/wav"
        assert sniff(make_png()).mime == "image/png"


def test_an_error_comes_home_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(MediaError("silent", "The recording is silent.")))
    assert isinstance(error, MediaError)
    assert (error.kind, str(error)) == ("silent", "The recording is silent.")
