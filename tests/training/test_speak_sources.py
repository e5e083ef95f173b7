"""Sources of captions as on disk: COCO, Karpathy's splits, img2dataset's shards, with their traps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.media_bytes import make_png
from training.shards import END, tar_member
from training.speak import Caption, CaptionsError, read_captions


def put(path: Path, content: bytes | str | dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, ensure_ascii=False)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def img2dataset(folder: Path) -> Path:
    """Two shards as img2dataset leaves them: what it could not fetch stands in the statistics alone."""
    captions: list[Any] = ['A "quoted" dog, naïve', "null", None, "a harbour at dusk"]
    for shard in range(2):
        content = b""
        for place in range(2):
            key, caption = f"{shard:05d}{place:04d}", captions[2 * shard + place]
            told = {"key": key, "caption": caption, "url": f"http://a/{key}.jpg", "status": "success"}
            content += tar_member(f"{key}.jpg", make_png(2 * shard + place))
            content += tar_member(f"{key}.json", json.dumps(told).encode())
            if caption is not None and shard == 0:
                content += tar_member(f"{key}.txt", caption.encode())
        put(folder / f"{shard:05d}.tar", content + END)
        put(folder / f"{shard:05d}_stats.json", {"count": 5, "successes": 2, "failed_to_download": 3})
        put(folder / f"{shard:05d}.parquet", b"PAR1")
    return folder


def test_coco_captions_belong_to_pictures_beside_them(tmp_path: Path) -> None:
    document = {
        "images": [
            {"id": 391895, "file_name": "000000391895.jpg"},
            {"id": 7, "file_name": "000000000007.jpg"},
        ],
        "annotations": [
            {"id": 770337, "image_id": 391895, "caption": 'A man, "so to say", on a bike.\n'},
            {"id": 771687, "image_id": 391895, "caption": "null"},
            {"id": 5, "image_id": 7, "caption": None},
            {"id": 6, "image_id": 7, "caption": "naïve café"},
            {"id": 9, "image_id": 404, "caption": "Of no image."},
        ],
    }
    source = put(tmp_path / "annotations" / "captions_train2017.json", document)
    put(tmp_path / "train2017" / "000000391895.jpg", b"jpeg")
    found = read_captions(source)
    captions = list(found)
    assert [(c.id, c.image_id, c.text, c.split) for c in captions] == [
        ("000000391895_770337", "000000391895", 'A man, "so to say", on a bike.\n', "train"),
        ("000000391895_771687", "000000391895", "null", "train"),
        ("000000000007_6", "000000000007", "naïve café", "train"),
    ]
    assert captions[0].picture is not None
    assert (captions[0].picture.read(), captions[0].picture_type) == (b"jpeg", "jpg")
    assert captions[2].picture is None
    assert found.skipped == {"caption is no text": 1, "caption without an image": 1}
    put(tmp_path / "annotations" / "captions_val2017.json", document)
    assert {c.split for c in read_captions(tmp_path / "annotations" / "captions_val2017.json")} == {"dev"}


def test_karpathys_splits_take_restval_for_training(tmp_path: Path) -> None:
    images = [
        {
            "filepath": "val2014",
            "filename": f"COCO_val2014_00000000000{n}.jpg",
            "split": split,
            "sentences": [{"raw": f"{split} {k}", "sentid": 10 * n + k} for k in range(2)],
        }
        for n, split in enumerate(("train", "restval", "val", "test"))
    ]
    source = put(tmp_path / "dataset_coco.json", {"images": images, "dataset": "coco"})
    found = list(read_captions(source))
    assert [(c.id, c.split) for c in found[::2]] == [
        ("COCO_val2014_000000000000_0", "train"),
        ("COCO_val2014_000000000001_10", "train"),
        ("COCO_val2014_000000000002_20", "dev"),
        ("COCO_val2014_000000000003_30", "test"),
    ]
    assert [c.text for c in read_captions(source, split="test")] == ["test 0", "test 1"]


@pytest.mark.parametrize(
    ("content", "told"), [('{"images"', "not a whole JSON file"), ('{"info": 1}', "is neither COCO's")]
)
def test_a_json_that_is_neither_is_refused(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(CaptionsError, match=told):
        read_captions(put(tmp_path / "captions.json", content))


def test_shards_of_img2dataset_are_read_in_place(tmp_path: Path) -> None:
    found = read_captions(img2dataset(tmp_path))
    captions = list(found)
    assert [(c.id, c.image_id, c.text) for c in captions] == [
        ("000000000", "000000000", 'A "quoted" dog, naïve'),
        ("000000001", "000000001", "null"),
        ("000010001", "000010001", "a harbour at dusk"),
    ]
    for caption, number in zip(captions, (0, 1, 3), strict=True):
        assert caption.picture is not None
        assert caption.picture.read() == make_png(number)
    assert found.skipped == {"picture that img2dataset could not fetch": 6, "sample without a caption": 1}
    assert [c.id for c in read_captions(tmp_path / "00001.tar")] == ["000010001"]


def test_captions_are_read_again_each_time_and_counted_once(tmp_path: Path) -> None:
    found = read_captions(img2dataset(tmp_path), limit=2)
    assert list(found) == list(found)
    assert found.skipped["picture that img2dataset could not fetch"] == 3


def test_a_line_separator_inside_a_caption_does_not_end_its_line(tmp_path: Path) -> None:
    row = {"id": "a", "image_id": "i", "text": "one\u2028two\x85three"}
    source = put(tmp_path / "texts.jsonl", json.dumps(row, ensure_ascii=False) + "\n")
    assert [c.text for c in read_captions(source)] == ["one\u2028two\x85three"]


def test_an_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "image_id": "i", "text": "x", "split": "train"},
        {"id": "b", "image_id": "i", "text": "y", "split": "test"},
    ]
    source = put(tmp_path / "texts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        CaptionsError, match=r'image "i" .* has captions in the splits train and test; a split'
    ):
        list(read_captions(source))


def test_an_image_in_two_lists_of_flickr8k_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "Flickr8k.token.txt", "1_a.jpg#0\tA dog .\n")
    put(tmp_path / "Flickr_8k.trainImages.txt", "1_a.jpg\n")
    put(tmp_path / "Flickr_8k.testImages.txt", "1_a.jpg\n")
    with pytest.raises(CaptionsError, match=r"lists the image 1_a.jpg for train and for test"):
        read_captions(tmp_path)


def test_pictures_listed_beside_texts_go_with_their_captions(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png", b"png")
    put(
        tmp_path / "images.jsonl",
        '{"id": "a", "path": "images/a.png"}\n{"id": "b", "path": "images/b.png"}\n',
    )
    rows = [{"id": f"{name}_0", "image_id": name, "text": "x"} for name in "ab"]
    put(tmp_path / "texts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with_picture, without = list(read_captions(tmp_path))
    assert with_picture.picture is not None
    assert (with_picture.picture.read(), with_picture.picture_type) == (b"png", "png")
    assert without == Caption("b_0", "b", "x")
