"""Batches: the same at every call, every picture once an epoch, groups together, stages in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.cache import Cache
from training.datasets import DatasetError
from training.loader import AHEAD, Batch, Loader, Sampler
from training.preset import Stage


def make_cache(pictures: int = 24, clips_each: int = 3, *, settings: int = 4, long: bool = False) -> Cache:
    """Picture i is all of value i; clip j of it holds the value 100 i + j, 5,000 samples and some."""
    lengths = [5000 + 1000 * (i % 5) + (40_000 if long else 0) for i in range(pictures * clips_each)]
    values = [100 * (i // clips_each) + i % clips_each for i in range(pictures * clips_each)]
    waves = [np.full(n, v, np.int16) for n, v in zip(lengths, values, strict=True)]
    ids = [f"p{i}" for i in range(pictures)]
    return Cache(
        np.broadcast_to(np.arange(pictures, dtype=np.uint8)[:, None, None, None], (pictures, 4, 4, 3)).copy(),
        (1 + np.arange(pictures) / 100).astype(np.float32),
        np.concatenate(waves),
        np.cumsum([0, *lengths]),
        ids,
        [
            {"setting": f"s{i % settings}", "level": "close-up" if i % 3 == 0 else "scene"}
            for i in range(pictures)
        ],
        [ids[i // clips_each] for i in range(pictures * clips_each)],
        Counter(),
    )


def shown(batch: Batch) -> list[int]:
    return [int(value) for value in batch.pixels_RHWC[:, 0, 0, 0]]


def said(batch: Batch) -> list[int]:
    return [int(value) for value in batch.waveform_RS[:, 0]]


def test_a_step_is_the_same_at_every_call_and_in_every_order() -> None:
    cache, stages = make_cache(), (Stage(steps=6, batch=5), Stage(steps=6, batch=4))
    forwards = list(Loader(cache, stages, 1, 16_000).batches(0, 12))
    backwards = [Loader(cache, stages, 1, 16_000).load(step) for step in reversed(range(12))][::-1]
    resumed = list(Loader(cache, stages, 1, 16_000).batches(7, 12))
    for ours, others in ((forwards, backwards), (forwards[7:], resumed)):
        for a, b in zip(ours, others, strict=True):
            assert a.step == b.step
            assert torch.equal(a.waveform_RS, b.waveform_RS)
            assert torch.equal(a.samples_valid_R, b.samples_valid_R)
            assert torch.equal(a.pixels_RHWC, b.pixels_RHWC)
    other = Loader(cache, stages, 2, 16_000).load(0)
    assert shown(other) != shown(forwards[0])


def test_an_epoch_shows_every_picture_once_with_a_clip_of_its_own() -> None:
    loader = Loader(make_cache(), (Stage(steps=100, batch=6),), 1, 16_000)
    heard = defaultdict(set)
    for epoch in range(10):
        batches = [loader.load(4 * epoch + i) for i in range(4)]
        assert sorted(picture for batch in batches for picture in shown(batch)) == list(range(24))
        for batch in batches:
            for picture, clip in zip(shown(batch), said(batch), strict=True):
                assert clip // 100 == picture
                heard[picture].add(clip % 100)
    assert sum(len(clips) == 3 for clips in heard.values()) > 18  # each of three clips in its turn, by chance


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    loader = Loader(make_cache(), (Stage(steps=100, batch=7),), 1, 16_000)
    epochs = [[p for i in range(3) for p in shown(loader.load(3 * epoch + i))] for epoch in range(8)]
    assert all(len(set(epoch)) == 21 for epoch in epochs)
    assert set().union(*epochs) == set(range(24))


def test_a_batch_holds_the_samples_and_says_which_are_its_own() -> None:
    batch = Loader(make_cache(), (Stage(steps=4, batch=6),), 1, 16_000).load(0)
    assert batch.waveform_RS.shape[1] % 4000 == 0
    assert batch.waveform_RS.dtype == torch.int16
    for wave, valid, clip in zip(batch.waveform_RS, batch.samples_valid_R, said(batch), strict=True):
        assert (wave[:valid] == clip).all()
        assert (wave[valid:] == 0).all()
    assert batch.aspect_R.tolist() == [pytest.approx(1 + picture / 100) for picture in shown(batch)]
    assert torch.equal(batch.same, torch.eye(6, dtype=torch.bool))


def test_clips_too_long_are_cut_at_random_places() -> None:
    cache = make_cache(long=True)
    ramp = np.arange(len(cache.samples), dtype=np.int64)
    counted = replace(cache, samples=(ramp % 30_000).astype(np.int16))
    loader = Loader(counted, (Stage(steps=50, batch=6),), 1, 16_000)
    starts = set()
    for step in range(20):
        batch = loader.load(step)
        assert batch.waveform_RS.shape == (6, 16_000)
        assert (batch.samples_valid_R == 16_000).all()
        starts.update(said(batch))
    assert len(starts) > 100


def test_pictures_of_one_identity_belong_together() -> None:
    """As spoken digits do: any 3 is right for "three"."""
    cache = make_cache(12, 1)
    digits = [str(i % 3) for i in range(12)]
    loader = Loader(
        replace(cache, picture_identities=digits, clip_identities=digits),
        (Stage(steps=5, batch=6),),
        1,
        16_000,
    )
    batch = loader.load(0)
    labels = [digits[picture] for picture in shown(batch)]
    assert [[a == b for b in labels] for a in labels] == batch.same.tolist()
    assert [digits[clip // 100] for clip in said(batch)] == labels
    assert [str(number) for number in batch.identity_B.tolist()] == labels


def test_stages_follow_each_other_and_take_their_levels() -> None:
    stages = (Stage(steps=3, batch=4, levels=("close-up",)), Stage(steps=5, batch=6), Stage(steps=2, batch=2))
    loader = Loader(make_cache(), stages, 1, 16_000)
    batches = list(loader.batches(0, 10))
    assert [batch.stage for batch in batches] == [stages[0]] * 3 + [stages[1]] * 5 + [stages[2]] * 2
    assert [len(batch.same) for batch in batches] == [4] * 3 + [6] * 5 + [2] * 2
    assert all(picture % 3 == 0 for batch in batches[:3] for picture in shown(batch))
    assert [loader.stage_at(step) for step in (0, 2, 3, 7, 8, 9)] == [
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 4),
        (2, 0),
        (2, 1),
    ]
    with pytest.raises(IndexError):
        loader.stage_at(10)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_batches_drawn_from_one_group(share: float) -> None:
    """240 pictures of 4 settings in batches of 6, which divides 60: a grouped batch has one setting."""
    cache = make_cache(240, 1)
    sampler = Sampler(cache, Stage(steps=1000, batch=6, group_by="setting", group_share=share), 1)
    alone = 0
    for number in range(400):  # ten epochs
        pictures, _ = sampler.batch(number)
        settings = {cache.picture_tags[i]["setting"] for i in pictures}
        alone += len(settings) == 1
    # A group's pictures are a random share of it, so group ends fall inside a batch: four or so an epoch.
    assert alone / 400 == pytest.approx(share, abs=0.01 + (4 / 40 if 0 < share < 1 else 0))


def test_grouped_epochs_visit_every_picture_too() -> None:
    sampler = Sampler(make_cache(), Stage(steps=100, batch=6, group_by="setting", group_share=0.5), 1)
    for epoch in range(5):
        seen = [int(i) for n in range(4) for i in sampler.batch(4 * epoch + n)[0]]
        assert sorted(seen) == list(range(24))


def padding(stage: Stage, cache: Cache) -> float:
    """Share of an epoch's samples that are padding, as batches are padded to their longest clip."""
    sampler = Sampler(cache, stage, 1)
    lengths = [sampler.samples[sampler.batch(number)[1]] for number in range(sampler.per_epoch)]
    held = sum(len(batch) * int(max(batch)) for batch in lengths)
    return 1 - int(sum(map(sum, lengths))) / held


def test_batches_by_length_hold_little_padding_and_every_picture() -> None:
    cache, stage = make_cache(240, 2), Stage(steps=400, batch=8, by_length=True)
    assert padding(stage, cache) < 0.02 < 0.15 < padding(stage.model_copy(update={"by_length": False}), cache)
    sampler = Sampler(cache, stage, 1)
    epochs = [[sampler.batch(30 * epoch + n) for n in range(30)] for epoch in range(3)]
    for epoch in epochs:
        assert sorted(int(i) for pictures, _ in epoch for i in pictures) == list(range(240))
        longest = [int(max(sampler.samples[clips])) for _, clips in epoch]
        assert longest != sorted(longest)  # short and long batches come in turns


def test_batches_by_length_stay_within_their_group() -> None:
    cache = make_cache(240, 2)
    stage = Stage(steps=400, batch=6, group_by="setting", group_share=1.0, by_length=True)
    assert padding(stage, cache) < 0.06
    sampler = Sampler(cache, stage, 1)
    for number in range(40):
        assert len({cache.picture_tags[i]["setting"] for i in sampler.batch(number)[0]}) == 1


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (
            Stage(steps=1, batch=25),
            r"a batch of 25 needs 25 pictures with a spoken caption .*there are 24; "
            r"give --set stages.1.batch=16, or more pictures$",
        ),
        (
            Stage(steps=1, batch=9, levels=("close-up",)),
            r"pictures of level close-up with .* there are 8; give --set stages.1.batch=8,",
        ),
        (Stage(steps=1, batch=30, chunk=10), r"there are 24; give --set stages.1.batch=20,"),
        (Stage(steps=1, batch=2, levels=("none",)), r"of level none with .* there are 0; give more$"),
        (
            Stage(steps=1, batch=2, group_by="seting"),
            r"no picture has the 'seting' that a stage .* groups by",
        ),
    ],
)
def test_a_stage_that_the_corpus_cannot_fill_is_refused(stage: Stage, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        Loader(make_cache(), (Stage(steps=1, batch=2), stage), 1, 16_000)


def test_a_picture_without_a_clip_is_left_out() -> None:
    cache = make_cache(6, 1)
    quiet = replace(cache, clip_identities=["p0", "p1", "p2", "p3", "p0", "p1"])
    sampler = Sampler(quiet, Stage(steps=4, batch=4), 1)
    assert sorted(sampler.batch(0)[0]) == [0, 1, 2, 3]


class Broken(Loader):
    """Fails at step 5."""

    def load(self, step: int) -> Batch:
        if step == 5:
            raise OSError("the disk went away")
        return super().load(step)


def test_a_failure_in_the_thread_surfaces_at_its_step() -> None:
    steps: list[int] = []
    loader = Broken(make_cache(), (Stage(steps=20, batch=4),), 1, 16_000)
    batches = loader.batches(0, 20)
    with pytest.raises(OSError, match="the disk went away"):
        steps.extend(batch.step for batch in batches)
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("loader", [Loader, Broken])
def test_who_stops_early_is_not_kept_waiting(loader: type[Loader]) -> None:
    """Also when the thread has failed behind a full queue that nobody empties any more."""
    batches = loader(make_cache(), (Stage(steps=20, batch=4),), 1, 16_000).batches(5 - AHEAD, 20)
    assert next(iter(batches)).step == 5 - AHEAD
    batches.close()  # type: ignore[attr-defined]


def test_nothing_left_to_do_gives_no_batches() -> None:
    assert list(Loader(make_cache(), (Stage(steps=3, batch=4),), 1, 16_000).batches(3, 3)) == []
