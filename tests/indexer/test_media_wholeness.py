"""A recording that was cut off is refused wherever its container tells, and taken wherever nothing does."""

import struct
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.media import MediaError, MediaSpec, decode_speech, sniff
from indexer.media.wholeness import announced_seconds, missing_bytes
from tests.fixtures.encoded import LOSSLESS, LOSSY, by_ffmpeg

SPEC = MediaSpec()
EVERY = {**LOSSLESS, **LOSSY}
UNCOUNTED = ("wav-streamed", "webm-recorder", "aac")
COUNTED = [name for name in EVERY if name not in UNCOUNTED]
MP3_FRAME_SECONDS = 1152 / 48000


def noisy_tone(seconds: float, rate_hz: int = 48000) -> NDArray[np.float64]:
    """float64 [1, samples]: what no codec can pack into nothing."""
    time_S = np.arange(round(seconds * rate_hz)) / rate_hz
    noise_S = np.random.default_rng(0).standard_normal(len(time_S))
    return (0.4 * np.sin(2 * np.pi * 300 * time_S) + 0.02 * noise_S)[None]


def check_cut_off(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        decode_speech(data, SPEC)
    assert caught.value.kind == "undecodable"
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("seconds", [0.6, 10.0])
@pytest.mark.parametrize("name", COUNTED)
def test_what_is_cut_off_anywhere_is_refused(name: str, seconds: float) -> None:
    """But for less than a frame at the end, and 64 bytes of a WAV."""
    data = EVERY[name](noisy_tone(seconds), 48000)
    whole_seconds = decode_speech(data, SPEC).source_seconds
    refused = 0
    lengths = {*np.linspace(1, len(data) - 1, 16).astype(int).tolist(), len(data) - 70, len(data) - 700}
    for length in sorted(lengths):
        try:
            there = decode_speech(data[:length], SPEC)
        except MediaError as error:
            assert error.kind in ("undecodable", "unsupported")  # noqa: PT017  too little to tell what it is
            refused += 1
        else:
            assert whole_seconds - there.source_seconds <= MP3_FRAME_SECONDS
    assert refused >= len(lengths) - 3


@pytest.mark.parametrize("name", UNCOUNTED)
def test_a_stream_that_announces_nothing_gives_what_is_there(name: str) -> None:
    data = EVERY[name](noisy_tone(3.0), 48000)
    check_first_half(data)


def check_first_half(data: bytes) -> None:
    whole, half = decode_speech(data, SPEC), decode_speech(data[: len(data) // 2], SPEC)
    assert 1.0 < half.source_seconds < 2.0
    length = len(half.samples) - 1000
    assert np.corrcoef(half.samples[:length], whole.samples[:length])[0, 1] > 0.99


def test_the_sentence_says_what_is_missing_and_what_to_do() -> None:
    wav, mp3 = (EVERY[name](noisy_tone(3.0), 48000) for name in ("wav-16", "mp3"))
    assert check_cut_off(wav[:-1000]) == (
        "The WAV file is cut off: 1,000 bytes that it announces are missing; send all of it."
    )
    assert check_cut_off(mp3[: len(mp3) // 2]) == (
        "The MP3 file is cut off or damaged: it announces 3.00 s of sound and ends after 1.51 s; "
        "send all of it."
    )


class TestMp3:
    def test_without_a_count_nothing_is_announced(self) -> None:
        streamed = by_ffmpeg(noisy_tone(3.0), 48000, "mp3", "libmp3lame", seekable=False)
        assert announced_seconds(streamed, sniff(streamed)) == 0
        check_first_half(streamed)

    @pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_the_count_is_found_at_every_rate(self, rate_hz: int, channels: int) -> None:
        sound = np.repeat(noisy_tone(2.0, rate_hz), channels, axis=0)
        data = LOSSY["mp3"](sound, rate_hz)
        assert announced_seconds(data, sniff(data)) == pytest.approx(2.0, abs=0.15)
        tagged = b"ID3\x04\x00\x00\x00\x00\x00\x64" + bytes(100 + 50) + data[data.index(b"\xff", 10) :]
        assert announced_seconds(tagged, sniff(tagged)) == announced_seconds(data, sniff(data))
        assert decode_speech(data, SPEC).source_seconds == pytest.approx(2.0, abs=1e-3)
        check_cut_off(data[: len(data) * 9 // 10])

    def test_a_count_in_the_manner_of_fraunhofer(self) -> None:
        streamed = by_ffmpeg(noisy_tone(3.0), 48000, "mp3", "libmp3lame", seekable=False)
        start = streamed.index(b"\xff\xfb")
        length = len(streamed) - start
        frames = round(3.0 / MP3_FRAME_SECONDS)
        first = bytearray(streamed[start : start + 192])
        first[4:] = bytes(188)
        first[36:54] = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, length, frames)
        data = bytes(first) + streamed[start:]
        assert announced_seconds(data, sniff(data)) == pytest.approx(3.0, abs=0.05)
        assert decode_speech(data, SPEC).source_seconds == pytest.approx(3.0, abs=0.06)
        check_cut_off(data[: len(data) // 2])

    def test_frames_may_be_one_fewer_than_counted(self) -> None:
        """Some encoders count the frame that holds the count."""
        data = bytearray(LOSSY["mp3"](noisy_tone(3.0), 48000))
        count = data.index(b"Info") + 8
        (frames,) = struct.unpack(">I", data[count : count + 4])
        for more, cut_off in ((1, False), (2, True)):
            data[count : count + 4] = struct.pack(">I", frames + more)
            if cut_off:
                check_cut_off(bytes(data))
            else:
                assert decode_speech(bytes(data), SPEC).source_seconds == pytest.approx(3.0, abs=0.05)

    def test_what_follows_the_sound_does_no_harm(self) -> None:
        data = LOSSY["mp3"](noisy_tone(3.0), 48000)
        assert decode_speech(data + b"TAG" + bytes(125), SPEC).source_seconds == pytest.approx(3.0, abs=0.05)


class TestFlac:
    def test_without_a_count_nothing_is_announced(self) -> None:
        data = bytearray(LOSSLESS["flac-16"](noisy_tone(3.0), 48000))
        data[21] &= 0xF0
        data[22:26] = bytes(4)
        assert announced_seconds(bytes(data), sniff(bytes(data))) == 0
        check_first_half(bytes(data))

    def test_damage_on_the_way_is_not_the_end(self) -> None:
        data = bytearray(LOSSLESS["flac-16"](noisy_tone(3.0), 48000))
        data[len(data) // 2] ^= 0x55
        assert 2.5 < decode_speech(bytes(data), SPEC).source_seconds < 3.0


class TestMp4:
    def test_an_index_in_front(self) -> None:
        options = {"moov_size": "30000"}
        data = by_ffmpeg(noisy_tone(3.0), 48000, "mp4", "aac", options=options)
        assert data.index(b"moov") < data.index(b"mdat")
        assert decode_speech(data, SPEC).source_seconds == pytest.approx(3.0, abs=0.05)
        assert "cut off" in check_cut_off(data[: len(data) // 2])

    @pytest.mark.parametrize("more", [bytes(1000), b"\xff" * 1000, b"junk", b"\x00\x00\x00\x08free"])
    def test_what_follows_the_boxes_does_no_harm(self, more: bytes) -> None:
        data = LOSSY["mp4-aac"](noisy_tone(1.0), 48000)
        assert missing_bytes(data + more, sniff(data)) == 0

    def test_a_box_that_goes_to_the_end(self) -> None:
        data = bytearray(LOSSY["mp4-recorder"](noisy_tone(1.0), 48000))
        last = data.rindex(b"mdat") - 4
        del data[last + int.from_bytes(data[last : last + 4], "big") :]
        data[last : last + 4] = bytes(4)
        assert missing_bytes(bytes(data), sniff(bytes(data))) == 0

    def test_sizes_of_64_bits(self) -> None:
        box = struct.pack(">I4sQ", 1, b"mdat", 16 + 100)
        start = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"
        for there in (0, 60, 99, 100):
            data = start + box + bytes(there)
            assert missing_bytes(data, sniff(data)) == 100 - there


class TestOgg:
    def test_the_letters_of_a_page_within_the_sound(self) -> None:
        data = bytearray(LOSSY["ogg-opus"](noisy_tone(1.0), 48000))
        data[-200:-196] = b"OggS"
        assert missing_bytes(bytes(data), sniff(bytes(data))) == 0

    def test_pages_that_are_all_there(self) -> None:
        """Cut between two pages it is like any stream that nobody ended."""
        data = LOSSY["ogg-opus"](noisy_tone(3.0), 48000)
        cut = data[: data.rindex(b"OggS")]
        assert missing_bytes(cut, sniff(cut)) == 0
        assert decode_speech(cut, SPEC).source_seconds > 1.5


class TestWebm:
    @pytest.mark.parametrize("length", range(1, 9))
    def test_a_segment_of_unknown_size(self, length: int) -> None:
        unknown = (1 << 7 * length | (1 << 7 * length) - 1).to_bytes(length, "big")
        data = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67" + unknown + bytes(10)
        assert missing_bytes(data, sniff(data)) == 0

    @pytest.mark.parametrize("length", range(1, 9))
    def test_a_segment_of_known_size(self, length: int) -> None:
        known = (1 << 7 * length | 100).to_bytes(length, "big")
        for there in (0, 1, 99, 100, 101):
            data = b"\x1a\x45\xdf\xa3\x80\xec\x81\x00\x18\x53\x80\x67" + known + bytes(there)
            assert missing_bytes(data, sniff(data)) == max(0, 100 - there)


def test_a_file_of_nothing_but_empty_parts_is_given_up_on() -> None:
    hostile = (
        b"RIFF\xff\xff\xff\x00WAVE" + b"junk\x00\x00\x00\x00" * 3_000_000,
        b"\x00\x00\x00\x08ftyp" * 3_000_000,
        b"\x1a\x45\xdf\xa3\x80" + b"\xec\x80" * 12_000_000,
        b"OggS" * 6_000_000,
        b"OggS\x00" + b"OggS\x01" * 5_000_000,
    )
    for data in hostile:
        started = time.process_time()
        missing_bytes(data, sniff(data))
        assert time.process_time() - started < 2, data[:20]
