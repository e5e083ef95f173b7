"""Is a recording all there? Judged by what its container announces, never guessed: a stream that announces
nothing (what a browser records, what was tapped from the air) counts as whole."""

from collections.abc import Callable

from indexer.media.sniff import FLAC, MP3, MP4, OGG, WAV, WEBM, MediaType, audio_start, mpeg_frame, mpeg_start

_MAX_PARTS = 100_000  # a file of nothing but empty chunks would be walked for seconds
_WAV_LENGTH_UNKNOWN = 0x7FFF0000  # what writers that cannot go back put there: this or a little more, or 0
_WAV_SLACK_BYTES = 64  # some writers count a header in
_EBML_SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(data: bytes, media_type: MediaType) -> int:
    """How many bytes of a file that was cut off did not come; 0 where it is whole or does not say."""
    end = _ENDS[media_type](data) if media_type in _ENDS else None
    return max(0, end - len(data)) if end is not None else 0


def announced_seconds(data: bytes, media_type: MediaType) -> float:
    """How long FLAC and MP3 say they are, which count samples and frames instead of bytes; 0 where unsaid."""
    if media_type is FLAC:
        # STREAMINFO, always the first block (RFC 9639, 8.2): 20 bits of rate, 8 of form, 36 of samples.
        start = audio_start(data) + 18
        packed = int.from_bytes(data[start : start + 8], "big")
        rate_hz, samples = packed >> 44, packed & (1 << 36) - 1
        return samples / rate_hz if rate_hz else 0.0
    if media_type is MP3:
        start = mpeg_start(data)
        frame = mpeg_frame(data, start)
        # One less, because encoders do not agree on whether the frame that holds the count is in it.
        return max(0, _frame_count(data[start : start + 64]) - 1) * frame.seconds if frame else 0.0
    return 0.0


def _frame_count(first_frame: bytes) -> int:
    """What encoders write in place of sound into the first frame: a Xing (or Info) or a VBRI header."""
    for tag in (b"Xing", b"Info"):
        at = first_frame.find(tag)
        if at > 0 and first_frame[at + 7 : at + 8] and first_frame[at + 7] & 1:
            return int.from_bytes(first_frame[at + 8 : at + 12], "big")
    return int.from_bytes(first_frame[50:54], "big") if first_frame[36:40] == b"VBRI" else 0


def _wav_end(data: bytes) -> int | None:
    at, long_size = 12, 0
    for _ in range(_MAX_PARTS):
        name, size = data[at : at + 4], _little(data[at + 4 : at + 8])
        if name == b"ds64":
            long_size = _little(data[at + 16 : at + 24])
        if name == b"data":
            size = long_size if size == 0xFFFFFFFF and long_size else size
            end = at + 8 + size
            told = 0 < size < _WAV_LENGTH_UNKNOWN and end - len(data) > _WAV_SLACK_BYTES
            return end if told else None
        at += 8 + size + size % 2
        if at >= len(data):
            return None
    return None


def _ogg_end(data: bytes) -> int | None:
    """Of the last page that begins (RFC 3533, 6); its version, 0, tells it from the same letters in sound."""
    at = data.rfind(b"OggS\x00")
    table = at + 27
    if at < 0 or table > len(data):
        return None if at < 0 else table
    segments = data[table - 1]
    return table + segments + sum(data[table : table + segments])


def _mp4_end(data: bytes) -> int | None:
    """Of the last box that begins (ISO 14496-12, 4.2)."""
    at = 0
    for _ in range(_MAX_PARTS):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if len(name) < 4 or not all(32 <= letter < 127 for letter in name) or size < 8:
            return None  # the end, a box that goes to it, or something that is no box
        at += size
        if at > len(data):
            return at
    return None


def _webm_end(data: bytes) -> int | None:
    """Of the segment (RFC 8794, 5 and 6); a live one leaves its size unknown, which is all ones."""
    at = 0
    for _ in range(_MAX_PARTS):
        name = data[at : at + _vint_length(data, at)]
        at += len(name)
        length = _vint_length(data, at)
        size = int.from_bytes(data[at : at + length], "big") & (1 << 7 * length) - 1
        if not name or not length or size == (1 << 7 * length) - 1:
            return None
        at += length + size
        if name == _EBML_SEGMENT:
            return at
    return None


def _vint_length(data: bytes, at: int) -> int:
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 0


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


_ENDS: dict[MediaType, Callable[[bytes], int | None]] = {
    WAV: _wav_end,
    OGG: _ogg_end,
    MP4: _mp4_end,
    WEBM: _webm_end,
}
