"""Which inputs go through the model together, and which never do: a fake encoder, a real event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import anyio
import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.bundle import Bundle
from indexer.encoder import Encoder, EncoderError
from indexer.media import Pixels, Waveform
from indexer.store import Generation, Hit, StoreError
from service.batching import LANES, Batcher, Coming
from service.metrics import Metrics
from service.together import Encoded, Sought
from service.turns import Turns
from tests.fixtures.own_loop import run_async

RATE = 1_000
BAD = 66.0  # what the fake refuses
LONG = 30.0  # a wait that no test sits out


class FakeEncoder:
    """Gives each input its first sample or pixel back; runs only while `open` is set, and notes every run."""

    def __init__(self, most: int = 8) -> None:
        self.runs: list[list[float]] = []
        self.refused: float | None = BAD
        self.open = threading.Event()
        self.open.set()
        self._most = most

    def bucket(self, media: Waveform | Pixels) -> int:
        return -(-len(media.samples) // 500) if isinstance(media, Waveform) else 0

    def fits(self, media: Waveform | Pixels) -> int:
        return self._most

    def speech(self, waveforms: Sequence[Waveform]) -> NDArray[np.float32]:
        return self._run([float(one.samples[0]) for one in waveforms])

    def image(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        return self._run([float(one.array[0, 0, 0]) for one in pictures])

    def _run(self, values: list[float]) -> NDArray[np.float32]:
        self.runs.append(values)
        assert self.open.wait(LONG)
        if self.refused in values:
            raise EncoderError("it cannot be embedded")
        return np.array(values, dtype=np.float32)[:, None]


def clip(value: float, samples: int = 400) -> Waveform:
    return Waveform(np.full(samples, value, dtype=np.float32), RATE, samples / RATE, False)


def picture(value: int) -> Pixels:
    return Pixels(np.full((2, 2, 3), value, dtype=np.uint8), 2, 2)


def batcher_and(encoder: FakeEncoder, wait_seconds: float = 0.0) -> Callable[..., asyncio.Future[Encoded]]:
    batcher = Batcher(wait_seconds, Metrics())

    def submit(media: Waveform | Pixels) -> asyncio.Future[Encoded]:
        return batcher.submit(cast(Encoder, encoder), media)

    submit.batcher = batcher  # type: ignore[attr-defined]  # for the test that says what is coming
    return submit


async def until_idle(batcher: Batcher) -> None:
    """A lane that has handed out its last run looks once more before it ends."""
    ends = time.monotonic() + LONG
    while batcher._at_work:
        assert time.monotonic() < ends
        await asyncio.sleep(0.001)


async def until_runs(encoder: FakeEncoder, count: int) -> None:
    ends = time.monotonic() + LONG
    while len(encoder.runs) < count:
        assert time.monotonic() < ends
        await asyncio.sleep(0.001)


def values(answers: Sequence[Encoded]) -> list[float]:
    return [float(answer.vector_D[0]) for answer in answers]


def test_everybody_gets_their_own_vector_whatever_ran_together() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        submit = batcher_and(encoder)
        media: list[Waveform | Pixels] = []
        for n in range(40):
            media.append(picture(n) if n % 3 == 0 else clip(n, 100 + 311 * (n % 5)))
        assert values(await asyncio.gather(*map(submit, media))) == [float(n) for n in range(40)]
        assert sorted(value for batch in encoder.runs for value in batch) == [float(n) for n in range(40)]

    run_async(test)


def test_between_two_answers_of_a_run_the_loop_hears_others() -> None:
    async def test() -> None:
        encoder = FakeEncoder(most=30)
        encoder.open.clear()
        submit, turns = batcher_and(encoder), 0
        submit.batcher._turns = Turns(LONG)  # type: ignore[attr-defined]

        def count() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(count)

        async def one(value: int) -> int:
            await submit(picture(value))
            return turns

        first = [submit(clip(100)), submit(picture(101))]  # they keep both lanes busy
        while len(encoder.runs) < LANES:
            await asyncio.sleep(0.01)
        rest = [asyncio.create_task(one(value)) for value in range(30)]
        await asyncio.sleep(0)
        count()
        encoder.open.set()
        rest[0].add_done_callback(lambda _: rest[7].cancel())  # of the same run, and not answered yet
        answered = await asyncio.gather(*rest[:7], *rest[8:])
        await asyncio.gather(*first)
        assert encoder.runs[2] == [float(value) for value in range(30)]
        assert rest[7].cancelled()
        assert len(set(answered)) == 29
        assert answered == sorted(answered)

    run_async(test)


def test_a_run_starts_at_once_when_nothing_else_is_coming() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        await batcher_and(encoder, wait_seconds=LONG)(clip(1))
        assert encoder.runs == [[1.0]]

    run_async(test)


def test_a_run_waits_for_what_is_being_decoded_and_not_for_ever() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        submit = batcher_and(encoder, wait_seconds=LONG)
        batcher: Batcher = submit.batcher  # type: ignore[attr-defined]
        with batcher.coming():
            first = submit(clip(1))
            await asyncio.sleep(0.05)
            assert encoder.runs == []
            second = submit(clip(2))
        await asyncio.gather(first, second)
        assert encoder.runs == [[1.0, 2.0]]
        impatient = batcher_and(encoder, wait_seconds=0.05)
        with impatient.batcher.coming():  # type: ignore[attr-defined]
            await impatient(clip(3))
        assert encoder.runs[1:] == [[3.0]]

    run_async(test)


def test_what_is_alone_runs_in_the_thread_that_has_it_and_what_has_company_does_not() -> None:
    async def test() -> None:
        encoder, generation = FakeEncoder(), FakeGeneration()
        batcher = Batcher(LONG, Metrics())
        sought = Sought(cast(Generation, generation), "images", 2)

        def at_once(coming: Coming, media: Waveform | Pixels) -> Encoded | None:
            return batcher.at_once(coming, cast(Encoder, encoder), media, sought)

        with batcher.coming() as alone:
            found = await asyncio.to_thread(at_once, alone, clip(1))
            assert found is not None
            assert [hit.id for hit in found.hits] == ["1", "1"]
            # It waits for nobody, and nobody for it, whatever the others' patience.
            await batcher.submit(cast(Encoder, encoder), clip(2))
        await until_idle(batcher)
        with batcher.coming() as one, batcher.coming() as other:
            assert at_once(one, clip(3)) is None
            assert at_once(other, clip(4)) is None
        with batcher.coming() as gone:
            pass
        assert at_once(gone, clip(5)) is None
        with anyio.CancelScope(deadline=anyio.current_time() - 1), batcher.coming() as late:
            assert at_once(late, clip(6)) is None
        busy = await _occupy(encoder, lambda media: batcher.submit(cast(Encoder, encoder), media))
        with batcher.coming() as behind:
            assert at_once(behind, clip(7)) is None
        encoder.open.set()
        await asyncio.gather(*busy)
        assert encoder.runs[:2] == [[1.0], [2.0]]
        assert len(encoder.runs) == 2 + LANES

    run_async(test)


@pytest.mark.parametrize("lanes", [1, LANES])
def test_who_comes_while_one_runs_alone_has_a_lane_and_the_fault_of_one_is_its_own(lanes: int) -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        batcher = Batcher(LONG, Metrics())
        encoder.open.clear()
        with batcher.coming() as alone:
            running = asyncio.create_task(
                asyncio.to_thread(batcher.at_once, alone, cast(Encoder, encoder), clip(BAD), None)
            )
            await until_runs(encoder, 1)
            with batcher.coming() as second:
                assert batcher.at_once(second, cast(Encoder, encoder), clip(2), None) is None
            answer = batcher.submit(cast(Encoder, encoder), clip(2), None, lanes)
            later = batcher.submit(cast(Encoder, encoder), picture(4), None, lanes)
            await until_runs(encoder, 2)
            await asyncio.sleep(0.05)
            assert len(encoder.runs) == 2, "not more runs at once than lanes, but for the only one"
            encoder.open.set()
            assert values(await asyncio.gather(answer, later)) == [2.0, 4.0]
            with pytest.raises(EncoderError):
                await running
        await until_idle(batcher)  # the lane that failed is free, too
        with batcher.coming() as again:
            assert batcher.at_once(again, cast(Encoder, encoder), clip(3), None) is not None

    run_async(test)


async def _occupy(encoder: FakeEncoder, submit: Callable[..., asyncio.Future[Encoded]]) -> list[Any]:
    """Every lane is busy until the encoder is opened, so that what comes next has to wait."""
    encoder.open.clear()
    kept = []
    for n in range(LANES):
        kept.append(submit(clip(100 + n, 3000 + 1000 * n)))
        await asyncio.sleep(0.05)
    return kept


def test_only_like_lengths_share_a_run_and_the_oldest_goes_first() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        submit = batcher_and(encoder)
        busy = await _occupy(encoder, submit)
        answers = [
            submit(one) for one in (clip(1, 400), clip(2, 900), picture(3), clip(4, 450), clip(5, 950))
        ]
        encoder.open.set()
        await asyncio.gather(*busy, *answers)
        assert sorted(encoder.runs[LANES:]) == [[1.0, 4.0], [2.0, 5.0], [3.0]]

    run_async(test)


def test_a_run_takes_no_more_than_fits() -> None:
    async def test() -> None:
        encoder = FakeEncoder(most=3)
        submit = batcher_and(encoder)
        busy = await _occupy(encoder, submit)
        answers = [submit(picture(n)) for n in range(7)]
        encoder.open.set()
        await asyncio.gather(*busy, *answers)
        assert sorted(map(len, encoder.runs[LANES:])) == [1, 3, 3]

    run_async(test)


def test_what_was_cancelled_or_has_expired_is_never_encoded() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        submit = batcher_and(encoder)
        busy = await _occupy(encoder, submit)
        cancelled = submit(clip(1))
        cancelled.cancel()
        with anyio.move_on_after(0.02) as scope:
            await submit(clip(2))
        assert scope.cancelled_caught
        with anyio.CancelScope(deadline=anyio.current_time() - 1, shield=True):
            late = submit(clip(3))  # nobody has cancelled it yet, and yet it is too late
        wanted = submit(clip(4))
        encoder.open.set()
        await asyncio.gather(*busy, wanted)
        assert encoder.runs[LANES:] == [[4.0]]
        assert not late.done()

    run_async(test)


def test_an_input_that_fails_fails_alone() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        submit = batcher_and(encoder)
        busy = await _occupy(encoder, submit)
        answers = [submit(clip(n)) for n in (12, BAD, 14)]
        encoder.open.set()
        results = await asyncio.gather(*busy, *answers, return_exceptions=True)
        assert [type(one) for one in results[LANES:]] == [Encoded, EncoderError, Encoded]

    run_async(test)


def test_what_comes_while_a_lane_ends_is_encoded() -> None:
    async def test() -> None:
        encoder = FakeEncoder()
        encoder.refused = None
        submit = batcher_and(encoder)
        rng = np.random.default_rng(3)
        for n in range(1500):
            answers = [submit(clip(n, 3000 + 1000 * lane)) for lane in range(LANES)]
            for _ in range(
                int(rng.integers(0, 4))
            ):  # the lanes are anywhere between their last run and their end
                await asyncio.sleep(0)
            answers.append(submit(clip(n, 400)))
            assert values(await asyncio.gather(*answers)) == [float(n)] * (LANES + 1)

    run_async(test)


def test_the_model_is_kept_busy_while_the_loop_is() -> None:
    async def test() -> None:
        encoder = FakeEncoder(most=1)
        submit = batcher_and(encoder)
        busy = await _occupy(encoder, submit)
        answers = [submit(picture(n)) for n in range(8)]
        encoder.open.set()
        ends = time.monotonic() + LONG
        while len(encoder.runs) < LANES + 8:  # all the while this holds the loop
            assert time.monotonic() < ends
            time.sleep(0.005)
        assert values(await asyncio.gather(*answers)) == [float(n) for n in range(8)]
        await asyncio.gather(*busy)

    run_async(test)


class FakeGeneration:
    """Finds as many items as were asked for, called by the query's first number; notes every search."""

    def __init__(self) -> None:
        self.searches: list[tuple[str, list[float], int]] = []

    def search(self, target: str, vectors_QD: NDArray[np.float32], k: int) -> list[list[Hit]]:
        values = [float(vector_D[0]) for vector_D in vectors_QD]
        self.searches.append((target, values, k))
        if BAD in values:
            raise StoreError("it cannot be searched")
        return [[Hit(f"{value:g}", 1.0, row, {}) for row in range(k)] for value in values]


def test_who_seeks_alike_in_one_run_is_answered_by_one_search() -> None:
    async def test() -> None:
        encoder, here, there = FakeEncoder(), FakeGeneration(), FakeGeneration()
        batcher = Batcher(0.0, Metrics())

        def submit(
            media: Any, generation: FakeGeneration | None = None, target: Any = "images", k: int = 2
        ) -> Any:
            sought = None if generation is None else Sought(cast(Generation, generation), target, k)
            return batcher.submit(cast(Encoder, encoder), media, sought)

        busy = await _occupy(encoder, submit)
        answers = [
            submit(picture(1), here),
            submit(picture(2), here, "captions"),
            submit(picture(3)),
            submit(picture(4), there),
            submit(picture(5), here),
            submit(picture(6), here, k=3),
        ]
        encoder.open.set()
        await asyncio.gather(*busy)
        found = [[hit.id for hit in (await answer).hits] for answer in answers]
        assert found == [["1"] * 2, ["2"] * 2, [], ["4"] * 2, ["5"] * 2, ["6"] * 3]
        assert encoder.runs[LANES:] == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
        assert here.searches == [("images", [1.0, 5.0], 2), ("captions", [2.0], 2), ("images", [6.0], 3)]
        assert there.searches == [("images", [4.0], 2)]

    run_async(test)


def test_a_search_that_fails_fails_for_those_who_asked_for_it() -> None:
    async def test() -> None:
        encoder, generation = FakeEncoder(), FakeGeneration()
        batcher = Batcher(0.0, Metrics())
        images, captions = (
            Sought(cast(Generation, generation), target, 1) for target in ("images", "captions")
        )
        busy = await _occupy(encoder, lambda media: batcher.submit(cast(Encoder, encoder), media))
        encoder.refused = None
        answers = [
            batcher.submit(cast(Encoder, encoder), picture(n), sought)
            for n, sought in ((1, images), (int(BAD), captions), (3, images))
        ]
        encoder.open.set()
        await asyncio.gather(*busy)
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert [type(one) for one in results] == [Encoded, StoreError, Encoded]

    run_async(test)


def test_a_wrong_number_of_results_is_an_error_and_not_a_wait() -> None:
    class Short:
        def search(self, target: str, vectors_ND: NDArray[np.float32], k: int) -> list[list[Hit]]:
            return [[]] * (len(vectors_ND) - 1)

    async def test() -> None:
        batcher = Batcher(0.0, Metrics())
        sought = Sought(cast(Generation, Short()), "images", 2)
        for _ in range(LANES + 1):  # none is lost to it
            with pytest.raises(ValueError, match="shorter"):
                await batcher.submit(cast(Encoder, FakeEncoder()), picture(1), sought)

    run_async(test)


def test_a_fault_beside_the_model_costs_no_lane() -> None:
    async def test() -> None:
        metrics = Metrics()
        batcher = Batcher(0.0, metrics)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "batch_size", None)
            for _ in range(LANES + 1):
                with pytest.raises(AttributeError):
                    await batcher.submit(cast(Encoder, FakeEncoder()), picture(1))
        assert values([await batcher.submit(cast(Encoder, FakeEncoder()), picture(1))]) == [1.0]
        await until_idle(batcher)

    run_async(test)


def test_a_wrong_number_of_vectors_is_an_error_and_not_a_wait() -> None:
    class OneTooMany(FakeEncoder):
        def speech(self, waveforms: Sequence[Waveform]) -> NDArray[np.float32]:
            return np.zeros((len(waveforms) + 1, 1), dtype=np.float32)

    async def test() -> None:
        submit = batcher_and(OneTooMany())
        results = await asyncio.gather(*(submit(clip(n)) for n in range(3)), return_exceptions=True)
        assert [type(one) for one in results] == [ValueError] * 3
        assert values([await submit(picture(5))]) == [5.0]

    run_async(test)


def test_batched_vectors_are_those_of_each_alone(tiny_bundle: Bundle) -> None:
    """The real encoder: what shares a run does not change a vector."""
    encoder = Encoder(tiny_bundle, provider="cpu", threads=1, max_batch=4)
    rng = np.random.default_rng(5)
    rate = tiny_bundle.manifest.media.sample_rate_hz
    lengths = [int(length) for length in rng.integers(rate // 2, 3 * rate, 12)]
    clips = [
        Waveform(rng.standard_normal(n).astype(np.float32) * 0.1, rate, n / rate, False) for n in lengths
    ]

    async def test() -> None:
        batcher = Batcher(0.0, Metrics())
        answers = await asyncio.gather(*(batcher.submit(encoder, one) for one in clips))
        for one, answer in zip(clips, answers, strict=True):
            np.testing.assert_allclose(answer.vector_D, encoder.speech([one])[0], atol=1e-5)

    run_async(test)


@pytest.mark.parametrize("most", [1, 5])
def test_every_shape_is_warmed_the_largest_first(tiny_bundle: Bundle, most: int) -> None:
    encoder = Encoder(tiny_bundle, provider="cpu", threads=1, max_batch=most)
    media = tiny_bundle.manifest.media
    shapes = list(encoder.warming())
    speech = [shape for shape in shapes if len(shape) == 2]
    assert speech[0] == (most, media.max_samples)
    rng = np.random.default_rng(0)
    for n in rng.integers(1, media.max_samples + 1, 50):
        one = Waveform(np.zeros(n, dtype=np.float32), media.sample_rate_hz, 1.0, False)
        assert (1, encoder.bucket(one)) in speech
