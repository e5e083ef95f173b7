"""What work costs, in seconds of speech through the model: files by what they claim or hold, and searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from indexer.bundle import Golden
from indexer.encoder import Encoder
from indexer.media import (
    Extent,
    MediaLimits,
    MediaSpec,
    Pixels,
    Waveform,
    decode_image,
    decode_speech,
)

_MEGAPIXEL_SECONDS = 0.008  # to be decoded: of a JPEG 0.002, of a PNG or WebP 0.024
_UNHEARD_SECOND = 0.02  # of a clip beyond what the model hears: it is only counted
_SEARCH, _NEIGHBOUR = 0.1, 0.01
_TRIES, _TRYING_SECONDS = 5, 1.0

_T = TypeVar("_T")


@dataclass(frozen=True)
class Prices:
    """Of one model on this machine. A small one is through with a picture sooner than a megapixel of it is
    decoded; beside a large one a photograph of a camera costs hardly more than a thumbnail.
    """

    max_seconds: float
    """What the model hears of a clip."""
    picture: float = 1.0
    megapixel: float = 4.0

    def of(self, wanted: Extent, neighbours: int) -> float:
        """What a file of this extent and a search for so many neighbours cost, in seconds of speech."""
        heard = min(wanted.seconds, self.max_seconds)
        picture = self.picture + self.megapixel * wanted.megapixels if wanted.megapixels else 0.0
        search = _SEARCH + _NEIGHBOUR * neighbours if neighbours else 0.0
        return heard + _UNHEARD_SECOND * (wanted.seconds - heard) + picture + search


def find_out(encoder: Encoder, golden: Golden, media: MediaSpec, limits: MediaLimits) -> tuple[Prices, float]:
    """The prices, and how many seconds of speech are done in a second: the golden pair is decoded and encoded
    a few times. What is done but the first time should have been done before.
    """
    clip_seconds, waveform = _timed(lambda: decode_speech(golden.speech_wav, media, limits), encoder.speech)
    picture_seconds, _ = _timed(lambda: decode_image(golden.image_png, media, limits), encoder.image)
    per_second = min(waveform.source_seconds, media.max_seconds) / clip_seconds
    prices = Prices(media.max_seconds, picture_seconds * per_second, _MEGAPIXEL_SECONDS * per_second)
    return prices, per_second


def within(limits: MediaLimits, claimed: Extent) -> Extent:
    """What there can be to do for a file that claims this: what is over a limit is refused at a glance, and
    must not keep others out meanwhile.
    """
    picture = claimed.megapixels if claimed.megapixels * 1e6 <= limits.max_pixels else 0.0
    return Extent(min(claimed.seconds, limits.max_source_seconds), picture)


def extent_of(media: Waveform | Pixels) -> Extent:
    """The true extent of what was decoded."""
    if isinstance(media, Waveform):
        return Extent(seconds=media.source_seconds)
    return Extent(megapixels=media.source_width * media.source_height / 1e6)


def _timed(decode: Callable[[], _T], encode: Callable[[list[_T]], object]) -> tuple[float, _T]:
    """The least of some tries: whatever else goes on makes it longer, and nothing makes it shorter."""
    took: list[float] = []
    while True:
        began = perf_counter()
        media = decode()
        encode([media])
        took.append(perf_counter() - began)
        if len(took) == _TRIES or sum(took) > _TRYING_SECONDS:
            return min(took), media
