"""What files and searches cost beside each other, and what a model's own speed has to do with it."""

from collections.abc import Sequence
from typing import cast

import pytest

from indexer.bundle import Bundle, read_golden
from indexer.encoder import Encoder
from indexer.media import Extent, MediaLimits, decode_speech
from service import costs
from service.costs import Prices, find_out

PRICES = Prices(max_seconds=8.0)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ((Extent(seconds=2.0), 10), (Extent(seconds=4.0), 10)),
        ((Extent(seconds=8.0), 10), (Extent(seconds=80.0), 10)),
        ((Extent(megapixels=0.01), 10), (Extent(megapixels=50.0), 10)),
        ((Extent(), 10), (Extent(), 200)),
        ((Extent(), 10), (Extent(seconds=1.0), 10)),
    ],
)
def test_more_costs_more(less: tuple[Extent, int], more: tuple[Extent, int]) -> None:
    assert 0 < PRICES.of(*less) < PRICES.of(*more)


def test_speech_that_the_model_does_not_hear_costs_next_to_nothing() -> None:
    heard, long = (PRICES.of(Extent(seconds=seconds), 1) for seconds in (8.0, 100.0))
    assert long < 1.5 * heard


class Slow:
    """An encoder that takes so long for whatever it gets, by a clock that nothing else moves."""

    def __init__(self, clip_seconds: float, picture_seconds: float) -> None:
        self._clip_seconds, self._picture_seconds = clip_seconds, picture_seconds
        self.now = 0.0

    def speech(self, clips: Sequence[object]) -> None:
        self.now += self._clip_seconds * len(clips)

    def image(self, pictures: Sequence[object]) -> None:
        self.now += self._picture_seconds * len(pictures)


def prices_of(slow: Slow, bundle: Bundle) -> tuple[Prices, float]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "perf_counter", lambda: slow.now)
        return find_out(cast(Encoder, slow), read_golden(bundle), bundle.manifest.media, MediaLimits())


def test_a_megapixel_costs_little_beside_a_large_model(tiny_bundle: Bundle) -> None:
    large, small = (prices_of(Slow(seconds, seconds), tiny_bundle)[0] for seconds in (0.5, 0.02))
    assert small.megapixel == pytest.approx(25 * large.megapixel)
    photograph, thumbnail = (large.of(Extent(megapixels=size), 10) for size in (12.0, 0.05))
    assert photograph < 2 * thumbnail


def test_a_picture_costs_what_its_tower_takes(tiny_bundle: Bundle) -> None:
    even, slow = (prices_of(Slow(0.1, seconds), tiny_bundle)[0] for seconds in (0.1, 0.5))
    assert slow.picture == pytest.approx(5 * even.picture)


def test_the_pace_is_that_of_the_model(tiny_bundle: Bundle) -> None:
    golden = read_golden(tiny_bundle)
    clip = decode_speech(golden.speech_wav, tiny_bundle.manifest.media, MediaLimits())
    _, per_second = prices_of(Slow(0.5, 0.1), tiny_bundle)
    assert per_second == pytest.approx(clip.source_seconds / 0.5)


def test_one_try_that_is_disturbed_changes_nothing(tiny_bundle: Bundle) -> None:
    class Disturbed(Slow):
        tries = 0

        def image(self, pictures: Sequence[object]) -> None:
            super().image(pictures)
            self.tries += 1
            self.now += 10 * 0.05 * (self.tries == 1)

    disturbed, slow = (prices_of(kind(0.05, 0.05), tiny_bundle)[0] for kind in (Disturbed, Slow))
    assert disturbed.picture == pytest.approx(slow.picture)
