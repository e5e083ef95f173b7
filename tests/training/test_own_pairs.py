"""Pictures and written captions of one's own: spoken, listed, split as stated, indexed by their lists."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer.build import build
from indexer.bundle import Bundle
from indexer.store import open_index
from tests.fixtures.media_bytes import make_png, make_wav
from training.datasets import DatasetError, open_dataset
from training.datasets.named import split_of
from training.speak import speak

VOICES = "espeak:en-us,espeak:en-gb+f2"
STATED = {"harbour": "test", "meadow": "dev", "street": "train"}


def own_texts(folder: Path, splits: dict[str, str | None]) -> Path:
    """images/NAME.png and a line of texts.jsonl for each name."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (name, split) in enumerate(splits.items()):
        (folder / "images" / f"{name}.png").write_bytes(make_png(number))
        stated = {"split": split} if split else {}
        lines.append({"id": f"{name}_0", "image_id": name, "text": f"the {name} at dusk"} | stated)
    (folder / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "texts.jsonl"


def listed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    speak(own_texts(tmp_path / "mine", dict(STATED)), tmp_path / "mine", voices=VOICES, workers=1)
    return tmp_path / "mine"


def test_stated_splits_are_those_that_are_read(mine: Path) -> None:
    assert split_of("harbour") == "train"  # the hash would train on it
    assert listed(mine) == [
        {"id": name, "path": f"images/{name}.png", "split": split} for name, split in STATED.items()
    ]
    for name, split in STATED.items():
        read = open_dataset(mine, split)
        assert [picture.id for picture in read.pictures] == [name]
        assert [clip.id for clip in read.clips] == [f"{name}_0"]


def test_the_folder_is_indexed_by_its_lists(mine: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    build(
        tiny_bundle.path,
        tmp_path / "index",
        images=mine / "images.jsonl",
        captions=mine / "captions.jsonl",
        promote_it=True,
    )
    with closing(open_index(tmp_path / "index")) as generation:
        assert {item.id for item in generation.items("images", 10)[0]} == set(STATED)
        texts = {item.metadata["text"] for item in generation.items("captions", 10)[0]}
        assert texts == {f"the {name} at dusk" for name in STATED}


def test_a_picture_that_comes_later_is_added_to_the_list(mine: Path) -> None:
    first = listed(mine)
    first[0]["title"] = "a line of one's own"
    (mine / "images.jsonl").write_text("".join(json.dumps(line) + "\n" for line in first))
    speak(own_texts(mine, {**STATED, "tower": "test"}), mine, voices=VOICES, workers=1)
    assert listed(mine) == [*first, {"id": "tower", "path": "images/tower.png", "split": "test"}]


def test_without_stated_splits_they_follow_from_the_names(tmp_path: Path) -> None:
    names: dict[str, str | None] = dict.fromkeys([f"photo_{i}" for i in range(12)])
    speak(own_texts(tmp_path / "mine", names), tmp_path / "mine", voices=VOICES, workers=1)
    assert {line["id"]: line["split"] for line in listed(tmp_path / "mine")} == {
        name: split_of(name) for name in names
    }
    assert {split_of(name) for name in names} > {"train"}


def test_clips_elsewhere_reach_the_pictures_by_a_link(tmp_path: Path) -> None:
    source, out = own_texts(tmp_path / "mine", dict(STATED)), tmp_path / "spoken"
    speak(source, out, voices=VOICES, workers=1)
    assert open_dataset(out, "test").pictures[0].media.read() == make_png(0)
    (tmp_path / "mine" / "images.jsonl").write_bytes((out / "images.jsonl").read_bytes())
    speak(source, tmp_path / "other", voices=VOICES, workers=1)  # listed where the pictures are
    assert not (tmp_path / "other" / "images.jsonl").exists()


@pytest.mark.parametrize("place", ["mine/captions.jsonl", "mine/texts.jsonl", "spoken/captions.jsonl"])
def test_stated_splits_are_never_replaced_by_a_hash(tmp_path: Path, place: str) -> None:
    mine, speech = tmp_path / "mine", tmp_path / "spoken" / "speech"
    own_texts(mine, dict.fromkeys(STATED))
    speech.mkdir(parents=True)
    for name in STATED:
        (speech / f"{name}_0.wav").write_bytes(make_wav(0.3))
    assert len(open_dataset(mine, split_of("harbour"), speech).clips) > 0
    lines = [{"id": f"{name}_0", "image_id": name, "split": split} for name, split in STATED.items()]
    (tmp_path / place).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DatasetError, match=rf"{place} states splits, .* there is no .*mine/images.jsonl"):
        open_dataset(mine, "train", speech)


def test_pictures_listed_without_a_split_have_that_of_their_captions(mine: Path) -> None:
    bare = [{"id": line["id"], "path": line["path"]} for line in listed(mine)]
    (mine / "images.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bare))
    assert [picture.id for picture in open_dataset(mine, "train").pictures] == ["street"]


def test_a_list_that_contradicts_its_captions_is_refused(mine: Path) -> None:
    other = [line | {"split": "train"} for line in listed(mine)]
    (mine / "images.jsonl").write_text("".join(json.dumps(line) + "\n" for line in other))
    with pytest.raises(DatasetError, match=r"by images.jsonl and captions.jsonl, has 2 images in two splits"):
        open_dataset(mine, "train")
