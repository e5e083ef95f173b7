"""Two settings of the C libraries below PyAV and Pillow that neither package hands on.

They are made when the first clip or picture is decoded. Where the symbols cannot be reached (a static build),
decoding works without them.
"""

import ctypes
import functools

import av._core
import PIL._imaging

# More than any accepted clip needs in one piece: 8 s at 768 kHz are 25 MB, and a whole file is at most that.
_MAX_BLOCK_BYTES = 128 * 1024 * 1024


@functools.cache
def restrain() -> None:
    """Limit FFmpeg to blocks of 128 MiB, and keep libtiff from writing to stderr.

    FFmpeg believes sizes in headers: without the limit, a WAV of 8 kB that announces a comment of 2 GB makes
    it take and clear 2 GB. libtiff prints a line for every damaged file, with text from that file in it.
    """
    # A symbol looked up in an extension module is looked for in the libraries it was linked with, too.
    for module, symbol, argument in (
        (av._core.__file__, "av_max_alloc", ctypes.c_size_t(_MAX_BLOCK_BYTES)),
        (PIL._imaging.__file__, "TIFFSetErrorHandler", ctypes.c_void_p(None)),
    ):
        try:
            function = getattr(ctypes.CDLL(module), symbol)
        except (OSError, AttributeError):
            continue
        function.restype = None
        function(argument)
