"""On which thread a query is decoded, encoded and searched, and that all of its time is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.encoder import Encoder
from indexer.media import MediaLimits, MediaSpec, Pixels, Waveform, decode_speech
from indexer.store import Generation, Hit
from service.batching import Batcher
from service.metrics import Metrics
from service.snapshot import Snapshot
from service.stages import Stages
from service.together import Encoded, Sought
from service.way import LARGE_BYTES, Way
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.own_loop import run_async

CLIP = make_wav(0.5)
LONG_CLIP = make_wav(7.0)
BLOCKED_SECONDS = 0.2


class Model:
    """An encoder, and an index with nothing in it; notes on which threads both are used."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def bucket(self, media: Waveform | Pixels) -> int:
        return 0

    def fits(self, media: Waveform | Pixels) -> int:
        return 8

    def speech(self, waveforms: Sequence[Waveform]) -> NDArray[np.float32]:
        self.threads.append(threading.current_thread().name)
        return np.zeros((len(waveforms), 4), np.float32)

    def search(self, target: str, vectors_QD: NDArray[np.float32], k: int) -> list[list[Hit]]:
        self.threads.append(threading.current_thread().name)
        return [[] for _ in vectors_QD]


class FakeSnapshot:
    """What a query needs of the generation that is served."""

    media = MediaSpec()

    def __init__(self, model: Model, waits_elsewhere: bool = False) -> None:
        self.encoder = model
        self.waits_elsewhere = waits_elsewhere


async def ask(way: Way, model: Model, stages: Stages) -> Encoded | None:
    snapshot = cast(Snapshot, FakeSnapshot(model))
    sought = Sought(cast(Generation, model), "images", 1)
    _, found = await way.decode_or_all(stages, CLIP, snapshot, sought)
    return found


@pytest.mark.parametrize(
    ("cores", "has_company", "is_done"), [(2, False, True), (2, True, False), (1, False, False)]
)
def test_a_query_stays_on_its_thread_if_it_is_alone_and_the_thread_is_not_the_only_one(
    cores: int, has_company: bool, is_done: bool
) -> None:
    async def test() -> None:
        model, batcher = Model(), Batcher(0.0, Metrics())
        way = Way(MediaLimits(), cores, batcher)
        with batcher.coming() if has_company else nullcontext():
            found = await ask(way, model, Stages())
        way.close()
        assert (found is not None) == is_done
        assert len(model.threads) == (2 if is_done else 0)
        assert all(name.startswith("decoder") for name in model.threads)

    run_async(test)


@pytest.mark.parametrize(
    ("cores", "waits_elsewhere", "lanes"), [(1, False, 1), (2, False, 1), (3, False, 2), (2, True, 2)]
)
def test_the_model_runs_twice_at_once_where_a_second_run_finds_a_core(
    cores: int, waits_elsewhere: bool, lanes: int
) -> None:
    asked: list[int] = []

    class Noting(Batcher):
        def submit(
            self, encoder: Encoder, media: Waveform | Pixels, sought: Sought | None = None, lanes: int = 0
        ) -> asyncio.Future[Encoded]:
            asked.append(lanes)
            return super().submit(encoder, media, sought, lanes)

    async def test() -> None:
        way = Way(MediaLimits(), cores, Noting(0.0, Metrics()))
        snapshot = cast(Snapshot, FakeSnapshot(Model(), waits_elsewhere))
        media = await way.decode(Stages(), CLIP, snapshot)
        await way.encode(Stages(), media, snapshot)
        way.close()

    run_async(test)
    assert asked == [lanes]


@pytest.mark.parametrize("has_company", [False, True])
def test_what_the_loop_lets_a_query_wait_is_told_as_queue(has_company: bool) -> None:
    async def test() -> None:
        batcher, stages = Batcher(0.0, Metrics()), Stages()
        way = Way(MediaLimits(), 2, batcher)
        with batcher.coming() if has_company else nullcontext():
            asked = asyncio.create_task(ask(way, Model(), stages))
            await asyncio.sleep(0)  # it has begun
            time.sleep(BLOCKED_SECONDS)
            found = await asked
        way.close()
        assert (found is None) == has_company
        assert sum(stages.ms.values()) >= 1000 * BLOCKED_SECONDS

    run_async(test)


@pytest.mark.parametrize(("data", "at_once"), [(CLIP, 1), (LONG_CLIP, 2)])
def test_small_files_are_decoded_by_half_the_cores_and_large_ones_by_all(
    data: bytes, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(CLIP) < LARGE_BYTES <= len(LONG_CLIP)
    most, now = 0, 0
    changed = threading.Condition()

    def slowly(data: bytes, spec: MediaSpec, limits: MediaLimits) -> Waveform:
        nonlocal most, now
        with changed:
            now += 1
            most = max(most, now)
            changed.notify_all()
            changed.wait_for(lambda: most > 1, timeout=BLOCKED_SECONDS)  # for another to come
            now -= 1
        return decode_speech(data, spec, limits)

    monkeypatch.setattr("service.way.decode_speech", slowly)

    async def test() -> None:
        way = Way(MediaLimits(), 2, Batcher(0.0, Metrics()))
        snapshot = cast(Snapshot, FakeSnapshot(Model()))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(way.decode(Stages(), data, snapshot))
        way.close()

    run_async(test)
    assert most == at_once
