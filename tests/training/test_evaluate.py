"""The protocol of the Flickr Audio papers against a slow oracle: several captions a picture, both ways."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from indexer.media import decode_image, decode_speech
from tests.fixtures.embedded import NOWHERE, make_embedded
from tests.fixtures.tiny_training import make_learnable_corpus, tiny_preset
from training.datasets import Clip, DatasetError, PairSet, Picture, open_dataset
from training.datasets.pairs import File
from training.evaluate import KS, Embedded, ModelEmbedder, by_voice_rows, embed, only, padded, score
from training.towers.dual import DualEncoder


def slow_recall(
    queries: NDArray[np.float32], wanted: list[str], gallery: NDArray[np.float32], names: list[str], k: int
) -> float:
    """Sort the gallery for each query; a hit when the first k hold one that belongs."""
    hits = []
    for query, identity in zip(queries, wanted, strict=True):
        if identity not in names:
            continue
        best_first = sorted(range(len(names)), key=lambda g: -float(query @ gallery[g]))
        hits.append(any(names[g] == identity for g in best_first[:k]))
    return sum(hits) / len(hits)


@pytest.mark.parametrize("captions", [[5] * 30, [1] * 40, [5, 1, 3, 0, 2, 5, 4, 1, 0, 5, 2, 2]])
def test_recall_is_what_sorting_by_hand_gives(captions: list[int]) -> None:
    embedded = make_embedded(captions)
    scores = score(embedded)
    spoken = [clip.identity for clip in embedded.clips]
    seen = [picture.identity for picture in embedded.pictures]
    for k in KS:
        there = slow_recall(embedded.speech_ND, spoken, embedded.image_ND, seen, k)
        back = slow_recall(embedded.image_ND, seen, embedded.speech_ND, spoken, k)
        assert scores.speech_to_image[k] == pytest.approx(there)
        assert scores.image_to_speech[k] == pytest.approx(back)
    assert (scores.clips, scores.pictures) == (sum(captions), len(captions))
    assert scores.mean_recall_at_10 == (scores.speech_to_image[10] + scores.image_to_speech[10]) / 2


def test_any_of_a_pictures_captions_is_a_hit_and_counts_for_precision() -> None:
    image_ND = np.eye(3, dtype=np.float32)
    speech_ND = np.asarray([[1, 0, 0], [0.9, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    clips = tuple(Clip(f"c{i}", NOWHERE, name) for i, name in enumerate(("a", "a", "b", "c")))
    pictures = tuple(Picture(name, NOWHERE, name) for name in "abc")
    scores = score(Embedded(speech_ND, image_ND, clips, pictures, ()))
    assert scores.speech_to_image[1] == scores.image_to_speech[1] == 1
    assert scores.median_rank == pytest.approx((1, 1))
    assert scores.precision_at_10 == pytest.approx((1 / 10, (2 + 1 + 1) / 3 / 10))


def test_constant_vectors_earn_nothing() -> None:
    embedded = make_embedded([2] * 60)
    constant = Embedded(
        np.ones_like(embedded.speech_ND),
        np.ones_like(embedded.image_ND),
        embedded.clips,
        embedded.pictures,
        (),
    )
    scores = score(constant)
    assert scores.speech_to_image[50] == scores.image_to_speech[100] == 0


def test_rows_by_voice_have_that_voices_clips_against_all_pictures() -> None:
    embedded = make_embedded([3, 3, 2, 3, 1], ["Annie", "linda", ""])
    rows = by_voice_rows(embedded)
    assert list(rows) == ["?", "Annie", "linda"]
    assert [rows[name].clips for name in rows] == [3, 5, 4]
    assert all(row.pictures == 5 for row in rows.values())
    annie = score(only(embedded, lambda clip: clip.voice == "Annie"))
    assert rows["Annie"] == annie


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_learnable_corpus(tmp_path_factory.mktemp("evaluate") / "pairs", train=40, dev=0, clips_each=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(tiny_preset(tmp_path_factory.mktemp("preset"))).eval()


def test_files_are_embedded_in_their_order_whatever_the_batches(corpus: Path, model: DualEncoder) -> None:
    data, told = open_dataset(corpus, "train"), []
    spec = tiny_preset(corpus).media.spec()
    embedder = ModelEmbedder(model)
    embedded = embed(embedder, spec, data, lambda done, total: told.append((done, total)))
    assert embedded.clips == data.clips
    assert embedded.pictures == data.pictures
    assert told == [(32, 80), (40, 80), (72, 80), (80, 80)]
    for i in (0, 7, 33, 39):
        wave = decode_speech(data.clips[i].media.read(), spec)
        pixels = decode_image(data.pictures[i].media.read(), spec)
        np.testing.assert_allclose(embedded.speech_ND[i], embedder.speech([wave])[0], atol=1e-4)
        np.testing.assert_allclose(embedded.image_ND[i], embedder.image([pixels])[0], atol=1e-4)
    assert not model.training
    assert math.isfinite(score(embedded).mean_recall_at_10)


def test_what_does_not_decode_is_named_and_left_out(corpus: Path, model: DualEncoder, tmp_path: Path) -> None:
    data = open_dataset(corpus, "train")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    clips = (Clip("empty one", File(empty), "train_00"), *data.clips[:3], Clip("gone", NOWHERE, "train_01"))
    pictures = (*data.pictures[:3], Picture("no photo", NOWHERE, "train_05"))
    spec = tiny_preset(tmp_path).media.spec()
    embedded = embed(ModelEmbedder(model), spec, PairSet("some", "test", pictures, clips))
    assert [clip.id for clip in embedded.clips] == ["train_00_0", "train_01_0", "train_02_0"]
    assert len(embedded.speech_ND) == len(embedded.image_ND) == 3
    assert [reason.split(":")[0] for reason in embedded.failed] == ["empty one", "gone", "no photo"]


@pytest.mark.parametrize(
    ("clips", "pictures", "sentence"),
    [
        (
            (Clip("c", NOWHERE, "p"),),
            (Picture("p", NOWHERE, "p"),),
            "no spoken caption of some, split test, could",
        ),
        (
            (),
            (Picture("p", NOWHERE, "p"),),
            "no spoken caption of some, split test, could be decoded: there is none",
        ),
    ],
)
def test_nothing_to_judge_is_an_error(
    model: DualEncoder, tmp_path: Path, clips: tuple[Clip, ...], pictures: tuple[Picture, ...], sentence: str
) -> None:
    spec = tiny_preset(tmp_path).media.spec()
    with pytest.raises(DatasetError, match=sentence):
        embed(ModelEmbedder(model), spec, PairSet("some", "test", pictures, clips))


def test_a_batch_is_padded_with_silence(corpus: Path) -> None:
    spec = tiny_preset(corpus).media.spec()
    waves = [decode_speech(clip.media.read(), spec) for clip in open_dataset(corpus, "train").clips[:4]]
    waveform_NS, valid_N = padded(waves)
    assert waveform_NS.shape == (4, max(len(wave.samples) for wave in waves))
    for row, valid, wave in zip(waveform_NS, valid_N, waves, strict=True):
        np.testing.assert_array_equal(row[:valid], wave.samples)
        assert not row[valid:].any()
