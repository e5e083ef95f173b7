"""Speech: bytes of any accepted format -> mono float32 waveform at the bundle's rate, the same every time."""

import numpy as np

from indexer.media.errors import MediaError
from indexer.media.native import restrain
from indexer.media.resample import resample
from indexer.media.sniff import MediaType, expect
from indexer.media.source import Source, read_source
from indexer.media.spec import MediaLimits, MediaSpec, Waveform
from indexer.media.wholeness import announced_seconds, missing_bytes

_LOUDEST = 16.0
_ROUNDING_SECONDS = 0.001


def decode_speech(data: bytes, spec: MediaSpec, limits: MediaLimits | None = None) -> Waveform:
    """The first `spec.max_seconds` of a recording: the mean of its channels, at `spec.sample_rate_hz`.

    Raises MediaError and nothing else. Damaged packets are left out, as a player does; what remains is used
    when it lasts `limits.min_seconds` and most packets were sound, otherwise the clip is "undecodable". So is
    one that is cut off, as far as it says how long it should be.
    """
    limits = limits or MediaLimits()
    if len(data) > limits.max_bytes:
        raise MediaError(
            "too_large", f"The file has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted."
        )
    media_type = expect(data, "speech")
    if missing := missing_bytes(data, media_type):
        raise MediaError(
            "undecodable",
            f"The {media_type.name} file is cut off: {missing:,} bytes that it announces are missing; "
            "send all of it.",
        )
    restrain()
    try:
        with np.errstate(all="ignore"):  # what overflows is found by looking at the result
            source = read_source(data, media_type, spec, limits)
            _check_end(source, data, media_type)
            return _finish(source, media_type, spec, limits)
    except MediaError:
        raise
    except Exception as error:  # whatever FFmpeg raises over hostile bytes, the fault is in the bytes
        raise MediaError(
            "undecodable", f"The {media_type.name} data is damaged and cannot be decoded."
        ) from error


def _check_end(source: Source, data: bytes, media_type: MediaType) -> None:
    announced = announced_seconds(data, media_type)
    if announced - source.reached_seconds > _ROUNDING_SECONDS:
        raise MediaError(
            "undecodable",
            f"The {media_type.name} file is cut off or damaged: it announces {announced:.2f} s of sound and "
            f"ends after {source.reached_seconds:.2f} s; send all of it.",
        )


def _finish(source: Source, media_type: MediaType, spec: MediaSpec, limits: MediaLimits) -> Waveform:
    if source.bad_packets and (
        source.seconds < limits.min_seconds or source.bad_packets > source.sound_packets
    ):
        raise MediaError(
            "undecodable",
            f"The {media_type.name} data is damaged or cut off; too little of it can be decoded.",
        )
    if not source.runs or not source.seconds:
        raise MediaError("empty", f"The {media_type.name} file holds a header but no sound.")
    if source.seconds < limits.min_seconds:
        raise MediaError(
            "too_short",
            f"The recording lasts {source.seconds:.3g} s; at least {limits.min_seconds:g} s are needed.",
        )
    resampled = [
        resample(np.concatenate(run.chunks), run.rate_hz, spec.sample_rate_hz) for run in source.runs
    ]
    samples = resampled[0] if len(resampled) == 1 else np.concatenate(resampled)
    truncated = len(samples) > spec.max_samples
    samples = samples[: spec.max_samples].copy() if truncated else samples
    lowest, highest = float(samples.min()), float(samples.max())  # NaN and infinity come through
    peak = max(-lowest, highest)
    if not np.isfinite(lowest) or not np.isfinite(highest):
        raise MediaError("undecodable", "The recording holds samples that are not numbers (NaN or infinite).")
    if peak > _LOUDEST:
        raise MediaError(
            "undecodable", f"The samples reach {peak:.3g}; floating-point samples are read within -1 and 1."
        )
    if (highest - lowest) / 2 < 10 ** (limits.silence_dbfs / 20):
        raise MediaError(
            "silent", f"The recording is silent: it stays below {limits.silence_dbfs:g} dB of full scale."
        )
    return Waveform(samples, spec.sample_rate_hz, round(source.seconds, 6), truncated)
