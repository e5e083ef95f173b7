"""What is read of a recording: its mono samples as far as they are needed, and how much more there was.

FFmpeg (through PyAV) is handed a buffer and the one demuxer that was sniffed, and may open nothing.
"""

import io
from dataclasses import dataclass, field
from typing import Any, NoReturn

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from indexer.media.errors import MediaError
from indexer.media.sniff import AAC, FLAC, MP3, MP4, OGG, WAV, WEBM, MediaType, audio_start
from indexer.media.spec import MediaLimits, MediaSpec

_DEMUXERS = {WAV: "wav", FLAC: "flac", OGG: "ogg", MP3: "mp3", AAC: "aac", WEBM: "matroska", MP4: "mp4"}
_CODECS = frozenset(
    (
        *("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *(
            "pcm_f32le",
            "pcm_f32be",
            "pcm_f64le",
            "pcm_f64be",
            "pcm_alaw",
            "pcm_mulaw",
            "adpcm_ima_wav",
            "adpcm_ms",
        ),
        *("flac", "alac", "vorbis", "opus", "libopus", "mp3", "mp3float", "aac"),
    )
)
# These headers state a duration; the others' is guessed from a bit rate, so it may not refuse a clip.
_STATES_DURATION = (WAV, FLAC, OGG, WEBM, MP4)
_PLANAR = {"u8p": "u1", "s16p": "i2", "s32p": "i4", "fltp": "f4", "dblp": "f8"}
_MOST_PLANES = 8
_FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31}
_MARGIN_SECONDS = (
    0.25  # read beyond max_seconds, so that the last samples kept are resampled with their neighbours
)
_PACKETS_PER_SECOND = 1000  # the shortest in use last 2.5 ms; a header can claim millions


@dataclass
class Run:
    """Mono samples of one rate; a stream may change its rate, and then has several runs."""

    rate_hz: int
    chunks: list[npt.NDArray[np.float32]] = field(default_factory=list)
    length: int = 0


@dataclass
class Source:
    """What was read: the samples that are needed, and how much more there was."""

    runs: list[Run] = field(default_factory=list)
    uncoded_seconds: float = 0.0
    reached_seconds: float = 0.0  # where the last sound packet ends
    sound_packets: int = 0
    bad_packets: int = 0

    def add(self, rate_hz: int, mono: npt.NDArray[np.float32]) -> None:
        if not self.runs or self.runs[-1].rate_hz != rate_hz:
            self.runs.append(Run(rate_hz))
        self.runs[-1].chunks.append(mono)
        self.runs[-1].length += len(mono)

    @property
    def seconds(self) -> float:
        return sum((run.length / run.rate_hz for run in self.runs), self.uncoded_seconds)


def read_source(data: bytes, media_type: MediaType, spec: MediaSpec, limits: MediaLimits) -> Source:
    """What `spec.max_seconds` of speech need. Raises MediaError for what is not read, and FFmpeg's errors."""
    # ID3 tags are cut off here: they say nothing that is needed, and FFmpeg believes the sizes in them.
    start = audio_start(data) if media_type in (MP3, AAC, FLAC) else 0
    options = {"codec_whitelist": ",".join(sorted(_CODECS)), "max_streams": "32"}
    if media_type is WAV:
        options["probesize"] = (
            "4096"  # the default looks for DTS hidden in PCM, which takes longer than decoding
        )
    container = av.open(
        io.BytesIO(data[start:] if start else data),
        mode="r",
        format=_DEMUXERS[media_type],
        container_options=options,
        metadata_errors="ignore",
        buffer_size=65536,
        io_open=_open_nothing,
    )
    with container:
        stream = _sound_stream(container, media_type, limits)
        declared = _declared_seconds(container, stream, media_type, len(data))
        if declared > limits.max_source_seconds:
            _refuse_long(limits)
        return _walk(container, stream, spec, limits)


def _sound_stream(container: InputContainer, media_type: MediaType, limits: MediaLimits) -> AudioStream:
    if not container.streams.audio:
        raise MediaError("unsupported", f"The {media_type.name} file holds no sound.")
    stream = container.streams.audio[0]
    codec: Any = stream.codec_context  # None where FFmpeg has no decoder, whatever the annotation says
    if codec is None or codec.name not in _CODECS:
        raise MediaError(
            "unsupported", f"The sound in the {media_type.name} file has a coding that is not read."
        )
    _check_shape(codec.channels, codec.sample_rate, limits)
    codec.thread_count = 1
    codec.thread_type = "NONE"
    return stream


def _check_shape(channels: int, rate_hz: int, limits: MediaLimits) -> None:
    if channels > limits.max_channels:
        raise MediaError(
            "unsupported", f"The recording has {channels} channels; at most {limits.max_channels} are read."
        )
    if rate_hz and not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise MediaError(
            "unsupported",
            f"The recording has a rate of {rate_hz} Hz, not {limits.min_rate_hz} to {limits.max_rate_hz} Hz.",
        )


def _declared_seconds(
    container: InputContainer, stream: AudioStream, media_type: MediaType, size_bytes: int
) -> float:
    if media_type not in _STATES_DURATION:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1_000_000
    else:
        return 0.0
    bit_rate = stream.codec_context.bit_rate
    if media_type is WAV and bit_rate:
        # A recorder that streams writes the largest size there is; the bytes at hand are the better witness.
        seconds = min(seconds, size_bytes * 8 / bit_rate)
    return seconds


def _walk(container: InputContainer, stream: AudioStream, spec: MediaSpec, limits: MediaLimits) -> Source:
    """Decode as much as is kept, then only count the rest packet by packet until it ends or is too long."""
    source = Source()
    enough_seconds = spec.max_seconds + _MARGIN_SECONDS
    last_pts: int | None = None
    reached: Packet[AudioStream] | None = None
    try:
        for number, packet in enumerate(container.demux(stream)):
            if number > limits.max_source_seconds * _PACKETS_PER_SECOND:
                raise MediaError("undecodable", "The recording is cut into more pieces than sound has.")
            if source.seconds < enough_seconds:
                try:
                    frames = packet.decode()
                except av.error.EOFError:
                    continue
                except av.error.FFmpegError:
                    source.bad_packets += 1
                    continue
                source.sound_packets += bool(frames)
                for frame in frames:
                    _check_shape(frame.layout.nb_channels, frame.sample_rate, limits)
                    source.add(frame.sample_rate, _mono(frame))
            elif packet.duration:
                source.uncoded_seconds += float(packet.duration * packet.time_base)
            elif packet.pts is not None and last_pts is not None and packet.pts > last_pts:
                source.uncoded_seconds += float((packet.pts - last_pts) * packet.time_base)
            last_pts = packet.pts if packet.pts is not None else last_pts
            if packet.pts is not None and packet.duration:
                reached = packet
            if source.seconds > limits.max_source_seconds:
                _refuse_long(limits)
    except av.error.FFmpegError:
        source.bad_packets += 1  # the container breaks off; what was decoded before stands
    if reached is not None and reached.pts is not None and reached.duration is not None:
        source.reached_seconds = float((reached.pts + reached.duration) * reached.time_base)
    return source


def _mono(frame: AudioFrame) -> npt.NDArray[np.float32]:
    """float32 [samples]: the mean of the channels, full scale at ±1."""
    channels = frame.layout.nb_channels
    by_channel = _planes(frame) if frame.format.is_planar else frame.to_ndarray().reshape(-1, channels).T
    # Added up one channel after the other, so that rounding falls out the same on every machine.
    mono: npt.NDArray[np.float32] = by_channel[0].astype(np.float32)
    for channel in by_channel[1:]:
        mono += channel.astype(np.float32, copy=False)
    kind = by_channel[0].dtype.str[1:]
    divisor = _FULL_SCALE.get(kind, 1.0) * channels
    if divisor != 1.0:
        mono /= np.float32(divisor)
    if kind == "u1":
        mono -= np.float32(1.0)  # 8-bit samples count from 0, with silence at 128
    return mono


def _planes(frame: AudioFrame) -> list[npt.NDArray[Any]]:
    """The samples of each channel, where each is kept by itself.

    PyAV looks for the planes of a frame up to the first that is null. FFmpeg has room for eight pointers and
    no null behind the last, so of eight channels PyAV finds more planes than there are, whose memory is
    anybody's; the pointers of more than eight lie where not even looking is safe.
    """
    channels = frame.layout.nb_channels
    if channels > _MOST_PLANES:
        raise MediaError(
            "unsupported",
            f"The recording has {channels} channels; in its coding at most {_MOST_PLANES} are read.",
        )
    kind = _PLANAR[frame.format.name]
    planes: tuple[Any, ...] = frame.planes[:channels]  # buffers, whatever the annotation says
    return [np.frombuffer(plane, kind, frame.samples) for plane in planes]


def _refuse_long(limits: MediaLimits) -> NoReturn:
    most = limits.max_source_seconds
    raise MediaError(
        "too_long",
        f"The recording lasts more than {most:g} s; at most {most:g} s are accepted.",
    )


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise MediaError("unsupported", "The recording refers to another file, and none is ever opened.")
