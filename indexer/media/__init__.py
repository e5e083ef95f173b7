"""Bytes of a recording or a picture -> exactly what a bundle's graphs take, or a MediaError that says what is wrong."""

from indexer.media.errors import MediaError, MediaFault
from indexer.media.image import decode_image
from indexer.media.preview import draw_waveform, encode_thumbnail
from indexer.media.sniff import MediaType, sniff
from indexer.media.spec import MediaLimits, MediaSpec, Pixels, Waveform
from indexer.media.speech import decode_speech

__all__ = [
    "MediaError",
    "MediaFault",
    "MediaLimits",
    "MediaSpec",
    "MediaType",
    "Pixels",
    "Waveform",
    "decode_image",
    "decode_speech",
    "draw_waveform",
    "encode_thumbnail",
    "sniff",
]
