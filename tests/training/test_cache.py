"""The decoded cache: holds what the decoder gives, is made once, and leaves out what is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.media import MediaSpec, decode_image, decode_speech
from tests.fixtures.hostile_media import Killer
from tests.fixtures.tiny_training import coloured_png, make_learnable_corpus
from training.cache import Cache, cache_key, cache_spec, open_cache
from training.datasets import DatasetError, PairSet, open_dataset
from training.datasets.pairs import Clip, File, Picture
from training.pool import WorkerDied

SPEC = MediaSpec(max_seconds=0.5, image_size=24)


@pytest.fixture
def corpus(tmp_path: Path) -> PairSet:
    return open_dataset(make_learnable_corpus(tmp_path / "pairs", train=3, dev=0), "train")


def opened(data: PairSet, root: Path, told: list[tuple[int, int]] | None = None) -> Cache:
    def tell(done: int, total: int) -> None:
        if told is not None:
            told.append((done, total))

    return open_cache(data, SPEC, root, 1, tell)


def test_the_cache_holds_what_decoding_gives(corpus: PairSet, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    cache = opened(corpus, tmp_path / "cache", told)
    assert told == [(3, 9), (9, 9)]
    for i, picture in enumerate(corpus.pictures):
        np.testing.assert_array_equal(cache.pictures[i], decode_image(picture.media.read(), SPEC).array)
        assert cache.picture_identities[i] == picture.identity
        assert cache.picture_tags[i] == picture.tags
    for i, clip in enumerate(corpus.clips):
        samples = cache.samples[cache.offsets[i] : cache.offsets[i + 1]] / 32768
        np.testing.assert_allclose(samples, decode_speech(clip.media.read(), SPEC).samples, atol=1 / 32768)
        assert cache.clip_identities[i] == clip.identity
    assert not cache.skipped


def test_the_cache_is_made_once_and_tags_are_always_new(corpus: PairSet, tmp_path: Path) -> None:
    first = opened(corpus, tmp_path / "cache")
    relabelled = replace(
        corpus, pictures=tuple(replace(picture, tags={"level": "new"}) for picture in corpus.pictures)
    )
    told: list[tuple[int, int]] = []
    second = opened(relabelled, tmp_path / "cache", told)
    assert told == []
    assert [tags["level"] for tags in second.picture_tags] == ["new"] * 3
    np.testing.assert_array_equal(first.samples, second.samples)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_other_items_and_other_decoding_are_another_cache(corpus: PairSet) -> None:
    keys = {
        cache_key(corpus, SPEC),
        cache_key(corpus, replace(SPEC, max_seconds=0.6)),
        cache_key(corpus, replace(SPEC, image_size=25)),
        cache_key(replace(corpus, clips=corpus.clips[1:]), SPEC),
        cache_key(replace(corpus, clips=corpus.clips[::-1]), SPEC),
        cache_key(replace(corpus, pictures=corpus.pictures[::-1]), SPEC),
    }
    assert len(keys) == 6


def test_what_does_not_decode_is_left_out_and_counted_by_reason(corpus: PairSet, tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    (folder / "images" / "train_01.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (folder / "speech" / "train_00_0.wav").unlink()
    (folder / "speech" / "train_02_0.wav").unlink()
    (folder / "speech" / "train_02_1.wav").write_text("words")
    cache = opened(corpus, tmp_path / "cache")
    assert cache.picture_identities == ["train_00", "train_02"]
    assert len(cache.pictures) == 2
    assert cache.clip_identities == ["train_00", "train_01", "train_01"]
    assert len(cache.offsets) == 4
    assert cache.offsets[-1] == len(cache.samples)
    assert cache.skipped["spoken caption: No such file or directory"] == 2
    assert sum(count for reason, count in cache.skipped.items() if reason.startswith("picture: ")) == 1
    assert sum(cache.skipped.values()) == 4
    assert opened(corpus, tmp_path / "cache").skipped == cache.skipped


def test_a_killed_attempt_leaves_nothing_that_counts(corpus: PairSet, tmp_path: Path) -> None:
    part = tmp_path / "cache" / f"train-{cache_key(corpus, SPEC)}.part"
    part.mkdir(parents=True)
    (part / "clips.i16").write_bytes(b"half a clip")
    cache = opened(corpus, tmp_path / "cache")
    assert len(cache.clip_identities) == 6
    assert not part.exists()


def test_nothing_that_decodes_is_an_error(tmp_path: Path) -> None:
    picture = Picture("p", File(tmp_path / "p.png"), "p")
    clip = Clip("c", File(tmp_path / "c.wav"), "p")
    data = PairSet("broken", "train", (picture,), (clip,))
    with pytest.raises(DatasetError, match=r"nothing of broken could be decoded: 1 x picture: No such file"):
        opened(data, tmp_path / "cache")


def test_a_process_that_dies_is_told_in_a_sentence(tmp_path: Path) -> None:
    data = PairSet("deadly", "train", (Picture("p", Killer(), "p"),), (Clip("c", Killer(), "p"),))
    with pytest.raises(WorkerDied, match=r"A worker process died .* give the same command again"):
        opened(data, tmp_path / "cache")


def test_clips_are_kept_twice_as_long_as_they_are_heard_and_pictures_whole() -> None:
    assert cache_spec(MediaSpec(max_seconds=3.5)) == MediaSpec(max_seconds=7.0)
    cut = MediaSpec(image_size=24, resize="shortest", crop="center", crop_fraction=0.9)
    data = coloured_png(0.3, 1, width=40, height=20)
    kept = decode_image(data, cache_spec(cut)).array
    np.testing.assert_array_equal(kept, decode_image(data, MediaSpec(image_size=24)).array)


def test_the_cache_knows_the_shape_that_pictures_had(corpus: PairSet, tmp_path: Path) -> None:
    tall = tmp_path / "pairs" / "images" / "train_01.png"
    tall.write_bytes(coloured_png(0.5, 1, width=20, height=50))
    for _ in range(2):
        cache = opened(corpus, tmp_path / "cache")
        assert cache.aspects.tolist() == [pytest.approx(40 / 30), pytest.approx(0.4), pytest.approx(40 / 30)]
        assert cache.aspects.dtype == np.float32
