"""Speech decoding against signals known as formulas: formats, rates, channels, faults, and hostile bytes."""

import io
import os
import random
import resource
import struct
import subprocess
import sys
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.media import MediaError, MediaLimits, MediaSpec, Waveform, decode_speech
from indexer.media.resample import resample
from tests.fixtures.encoded import LOSSLESS, LOSSY, by_ffmpeg, by_soundfile, picture_bytes, video_only

SPEC = MediaSpec()
# Channel n carries a tone of its own, so that a channel that is dropped or weighted shows in the mean.
TONES_HZ = (300.0, 430.0, 570.0, 690.0, 810.0, 950.0, 1070.0, 1190.0)


def tones(rate_hz: int, channels: int, seconds: float = 1.0) -> NDArray[np.float64]:
    """float64 [channels, samples]."""
    time_S = np.arange(round(seconds * rate_hz)) / rate_hz
    return tones_at(time_S, channels)


def tones_at(time_S: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    return np.stack([0.5 * np.sin(2 * np.pi * tone * time_S) for tone in TONES_HZ[:channels]])


def mean_tones(channels: int, samples: int) -> NDArray[np.float64]:
    """What the mean of the channels of `tones` is at the bundle's rate, by formula."""
    time_S = np.arange(samples) / SPEC.sample_rate_hz
    mixed: NDArray[np.float64] = tones_at(time_S, channels).mean(axis=0)
    return mixed


def pcm_wav(samples_S: NDArray[Any], rate_hz: int = 16000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.asarray(samples_S) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def fault(data: bytes, limits: MediaLimits | None = None) -> MediaError:
    with pytest.raises(MediaError) as caught:
        decode_speech(data, SPEC, limits)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value


def check_form(waveform: Waveform) -> None:
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.ndim == 1
    assert waveform.samples.flags.c_contiguous
    assert 1 <= len(waveform.samples) <= SPEC.max_samples
    assert np.isfinite(waveform.samples).all()
    assert waveform.sample_rate_hz == SPEC.sample_rate_hz


class TestFormats:
    @pytest.mark.parametrize(("rate_hz", "channels"), [(16000, 1), (8000, 2), (44100, 2), (48000, 6)])
    @pytest.mark.parametrize("name", LOSSLESS)
    def test_lossless_is_the_mean_of_the_channels(self, name: str, rate_hz: int, channels: int) -> None:
        waveform = decode_speech(LOSSLESS[name](tones(rate_hz, channels), rate_hz), SPEC)
        check_form(waveform)
        assert waveform.source_seconds == pytest.approx(1.0, abs=1e-6)
        assert not waveform.truncated
        assert len(waveform.samples) == 16000
        expected = mean_tones(channels, 16000)
        inner = slice(400, -400)  # the ends ring where a resampled signal begins and stops
        tolerance = 1.2e-2 if name == "wav-u8" else 2e-4
        np.testing.assert_allclose(waveform.samples[inner], expected[inner], atol=tolerance)

    @pytest.mark.parametrize(("rate_hz", "channels"), [(48000, 1), (48000, 2)])
    @pytest.mark.parametrize("name", LOSSY)
    def test_lossy_is_close_and_in_place(self, name: str, rate_hz: int, channels: int) -> None:
        waveform = decode_speech(LOSSY[name](tones(rate_hz, channels, 1.5), rate_hz), SPEC)
        check_form(waveform)
        # Without a header that says so (ADTS; fragments written as they come) the encoder's lead-in stays.
        late = {"aac": 1024, "mp4-recorder": 1024}.get(name, 0) * 16000 // rate_hz
        assert waveform.source_seconds == pytest.approx(1.5 + late / 16000, abs=0.05)
        heard = waveform.samples[late + 2000 : late + 20000]
        expected = mean_tones(channels, 24000)[2000:20000]
        assert np.corrcoef(heard, expected)[0, 1] > 0.98
        assert 20 * np.log10(heard.std() / expected.std()) == pytest.approx(0, abs=1.0)

    @pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 32000, 44100])
    def test_mp3_at_its_rates(self, rate_hz: int) -> None:
        waveform = decode_speech(LOSSY["mp3"](tones(rate_hz, 1, 1.5), rate_hz), SPEC)
        assert waveform.source_seconds == pytest.approx(1.5, abs=1e-3)
        assert np.corrcoef(waveform.samples[2000:20000], mean_tones(1, 24000)[2000:20000])[0, 1] > 0.98

    def test_eight_channels_at_192_khz(self) -> None:
        waveform = decode_speech(by_soundfile(tones(192_000, 8), 192_000, "WAV", "PCM_24"), SPEC)
        np.testing.assert_allclose(waveform.samples[400:-400], mean_tones(8, 16000)[400:-400], atol=2e-4)

    def test_eight_channels_that_are_kept_apart(self) -> None:
        """PyAV finds a ninth plane, which is no memory of ours: reading it ended the process."""
        waveform = decode_speech(by_soundfile(tones(48_000, 8), 48_000, "OGG", "VORBIS"), SPEC)
        found, expected = waveform.samples[2000:-2000], mean_tones(8, 16000)[2000:-2000]
        assert np.corrcoef(found, expected)[0, 1] > 0.98
        assert np.abs(found - expected).max() < 0.05

    @pytest.mark.parametrize("channels", [9, 12, 32])
    def test_more_channels_that_are_kept_apart_are_refused(self, channels: int) -> None:
        sound_CS = np.repeat(tones(16_000, 1), channels, axis=0)
        assert fault(by_soundfile(sound_CS, 16_000, "OGG", "VORBIS")).kind == "unsupported"
        assert len(decode_speech(by_soundfile(sound_CS, 16_000, "WAV"), SPEC).samples) == 16_000

    def test_a_big_endian_wav_is_refused(self) -> None:
        """FFmpeg takes its samples for little-endian ones; noise would be embedded without a word."""
        buffer = io.BytesIO()
        soundfile.write(buffer, tones(16000, 2).T, 16000, format="WAV", subtype="PCM_16", endian="BIG")
        assert buffer.getvalue().startswith(b"RIFX")
        assert fault(buffer.getvalue()).kind == "unsupported"

    @pytest.mark.parametrize(
        ("container", "video", "audio"), [("mp4", "mpeg4", "aac"), ("webm", "libvpx", "libopus")]
    )
    def test_sound_of_a_video(self, container: str, video: str, audio: str) -> None:
        data = by_ffmpeg(tones(48000, 1), 48000, container, audio, with_video=video)
        assert decode_speech(data, SPEC).source_seconds == pytest.approx(1.0, abs=0.05)

    def test_tags_in_front_are_stepped_over(self) -> None:
        tag = b"ID3\x04\x00\x00\x00\x00\x0f\x7f" + bytes(15 * 128 + 127)
        for name in ("mp3", "flac-16"):
            plain = {**LOSSLESS, **LOSSY}[name](tones(44100, 1), 44100)
            bare = plain[plain.index(b"\xff\xfb") :] if name == "mp3" else plain
            expected = decode_speech(bare, SPEC).samples
            np.testing.assert_array_equal(decode_speech(tag + bare, SPEC).samples, expected)
            np.testing.assert_array_equal(decode_speech(tag + tag + bare, SPEC).samples, expected)

    def test_a_rate_that_changes_on_the_way(self) -> None:
        data = LOSSY["mp3"](tones(44100, 2), 44100) + LOSSY["mp3"](tones(22050, 1), 22050)
        waveform = decode_speech(data, SPEC)
        assert waveform.source_seconds == pytest.approx(2.0, abs=0.15)
        assert len(waveform.samples) / 16000 == pytest.approx(waveform.source_seconds, abs=1e-3)


class TestResample:
    @pytest.mark.parametrize("tone_hz", [50, 440, 3000])
    @pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000, 384_000])
    def test_a_sine_keeps_frequency_and_level(self, rate_hz: int, tone_hz: int) -> None:
        sine = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(rate_hz) / rate_hz)
        heard = resample(sine.astype(np.float32), rate_hz, 16000)
        assert len(heard) == 16000
        inner = heard[1600:14400].astype(np.float64)
        time_S = np.arange(16000)[1600:14400] / 16000
        np.testing.assert_allclose(inner, 0.5 * np.sin(2 * np.pi * tone_hz * time_S), atol=2e-3)

    @pytest.mark.parametrize("rate_hz", [22050, 44100, 48000])
    def test_what_16_khz_cannot_hold_is_filtered_out(self, rate_hz: int) -> None:
        for tone_hz in (9000, 10000):
            sine = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(rate_hz) / rate_hz)
            heard = resample(sine.astype(np.float32), rate_hz, 16000)[400:-400]
            assert 20 * np.log10(np.abs(heard).max() / 0.5) < -60

    def test_against_the_sum_written_out(self) -> None:
        """Band-limited noise: the Whittaker-Shannon sum over every sample is the definition."""
        random_numbers = np.random.default_rng(3)
        rate_hz, length = 24000, 1200
        spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
        spectrum[10:300] = random_numbers.standard_normal(290) + 1j * random_numbers.standard_normal(290)
        noise = np.fft.irfft(spectrum, length) * np.hanning(length)
        heard = resample(noise.astype(np.float32), rate_hz, 16000)
        places = np.arange(len(heard)) * rate_hz / 16000
        expected = np.sinc(places[:, None] - np.arange(length)[None]) @ noise
        np.testing.assert_allclose(heard, expected, atol=2e-3 * np.abs(noise).max())

    @pytest.mark.parametrize("samples", [1, 2, 7, 160, 12345])
    @pytest.mark.parametrize("rate_hz", [1000, 11025, 15999, 48000, 768_000])
    def test_length_is_what_it_should_be(self, rate_hz: int, samples: int) -> None:
        heard = resample(np.ones(samples, np.float32), rate_hz, 16000)
        assert len(heard) == round(samples * 16000 / rate_hz)
        assert np.isfinite(heard).all()
        if samples > 100 and len(heard) > 100:
            np.testing.assert_allclose(heard[20:-20], 1.0, atol=1e-2)

    def test_same_rate_is_left_alone(self) -> None:
        samples = np.random.default_rng(0).standard_normal(100).astype(np.float32)
        np.testing.assert_array_equal(resample(samples, 16000, 16000), samples)

    def test_starts_no_thread_of_its_own(self) -> None:
        """FFmpeg's default is a thread a core for every graph."""
        most = 0
        finished = threading.Event()

        def watch() -> None:
            nonlocal most
            while not finished.is_set():
                most = max(most, len(os.listdir("/proc/self/task")))

        watcher = threading.Thread(target=watch)
        watcher.start()
        before = len(os.listdir("/proc/self/task"))
        for _ in range(20):
            resample(np.zeros(48000, np.float32), 48000, 16000)
        finished.set()
        watcher.join()
        assert most <= before


class TestLength:
    @pytest.mark.parametrize("name", ["wav-16", "flac-16", "mp3", "ogg-opus", "webm-recorder", "mp4-aac"])
    def test_long_clips_are_cut_and_say_how_long_they_were(self, name: str) -> None:
        encode = {**LOSSLESS, **LOSSY}[name]
        long, short = (decode_speech(encode(tones(48000, 1, s), 48000), SPEC) for s in (20.0, 8.0))
        assert long.truncated
        assert len(long.samples) == SPEC.max_samples
        assert long.source_seconds == pytest.approx(20.0, abs=0.06)
        # The first eight seconds are those of a clip that has no more, but for how its end is encoded.
        assert np.corrcoef(long.samples[:120_000], short.samples[:120_000])[0, 1] > 0.999

    def test_exactly_as_long_as_is_kept(self) -> None:
        for rate_hz in (16000, 44100):
            waveform = decode_speech(pcm_wav(tones(rate_hz, 1, 8.0)[0], rate_hz), SPEC)
            assert len(waveform.samples) == SPEC.max_samples
            assert not waveform.truncated

    def test_what_follows_the_cut_does_not_reach_into_it(self) -> None:
        start = tones(44100, 1, 9.0)[0]
        other = np.concatenate([start, 0.9 * np.random.default_rng(0).uniform(-1, 1, 44100 * 5)])
        one, two = (decode_speech(pcm_wav(samples, 44100), SPEC).samples for samples in (start, other))
        np.testing.assert_array_equal(one, two)

    def test_another_spec(self) -> None:
        spec = MediaSpec(sample_rate_hz=22050, max_seconds=0.5)
        waveform = decode_speech(pcm_wav(tones(16000, 1)[0]), spec)
        assert (len(waveform.samples), waveform.sample_rate_hz) == (11025, 22050)
        assert (waveform.truncated, waveform.source_seconds) == (True, 1.0)

    @pytest.mark.parametrize(
        "name",
        [
            "wav-16",
            "wav-streamed",
            "flac-16",
            "mp3",
            "ogg-opus",
            "webm-opus",
            "webm-recorder",
            "mp4-aac",
            "aac",
        ],
    )
    def test_too_long(self, name: str) -> None:
        data = {**LOSSLESS, **LOSSY}[name](tones(48000, 1, 3.0), 48000)
        limits = MediaLimits(max_source_seconds=2.0)
        assert fault(data, limits).kind == "too_long"
        assert decode_speech(data, SPEC, MediaLimits(max_source_seconds=3.2)).source_seconds > 2.9

    @pytest.mark.parametrize("name", ["wav-16", "flac-16", "ogg-vorbis", "mp3"])
    def test_ten_minutes(self, name: str) -> None:
        data = {**LOSSLESS, **LOSSY}[name](np.tile(tones(8000, 1), 600), 8000)
        error = fault(data)
        assert error.kind == "too_long"
        assert "120 s" in str(error)

    @pytest.mark.parametrize("stated", [0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 32044])
    def test_a_wav_with_the_wrong_count_in_its_header(self, stated: int) -> None:
        """What is written there when it is not known yet, and a count with the header in it."""
        honest = pcm_wav(tones(16000, 1)[0])
        data = honest[:40] + struct.pack("<I", stated) + honest[44:]
        np.testing.assert_array_equal(decode_speech(data, SPEC).samples, decode_speech(honest, SPEC).samples)

    def test_a_wav_whose_last_sample_is_cut_in_two(self) -> None:
        honest = pcm_wav(tones(16000, 1)[0])
        assert len(decode_speech(honest[:-1], SPEC).samples) == 15999


class TestFaults:
    def test_kinds(self) -> None:
        good = pcm_wav(tones(16000, 1)[0])
        cases = {
            "empty": [b"", pcm_wav(np.zeros(0))],
            "unsupported": [
                *(b"Just some words.", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7\n"),
                *(b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"),
            ],
            "too_short": [pcm_wav(tones(16000, 1)[0][:800])],
            "silent": [
                pcm_wav(np.zeros(16000)),
                pcm_wav(np.full(16000, 0.5)),
                pcm_wav(tones(16000, 1)[0] / 1000),
            ],
            "undecodable": [good[:30], good[:44]],
        }
        for kind, files in cases.items():
            for data in files:
                assert fault(data).kind == kind, data[:60]

    def test_eight_bit_silence_is_silent_whichever_way_it_is_written(self) -> None:
        for level in (0x00, 0x7F, 0x80):
            header = pcm_wav(np.zeros(0))
            data = (
                header[:32]
                + struct.pack("<HH", 1, 8)
                + b"data"
                + struct.pack("<I", 8000)
                + bytes([level]) * 8000
            )
            assert fault(data).kind == "silent"

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
    @pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("rate_hz", [16000, 44100])
    def test_samples_that_are_not_numbers(self, value: float, subtype: str, rate_hz: int) -> None:
        samples = tones(rate_hz, 2)
        samples[0, 5000] = value
        assert fault(by_soundfile(samples, rate_hz, "WAV", subtype)).kind == "undecodable"

    def test_doubles_too_large_for_single_precision(self) -> None:
        assert fault(by_soundfile(tones(16000, 2) * 1e300, 16000, "WAV", "DOUBLE")).kind == "undecodable"

    def test_integers_written_as_floats(self) -> None:
        assert fault(by_soundfile(tones(16000, 1) * 32767, 16000, "WAV", "FLOAT")).kind == "undecodable"

    def test_a_hot_recording_is_neither_clipped_nor_refused(self) -> None:
        waveform = decode_speech(by_soundfile(tones(16000, 1) * 4, 16000, "WAV", "FLOAT"), SPEC)
        assert waveform.samples.max() == pytest.approx(2.0, abs=1e-3)

    def test_no_sound_in_it(self) -> None:
        for container, codec in (("mp4", "mpeg4"), ("webm", "libvpx")):
            assert fault(video_only(container, codec)).kind == "unsupported"

    def test_a_picture(self) -> None:
        from PIL import Image

        error = fault(picture_bytes(Image.new("RGB", (9, 9)), "PNG"))
        assert error.kind == "unsupported"
        assert "PNG" in str(error)

    def test_limits_of_bytes_channels_and_rate(self) -> None:
        data = by_soundfile(tones(16000, 8), 16000, "WAV")
        assert fault(data, MediaLimits(max_bytes=len(data) - 1)).kind == "too_large"
        assert fault(data, MediaLimits(max_channels=7)).kind == "unsupported"
        assert fault(data, MediaLimits(max_rate_hz=15999)).kind == "unsupported"
        assert fault(data, MediaLimits(min_rate_hz=16001)).kind == "unsupported"
        limits = MediaLimits(max_bytes=len(data), max_channels=8, max_rate_hz=16000, min_rate_hz=16000)
        assert len(decode_speech(data, SPEC, limits).samples) == 16000

    def test_an_mp3_cut_before_it_says_anything(self) -> None:
        data = LOSSY["mp3"](tones(44100, 1), 44100)
        start = data.index(b"\xff\xfb")
        for length in (start // 2, start + 4, start + 30, start + 300):
            assert fault(data[:length]).kind == "undecodable"

    def test_a_stream_tapped_in_the_middle(self) -> None:
        data = LOSSY["mp3"](tones(44100, 1, 2.0), 44100)
        assert decode_speech(data[5000:], SPEC).source_seconds > 1.0


class TestSameBytesSameSamples:
    def test_again_and_in_many_threads(self) -> None:
        files = [encode(tones(48000, 2), 48000) for encode in (*LOSSLESS.values(), *LOSSY.values())]
        expected = [decode_speech(data, SPEC).samples for data in files]
        with ThreadPoolExecutor(6) as pool:
            heard = list(pool.map(lambda data: decode_speech(data, SPEC).samples, files * 3))
        for number, samples in enumerate(heard):
            np.testing.assert_array_equal(samples, expected[number % len(files)])


class TestHostileBytes:
    SEEDS = tuple(
        encode(tones(16000, 1, 0.5), 16000)
        for name, encode in {**LOSSLESS, **LOSSY}.items()
        if name not in ("wav-32", "wav-double", "webm-recorder")
    )
    MAGIC = (
        *(b"RIFF\x24\x00\x00\x00WAVEfmt ", b"fLaC", b"OggS\x00\x02", b"ID3\x04\x00\x00\x00\x00\x00\x01"),
        *(b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftypmp42", b""),
    )

    @staticmethod
    def try_decoding(data: bytes) -> None:
        try:
            waveform = decode_speech(data, SPEC)
        except MediaError as error:
            assert str(error).endswith(".")  # noqa: PT017  any MediaError will do; nothing else may come out
        else:
            check_form(waveform)

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(magic=st.sampled_from(MAGIC), body=st.binary(max_size=400))
    def test_any_bytes(self, magic: bytes, body: bytes) -> None:
        self.try_decoding(magic + body)

    def test_damaged_files(self, capfd: pytest.CaptureFixture[str]) -> None:
        chance = random.Random(5)
        for number in range(600):
            damaged = bytearray(self.SEEDS[number % len(self.SEEDS)])
            for _ in range(chance.choice((1, 2, 5, 30))):
                place = chance.randrange(chance.choice((min(200, len(damaged)), len(damaged))))
                if chance.random() < 0.3:
                    damaged[place : place + 4] = chance.choice(
                        (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4))
                    )
                else:
                    damaged[place] = chance.randrange(256)
            if chance.random() < 0.3:
                del damaged[chance.randrange(1, len(damaged)) :]
            self.try_decoding(bytes(damaged))
        captured = capfd.readouterr()
        assert captured.err == ""
        assert captured.out == ""

    def test_sizes_in_headers_take_no_memory(self) -> None:
        """In a process of its own, because the most memory ever held cannot be reset."""
        program = """
import resource, struct, sys
from indexer.media import MediaError, MediaSpec, decode_speech
format_chunk = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
comment = b"LIST" + struct.pack("<I", 0x7FFFFF00) + b"INFOICMT" + struct.pack("<I", 0x7FFFFE00)
data = b"RIFF" + struct.pack("<I", 0x7FFFFFF0) + b"WAVE" + format_chunk + comment + bytes(8000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode_speech(data, MediaSpec())
except MediaError as error:
    print(error.kind, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        kind, taken_mb = run.stdout.split()
        assert kind in ("undecodable", "empty")
        assert int(taken_mb) < 150

    def test_a_header_that_claims_millions_of_packets(self) -> None:
        data = bytearray(LOSSY["mp4-aac"](tones(48000, 1), 48000))
        claims = 4_000_000
        sizes, chunks, times = (data.index(atom) for atom in (b"stsz", b"stsc", b"stts"))
        data[sizes + 8 : sizes + 16] = struct.pack(">II", 1, claims)
        data[chunks + 16 : chunks + 20] = struct.pack(">I", claims)
        data[times + 12 : times + 20] = struct.pack(">II", claims, 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        assert fault(bytes(data)).kind == "undecodable"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 5
