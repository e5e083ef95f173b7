"""Bytes of a recording or a picture -> what a bundle's graphs take, or a MediaError saying what is wrong.

The same bytes always give the same arrays, in training, indexing and serving: there is no other decoder.
"""

from indexer.media.errors import MediaError, MediaFault
from indexer.media.extent import Extent, extent
from indexer.media.image import decode_image
from indexer.media.preview import draw_waveform, encode_thumbnail
from indexer.media.room import NoRoom
from indexer.media.sniff import MediaType, sniff
from indexer.media.spec import MediaLimits, MediaSpec, Pixels, Waveform
from indexer.media.speech import decode_speech

__all__ = [
    "Extent",
    "MediaError",
    "MediaFault",
    "MediaLimits",
    "MediaSpec",
    "MediaType",
    "NoRoom",
    "Pixels",
    "Waveform",
    "decode_image",
    "decode_speech",
    "draw_waveform",
    "encode_thumbnail",
    "extent",
    "sniff",
]
