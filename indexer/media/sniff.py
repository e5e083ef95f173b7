"""What some bytes are, by what they begin with. File names and declared types are never asked, and the answer
fixes which decoder may touch the bytes: nothing downstream guesses again."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from indexer.media.errors import MediaError

ACCEPTED = (
    "speech as WAV, FLAC, Ogg, Opus, MP3, WebM, MP4 or AAC, or an image as JPEG, PNG, WebP, GIF or TIFF"
)

Modality = Literal["speech", "image"]


@dataclass(frozen=True)
class MediaType:
    """A format that is read. `extension` begins with a dot; `name` is the word for people."""

    modality: Modality
    mime: str
    extension: str
    name: str


WAV = MediaType("speech", "audio/wav", ".wav", "WAV")
FLAC = MediaType("speech", "audio/flac", ".flac", "FLAC")
OGG = MediaType("speech", "audio/ogg", ".ogg", "Ogg")
MP3 = MediaType("speech", "audio/mpeg", ".mp3", "MP3")
AAC = MediaType("speech", "audio/aac", ".aac", "AAC")
WEBM = MediaType("speech", "audio/webm", ".webm", "WebM")
MP4 = MediaType("speech", "audio/mp4", ".m4a", "MP4")
JPEG = MediaType("image", "image/jpeg", ".jpg", "JPEG")
PNG = MediaType("image", "image/png", ".png", "PNG")
GIF = MediaType("image", "image/gif", ".gif", "GIF")
WEBP = MediaType("image", "image/webp", ".webp", "WebP")
TIFF = MediaType("image", "image/tiff", ".tif", "TIFF")

_PREFIXES: tuple[tuple[bytes, MediaType], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),  # BigTIFF
    (b"MM\x00+", TIFF),
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"\x1a\x45\xdf\xa3", WEBM),
)
# Not read; known by name so that the answer can say what was sent.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BM", "a BMP image"),
    (b"FORM", "an AIFF recording"),
    (b"RIFX", "a big-endian WAV"),  # FFmpeg reads its samples in the wrong order, as noise
    (b"caff", "a CAF recording"),
    (b"#!AMR", "an AMR recording"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"\xff\xfe", "text"),  # the byte order marks of UTF-16, the first of which looks like an MP3 header
    (b"\xfe\xff", "text"),
)
_MAX_TAGS = 16  # a file of nothing but empty tags would be walked for a second
_MAX_PADDING_BYTES = 65_536
_AAC_RATES_HZ = (
    *(96000, 88200, 64000, 48000, 44100, 32000, 24000),
    *(22050, 16000, 12000, 11025, 8000, 7350),
)
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1")


def sniff(data: bytes) -> MediaType:
    """The format of `data`; MediaError "empty" for no bytes, "unsupported" for anything that is not read."""
    if not data:
        raise MediaError("empty", "The file is empty: it holds no bytes.")
    for prefix, media_type in _PREFIXES:
        if data.startswith(prefix):
            return media_type
    if data[:4] in (b"RIFF", b"RF64", b"BW64") and data[8:12] == b"WAVE":
        return WAV
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp" and data[8:12] in _STILL_BRANDS:
        raise MediaError("unsupported", f"This is a HEIC or AVIF image, which is not read; send {ACCEPTED}.")
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return MP4
    start = audio_start(data)
    if start and data.startswith(b"fLaC", start):
        return FLAC
    for prefix, stranger in _STRANGERS:
        if data.startswith(prefix):
            raise MediaError("unsupported", f"This is {stranger}, which is not read; send {ACCEPTED}.")
    if (found := _mpeg_audio(data)) is not None:
        return found
    raise MediaError("unsupported", f"This is {_describe(data)}, which is not read; send {ACCEPTED}.")


def expect(data: bytes, modality: Modality) -> MediaType:
    """`sniff`, and MediaError "unsupported" when the bytes are of the other modality."""
    media_type = sniff(data)
    if media_type.modality != modality:
        wanted = "a recording" if modality == "speech" else "an image"
        raise MediaError("unsupported", f"{media_type.name} data was sent where {wanted} is asked for.")
    return media_type


def audio_start(data: bytes) -> int:
    """Where audio begins: behind the ID3v2 tags that may stand before MP3, AAC and FLAC. 0 without a tag."""
    start = 0
    for _ in range(_MAX_TAGS):
        if data[start : start + 3] != b"ID3" or len(data) < start + 10:
            break
        size = data[start + 6 : start + 10]
        if max(size) > 0x7F:
            break
        footer = 10 if data[start + 5] & 0x10 else 0
        start += 10 + footer + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    return start


class MpegFrame(NamedTuple):
    """One frame of MPEG audio: whether it is MP3 or AAC, its length in bytes, and how long it sounds."""

    media_type: MediaType
    length: int
    seconds: float


def mpeg_start(data: bytes) -> int:
    """Where the first frame of MP3 or AAC should be."""
    start = audio_start(data)
    # Some encoders pad the tag with zeros that its size does not count. One after the other in Python, a file
    # of zeros alone cost 3 ms.
    ahead = data[start : start + _MAX_PADDING_BYTES]
    return start + len(ahead) - len(ahead.lstrip(b"\0"))


def _mpeg_audio(data: bytes) -> MediaType | None:
    """MP3 or ADTS AAC: headers that chain, because one alone is 11 bits that turn up in any file."""
    if (found := _chain(data, mpeg_start(data), 2)) is not None:
        return found
    if audio_start(data):
        return MP3
    # A stream that was tapped in the middle begins inside a frame: three headers must chain to be believed.
    for offset in range(1, min(len(data), 4096)):
        if data[offset] == 0xFF and mpeg_frame(data, offset) and _chain(data, offset, 3) is not None:
            return MP3
    return None


def _chain(data: bytes, offset: int, count: int) -> MediaType | None:
    """The format of `count` frames that follow one another from `offset`.

    Two are asked for at the start of a file, which may be cut off inside the first: then that one is enough.
    """
    kind: MediaType | None = None
    for number in range(count):
        if number and count == 2 and offset >= len(data):
            return kind
        found = mpeg_frame(data, offset)
        if found is None or (kind is not None and found.media_type is not kind):
            return None
        kind = found.media_type
        offset += found.length
    return kind


def mpeg_frame(data: bytes, offset: int) -> MpegFrame | None:
    """The frame of MPEG audio at `offset` (ISO 11172-3, 13818-3 and 13818-7), if there is one."""
    header = data[offset : offset + 6]
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer == 0:
        if header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
            return None
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        seconds = 1024 / _AAC_RATES_HZ[header[2] >> 2 & 15]
        return MpegFrame(AAC, length, seconds) if length > 7 else None
    rate_index, bitrate_index = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer != 1 or rate_index == 3 or bitrate_index in (0, 15):
        return None
    rate_hz = (44100, 48000, 32000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    if version == 3:
        kbps = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[bitrate_index]
        samples = 1152
    else:
        kbps = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[bitrate_index]
        samples = 576
    return MpegFrame(MP3, samples * kbps * 125 // rate_hz + (header[2] >> 1 & 1), samples / rate_hz)


def _describe(data: bytes) -> str:
    head = data[:1024].decode("utf-8", errors="replace")
    lowered = head.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in lowered:
        return "an SVG drawing"
    if lowered.startswith(("<!doctype html", "<html")):
        return "an HTML page"
    strange = sum(
        character == "\ufffd" or (character < " " and character not in "\t\n\r\f") for character in head
    )
    return "text" if strange <= 0.3 * len(head) else "data of an unknown kind"
