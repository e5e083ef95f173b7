"""Speech: bytes in any accepted container -> mono float32 waveform at the bundle's rate. The same bytes always give the
same samples. FFmpeg (through PyAV) is given a buffer and the one demuxer that was sniffed, and may open nothing else."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

from indexer.media.errors import MediaError
from indexer.media.sniff import AAC, AIFF, FLAC, MP3, MP4, OGG, WAV, WEBM, MediaType, audio_start, expect
from indexer.media.spec import MediaLimits, MediaSpec, Waveform

_DEMUXERS = {WAV: "wav", FLAC: "flac", OGG: "ogg", MP3: "mp3", AAC: "aac", WEBM: "matroska", MP4: "mp4", AIFF: "aiff"}
_CODECS = (
    "pcm_u8 pcm_s8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be "
    "pcm_alaw pcm_mulaw flac vorbis opus libopus mp3 mp3float aac alac adpcm_ima_wav adpcm_ms"
).split()
# The duration in these headers is stated, not guessed from a bit rate, so it may refuse a clip before it is decoded.
_STATES_DURATION = (WAV, AIFF, FLAC, OGG, WEBM, MP4)
_INTEGER_SCALE = {"u1": 2.0**-7, "i2": 2.0**-15, "i4": 2.0**-31}
_MARGIN_SECONDS = 0.25  # kept behind max_seconds, so the last samples are resampled with their right neighbours
_LOUDEST = 16.0


def decode_speech(data: bytes, spec: MediaSpec, limits: MediaLimits | None = None) -> Waveform:
    """The first `spec.max_seconds` of a recording, mixed down to the mean of its channels, at `spec.sample_rate_hz`.

    Raises MediaError and nothing else. Damaged packets are left out, as a player does; what remains is used when it is
    at least `limits.min_seconds` long and most packets were sound, otherwise the clip is "undecodable".
    """
    limits = limits or MediaLimits()
    if len(data) > limits.max_bytes:
        raise MediaError("too_large", f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted.")
    media_type = expect(data, "speech")
    try:
        with np.errstate(all="ignore"):
            source = _read(data, media_type, spec, limits)
            return _finish(source, media_type, spec, limits)
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001  whatever FFmpeg makes of hostile bytes, the fault is in the bytes
        raise MediaError("undecodable", f"The {media_type.name} data cannot be decoded.") from error


@dataclass
class _Source:
    """What was read: runs of mono samples, each with its own rate (it may change inside one stream)."""

    runs: list[tuple[int, list[npt.NDArray[np.float32]]]] = field(default_factory=list)
    seconds: float = 0.0
    sound_packets: int = 0
    bad_packets: int = 0

    def add(self, rate_hz: int, mono: npt.NDArray[np.float32]) -> None:
        if not self.runs or self.runs[-1][0] != rate_hz:
            self.runs.append((rate_hz, []))
        self.runs[-1][1].append(mono)
        self.seconds += len(mono) / rate_hz


def _read(data: bytes, media_type: MediaType, spec: MediaSpec, limits: MediaLimits) -> _Source:
    start = audio_start(data) if media_type is FLAC else 0
    options = {"codec_whitelist": ",".join(_CODECS), "max_streams": "32"}
    if media_type is WAV:
        options["probesize"] = "4096"  # by default 5 MB are searched for DTS hidden in PCM, longer than decoding takes
    container = av.open(
        io.BytesIO(data[start:] if start else data),
        mode="r",
        format=_DEMUXERS[media_type],
        container_options=options,
        metadata_errors="ignore",
        buffer_size=1 << 16,
        io_open=_open_nothing,
    )
    with container:
        stream = _sound(container, media_type, limits)
        declared = _declared_seconds(container, stream, media_type, len(data))
        if declared > limits.max_source_seconds:
            _too_long(declared, limits)
        return _walk(container, stream, spec, limits)


def _sound(container: InputContainer, media_type: MediaType, limits: MediaLimits) -> AudioStream:
    if not container.streams.audio:
        raise MediaError("unsupported", f"The {media_type.name} file holds no sound.")
    stream = container.streams.audio[0]
    codec: Any = stream.codec_context  # None where this FFmpeg has no decoder, whatever the annotation says
    if codec is None or codec.name not in _CODECS:
        raise MediaError("unsupported", f"The sound in the {media_type.name} file is coded in a way that is not read.")
    _check_shape(codec.channels, codec.sample_rate, limits)
    codec.thread_count = 1
    codec.thread_type = "NONE"
    return stream


def _check_shape(channels: int, rate_hz: int, limits: MediaLimits) -> None:
    if channels > limits.max_channels:
        raise MediaError("unsupported", f"The recording has {channels} channels; at most {limits.max_channels} are read.")
    if rate_hz and not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise MediaError(
            "unsupported",
            f"The recording has a rate of {rate_hz} Hz; {limits.min_rate_hz} to {limits.max_rate_hz} Hz are read.",
        )


def _declared_seconds(container: InputContainer, stream: AudioStream, media_type: MediaType, size_bytes: int) -> float:
    if media_type not in _STATES_DURATION:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1_000_000
    else:
        return 0.0
    bit_rate = stream.codec_context.bit_rate
    if media_type in (WAV, AIFF) and bit_rate:
        # A recorder that streams writes the largest size there is; the bytes at hand are the better witness.
        seconds = min(seconds, size_bytes * 8 / bit_rate)
    return seconds


def _walk(container: InputContainer, stream: AudioStream, spec: MediaSpec, limits: MediaLimits) -> _Source:
    """Decode as much as is kept, then only count the rest packet by packet until it ends or is too long."""
    source = _Source()
    enough_seconds = spec.max_seconds + _MARGIN_SECONDS
    last_pts: int | None = None
    try:
        for packet in container.demux(stream):
            if source.seconds < enough_seconds:
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    source.bad_packets += not isinstance(error, av.error.EOFError)
                    continue
                source.sound_packets += bool(frames)
                for frame in frames:
                    _check_shape(frame.layout.nb_channels, frame.sample_rate, limits)
                    source.add(frame.sample_rate, _mono(frame))
            elif packet.duration:
                source.seconds += float(packet.duration * packet.time_base)
            elif packet.pts is not None and last_pts is not None and packet.pts > last_pts:
                source.seconds += float((packet.pts - last_pts) * packet.time_base)
            last_pts = packet.pts if packet.pts is not None else last_pts
            if source.seconds > limits.max_source_seconds:
                _too_long(source.seconds, limits)
    except av.error.FFmpegError:
        source.bad_packets += 1  # the container breaks off; what was decoded before stands
    return source


def _mono(frame: AudioFrame) -> npt.NDArray[np.float32]:
    """float32 [samples]: the mean of the channels, full scale at ±1."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    by_channel: npt.NDArray[Any] = array if frame.format.is_planar else array.reshape(-1, channels).T
    kind = array.dtype.str[1:]
    if kind == "u1":
        by_channel = by_channel.astype(np.float32) - 128.0
    mono = by_channel[0].astype(np.float32) if channels == 1 else by_channel.mean(axis=0, dtype=np.float64).astype(np.float32)
    if kind in _INTEGER_SCALE:
        mono *= np.float32(_INTEGER_SCALE[kind])
    return mono


def _finish(source: _Source, media_type: MediaType, spec: MediaSpec, limits: MediaLimits) -> Waveform:
    samples = np.concatenate(
        [_resample(np.concatenate(chunks), rate_hz, spec.sample_rate_hz) for rate_hz, chunks in source.runs]
        or [np.zeros(0, np.float32)]
    )
    truncated = len(samples) > spec.max_samples
    samples = np.ascontiguousarray(samples[: spec.max_samples])
    if source.seconds < limits.min_seconds and source.bad_packets:
        raise MediaError("undecodable", f"The {media_type.name} data is damaged or cut off; too little of it can be decoded.")
    if source.bad_packets > source.sound_packets:
        raise MediaError("undecodable", f"Most of the {media_type.name} data is damaged and cannot be decoded.")
    if not len(samples):
        raise MediaError("empty", f"The {media_type.name} file holds a header but no sound.")
    if source.seconds < limits.min_seconds:
        raise MediaError(
            "too_short",
            f"The recording lasts {source.seconds:.3f} s; at least {limits.min_seconds:g} s are needed.",
        )
    if not np.isfinite(samples).all():
        raise MediaError("undecodable", "The recording holds samples that are not numbers (NaN or infinite).")
    lowest, highest = float(samples.min()), float(samples.max())
    if max(-lowest, highest) > _LOUDEST:
        raise MediaError(
            "undecodable",
            f"The samples reach {max(-lowest, highest):.3g} times full scale; floating-point samples must lie within ±1.",
        )
    if (highest - lowest) / 2 < 10 ** (limits.silence_dbfs / 20):
        raise MediaError("silent", f"The recording is silent: it stays below {limits.silence_dbfs:g} dB of full scale.")
    return Waveform(samples, spec.sample_rate_hz, source.seconds, truncated)


def _resample(mono: npt.NDArray[np.float32], from_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """float32 [n] -> float32 [round(n * to_hz / from_hz)], band-limited, flushed to the end.

    FFmpeg's aresample in a graph of our own: AudioResampler's starts a thread a core for every clip, and that takes
    longer than resampling does.
    """
    if from_hz == to_hz or not len(mono):
        return mono
    graph = Graph()
    graph.threads = 1
    entry = graph.add(
        "abuffer", sample_rate=str(from_hz), sample_fmt="fltp", channel_layout="mono", time_base=f"1/{from_hz}"
    )
    resampler = graph.add("aresample", str(to_hz))
    leave = graph.add("abuffersink")
    entry.link_to(resampler)
    resampler.link_to(leave)
    graph.configure()
    frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
    frame.sample_rate = from_hz
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    length = round(len(mono) * to_hz / from_hz)
    out = np.concatenate([part.to_ndarray()[0] for part in _pull(graph)]).astype(np.float32, copy=False)
    return out[:length]


def _pull(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def _too_long(seconds: float, limits: MediaLimits) -> NoReturn:
    raise MediaError(
        "too_long",
        f"The recording lasts {seconds:.0f} s or more; at most {limits.max_source_seconds:g} s are accepted.",
    )


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise MediaError("unsupported", "The recording refers to another file, and none is ever opened.")
