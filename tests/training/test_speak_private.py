"""A list from a stranger brings no file of this machine into the shards that are made of it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.media_bytes import make_png
from training.speak import speak

SECRET = b"a private key"


def coco(folder: Path, name: str) -> Path:
    image, caption = {"id": 1, "file_name": name}, {"id": 7, "image_id": 1, "caption": "a dog"}
    (folder / "captions_train.json").write_text(json.dumps({"images": [image], "annotations": [caption]}))
    return folder / "captions_train.json"


def listed(folder: Path, name: str) -> Path:
    (folder / "texts.jsonl").write_text(json.dumps({"id": "a", "image_id": "i", "text": "a dog"}) + "\n")
    (folder / "images.jsonl").write_text(json.dumps({"id": "i", "path": name}) + "\n")
    return folder


def shard_of(source: Path, out: Path) -> dict[str, bytes]:
    """Name -> bytes of all that the only shard holds."""
    speak(source, out, voices="espeak:en-us", workers=1, shards=5)
    (shard,) = out.glob("*.tar")
    with tarfile.open(shard) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar]
        return {name: file.read() for name, file in members if file is not None}


@pytest.mark.parametrize("make", [coco, listed])
@pytest.mark.parametrize("way", ["absolute", "parent", "inner parent", "link"])
def test_what_lies_elsewhere_stays_there(tmp_path: Path, make: Callable[[Path, str], Path], way: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    secret = tmp_path / "elsewhere" / "secret.jpg"
    secret.write_bytes(SECRET)
    folder = tmp_path / "corpora" / "corpus"
    (folder / "images").mkdir(parents=True)
    (folder / "link.jpg").symlink_to(secret)
    names = {
        "absolute": str(secret),
        "parent": "../../elsewhere/secret.jpg",
        "inner parent": "images/../../../elsewhere/secret.jpg",
        "link": "link.jpg",
    }
    held = shard_of(make(folder, names[way]), tmp_path / "out")
    assert sorted(name.rpartition(".")[2] for name in held) == ["flac", "json"]
    assert not any(SECRET in data for data in held.values())


@pytest.mark.parametrize("make", [coco, listed])
def test_a_picture_of_the_folder_goes_along_also_behind_a_link(
    tmp_path: Path, make: Callable[[Path, str], Path]
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (tmp_path / "far.png").write_bytes(make_png(1))
    (folder / "far.png").symlink_to(tmp_path / "far.png")
    held = shard_of(make(folder, "far.png"), tmp_path / "out")
    assert make_png(1) in held.values()
