"""The readers on the real corpora: SAYSEE_DATA holds them, or an unpack.sh that lays them out."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from indexer.media import MediaSpec, decode_image, decode_speech
from training.datasets import open_dataset
from training.datasets.flickr8k import read_captions, read_split
from training.speak import speak

pytestmark = [pytest.mark.data, pytest.mark.slow]

SPEC = MediaSpec(image_size=64)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`flickr8k` and `spoken-digits` as they are distributed."""
    root = Path(os.environ["SAYSEE_DATA"])
    if (root / "flickr8k" / "Flickr8k.token.txt").is_file():
        return root
    folder = tmp_path_factory.mktemp("corpora")
    subprocess.run([root / "unpack.sh", folder], check=True, capture_output=True)
    return folder


def test_flickr8k_has_its_captions_and_its_splits(corpora: Path) -> None:
    folder = corpora / "flickr8k"
    captions = read_captions(folder)
    assert len(captions) == 40_460
    lists = {split: read_split(folder, split) for split in ("train", "dev", "test")}
    assert {split: len(names) for split, names in lists.items()} == {"train": 6000, "dev": 1000, "test": 1000}
    assert len({name for names in lists.values() for name in names}) == 8000
    for names in lists.values():
        assert all((folder / "Flicker8k_Dataset" / name).is_file() for name in names)
        assert all(f"{name}#{k}" in captions for name in names for k in range(5))


def test_flickr8k_spoken_here_is_read_as_if_it_were_recorded(corpora: Path, tmp_path: Path) -> None:
    folder = corpora / "flickr8k"
    speak(folder, tmp_path, voices="reserved-espeak", split="test", limit=15, workers=1)
    test = open_dataset(folder, "test", tmp_path)
    assert (len(test.pictures), len(test.clips)) == (3, 15)
    assert test.skipped == {"picture without a spoken caption": 997}
    captions = read_captions(folder)
    for clip in test.clips:
        image, _, k = clip.id.rpartition("_")
        assert clip.identity == image
        assert clip.text == captions[f"{image}.jpg#{k}"]
        assert decode_speech(clip.media.read(), SPEC).source_seconds > 0.5
    assert decode_image(test.pictures[0].media.read(), SPEC).array.std() > 5


def test_digits_have_their_official_split(corpora: Path) -> None:
    train, test = (open_dataset(corpora / "spoken-digits", split) for split in ("train", "test"))
    assert (len(train.clips), len(train.pictures)) == (2700, 60_000)
    assert (len(test.clips), len(test.pictures)) == (300, 1000)
    assert not train.skipped
    assert not test.skipped
    assert len(train.voices()) == 6
    assert set(Counter((clip.voice, clip.identity) for clip in test.clips).values()) == {5}
    assert set(Counter(clip.identity for clip in train.clips).values()) == {270}
    assert {picture.identity for picture in train.pictures} == set("0123456789")
    for split in (train, test):
        assert decode_speech(split.clips[0].media.read(), SPEC).source_seconds > 0.1
        assert decode_image(split.pictures[-1].media.read(), SPEC).array.std() > 5
