"""Labelled pictures with spoken class names, on a small tree laid out as Tiny ImageNet lies on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.media_bytes import make_wav
from training.datasets import DatasetError, open_dataset
from training.speak import read_captions


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two classes of two pictures and a third that nobody names; sixty clips."""
    folder = tmp_path / "tiny"
    for label in ("n01", "n02", "n03"):
        for part, count in (("train", 2), ("val", 1)):
            (folder / part / label / "images").mkdir(parents=True)
            for i in range(count):
                (folder / part / label / "images" / f"{label}_{i}.JPEG").write_bytes(b"a picture")
            (folder / part / label / f"{label}_boxes.txt").write_text("0 0 9 9")
    (folder / "classes.tsv").write_text("wnid\tnames\nn01\tgoldfish\nn02\tbullfrog, frog\nn03\tlemon\n")
    (folder / "speech").mkdir()
    with (folder / "speech" / "captions.jsonl").open("w") as file:
        for number in range(60):
            id = f"{('n01', 'n02')[number % 2]}_{number}"
            record = {"id": id, "path": f"{id}.wav", "image_id": id[:3], "voice": "espeak:en-us"}
            file.write(json.dumps(record) + "\n")
            (folder / "speech" / f"{id}.wav").write_bytes(make_wav(0.1))
    return folder


def test_every_clip_of_a_class_belongs_to_every_picture_of_it(corpus: Path) -> None:
    train = open_dataset(corpus, "train")
    assert [p.identity for p in train.pictures] == ["n01", "n01", "n02", "n02"]
    assert len({p.id for p in train.pictures}) == 4
    assert all(clip.id.startswith(clip.identity) for clip in train.clips)
    assert 45 < len(train.clips) < 60
    assert train.skipped == {"picture without a spoken caption": 2}
    assert all(media.read() for media in [p.media for p in train.pictures] + [c.media for c in train.clips])


def test_dev_is_the_folder_val_with_clips_of_its_own(corpus: Path) -> None:
    dev = open_dataset(corpus, "dev", corpus / "speech")
    assert [p.id for p in dev.pictures] == ["dev/n01/n01_0", "dev/n02/n02_0"]
    heard = {clip.id for clip in open_dataset(corpus, "train").clips}
    assert {clip.id for clip in dev.clips}.isdisjoint(heard)
    assert len(dev.clips) + len(heard) == 60


def test_links_that_lead_back_bring_no_picture_twice(corpus: Path) -> None:
    for name in ("one", "two", "three"):
        (corpus / "val" / "n01" / "images" / name).symlink_to(corpus / "val")
        (corpus / "val" / "n02" / name).symlink_to(name)
    assert [p.id for p in open_dataset(corpus, "dev").pictures] == ["dev/n01/n01_0", "dev/n02/n02_0"]


def test_what_is_not_there_is_said(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="splits train and dev"):
        open_dataset(corpus, "test")
    with pytest.raises(DatasetError, match="python -m training speak"):
        open_dataset(corpus, "train", tmp_path)


def test_names_of_classes_are_spoken_in_many_phrasings(corpus: Path) -> None:
    captions = read_captions(corpus)
    said = [caption for caption in captions if caption.image_id == "n02"]
    assert len(said) == len({caption.id for caption in said}) == 42
    assert {"bullfrog", "a photo of a frog"} <= {caption.text for caption in said}
    assert {caption.image_id for caption in captions} == {"n01", "n02", "n03"}
    assert not captions.skipped


def test_names_with_capitals_and_lines_without_names(tmp_path: Path) -> None:
    (tmp_path / "classes.tsv").write_text("wnid\tnames\nn1\tox, Bos taurus\nn2\tCathedral\nn3\t\nn4\n")
    captions = read_captions(tmp_path)
    texts = {caption.text for caption in captions}
    assert {"an ox", "a Cathedral"} <= texts
    assert not any("Bos" in text for text in texts)
    assert captions.skipped == {"class without a name": 2}
