"""SpokenCOCO, Places Audio, Conceptual Captions and WebDataset shards, each as on disk, with its traps."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.media import MediaSpec, decode_image, decode_speech
from tests.fixtures.media_bytes import make_png, make_wav
from training.cache import open_cache
from training.datasets import DatasetError, open_dataset
from training.datasets.named import split_of
from training.shards import END, tar_member
from training.speak import speak

Content = bytes | str | dict[str, Any]


def put(path: Path, content: Content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, ensure_ascii=False)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_shard(path: Path, *members: tuple[str, Content]) -> Path:
    blocks = b""
    for name, content in members:
        if isinstance(content, dict):
            content = json.dumps(content, ensure_ascii=False)
        blocks += tar_member(name, content.encode() if isinstance(content, str) else content)
    return put(path, blocks + END)


def broken_wav() -> bytes:
    """Its header counts more samples than there are."""
    data = bytearray(make_wav(0.3))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", 2**31)
    return bytes(data)


# ---- SpokenCOCO --------------------------------------------------------------------------------------------


def coco_name(part: str, number: int) -> str:
    return f"{part}2014/COCO_{part}2014_{number:012d}.jpg"


def caption(part: str, image: int, sentence: int, text: str) -> dict[str, Any]:
    uttid = f"m1vjq8-HIT7_{image}_{sentence}"
    wav = f"wavs/{part}/0/{uttid}.wav"
    return {"uttid": uttid, "text": text, "speaker": "m1vjq8", "wav": wav}


@pytest.fixture
def spoken_coco(tmp_path: Path) -> tuple[Path, Path]:
    """(COCO, SpokenCOCO): COCO's own splits; Karpathy takes images of val2014 for train, dev and test."""
    photos, spoken = tmp_path / "coco", tmp_path / "SpokenCOCO"
    train: list[dict[str, Any]] = [
        {"image": coco_name("train", 1), "captions": [caption("train", 1, 10, 'A "dog", naïve .')]}
    ]
    val: list[dict[str, Any]] = [
        {
            "image": coco_name("val", n),
            "captions": [caption("val", n, 10 * n + k, f"{n} {k}") for k in range(2)],
        }
        for n in (2, 3, 4, 5, 6)
    ]
    val[0]["captions"].append(caption("val", 2, 29, "null"))  # six captions: 25,031 are not five each
    put(spoken / "SpokenCOCO_train.json", {"data": train})
    put(spoken / "SpokenCOCO_val.json", {"data": val})
    for n, record in enumerate((*train, *val)):
        if record["image"] != coco_name("val", 6):
            put(photos / record["image"], make_png(n))
        for one in record["captions"]:
            put(spoken / one["wav"], broken_wav() if one["text"] == "null" else make_wav(0.3))
    (spoken / caption("val", 2, 21, "")["wav"]).unlink()
    splits = {1: "train", 2: "restval", 3: "val", 4: "test", 6: "test"}  # 5 is in none
    images = [
        {"filepath": f"{part}2014", "filename": Path(coco_name(part, n)).name, "split": split}
        for n, split in splits.items()
        for part in ["train" if n == 1 else "val"]
    ]  # fmt: skip
    put(photos / "dataset_coco.json", {"images": images, "dataset": "coco"})
    return photos, spoken


def test_spoken_coco_is_put_into_karpathys_splits(spoken_coco: tuple[Path, Path]) -> None:
    photos, spoken = spoken_coco
    train = open_dataset(photos, "train", spoken)
    assert [picture.id for picture in train.pictures] == [
        Path(coco_name("train", 1)).stem,
        Path(coco_name("val", 2)).stem,
    ]
    assert [(clip.id, clip.text, clip.voice) for clip in train.clips] == [
        ("m1vjq8-HIT7_1_10", 'A "dog", naïve .', "m1vjq8"),
        ("m1vjq8-HIT7_2_20", "2 0", "m1vjq8"),
        ("m1vjq8-HIT7_2_29", "null", "m1vjq8"),
    ]
    assert train.skipped == {"recording missing": 1, "image in none of Karpathy's splits": 1}
    assert len(decode_speech(train.clips[2].media.read(), MediaSpec()).samples) == 4800
    assert [clip.identity for clip in open_dataset(photos, "val", spoken).clips] == [
        Path(coco_name("val", 3)).stem
    ] * 2
    test = open_dataset(photos, "test", spoken)
    assert [picture.id for picture in test.pictures] == [Path(coco_name("val", 4)).stem]
    assert test.skipped["photo missing"] == 1
    assert test.skipped["spoken caption without a picture"] == 2


def test_spoken_coco_split_already_and_unrolled(spoken_coco: tuple[Path, Path]) -> None:
    photos, spoken = spoken_coco
    (photos / "dataset_coco.json").unlink()
    for name in ("train", "val"):
        (spoken / f"SpokenCOCO_{name}.json").unlink()
    for split, n in (("train", 2), ("val", 3), ("test", 4)):
        records = [
            {"image": coco_name("val", n), "caption": caption("val", n, 10 * n + k, "x"), "reassign_id": n}
            for k in range(2)
        ]
        put(spoken / f"SpokenCOCO_ksplit_{split}.json", {"data": records})
    assert len(open_dataset(photos, "dev", spoken).clips) == 2
    train = open_dataset(photos, "train", spoken)
    assert ([clip.id for clip in train.clips], train.skipped) == (
        ["m1vjq8-HIT7_2_20"],
        {"recording missing": 1},
    )
    put(
        spoken / "SpokenCOCO_ksplit_test.json",
        {"data": [{"image": coco_name("val", 2), "captions": [caption("val", 2, 20, "x")]}]},
    )
    with pytest.raises(DatasetError, match=r"has 1 images in two splits, such as val2014/COCO_val2014_0000"):
        open_dataset(photos, "train", spoken)


def test_spoken_coco_beside_its_photos_needs_no_second_folder(spoken_coco: tuple[Path, Path]) -> None:
    photos, spoken = spoken_coco
    photos.rename(spoken / "images")
    (spoken / "images" / "dataset_coco.json").rename(spoken / "dataset_coco.json")
    assert len(open_dataset(spoken, "train").clips) == 3


def test_spoken_coco_says_what_it_looked_for(spoken_coco: tuple[Path, Path], tmp_path: Path) -> None:
    photos, spoken = spoken_coco
    (tmp_path / "bare").mkdir()
    with pytest.raises(DatasetError, match=r"train2014/ and val2014/, are in none of .*bare.*bare/images"):
        open_dataset(tmp_path / "bare", "train", spoken)
    with pytest.raises(DatasetError, match=r"splits train, dev and test, not 'all'"):
        open_dataset(photos, "all", spoken)
    (photos / "dataset_coco.json").unlink()
    with pytest.raises(DatasetError, match=r"papers use Karpathy's: put dataset_coco.json into"):
        open_dataset(photos, "train", spoken)
    put(spoken / "SpokenCOCO_ksplit_train.json", '{"data": [')
    with pytest.raises(DatasetError, match=r"ksplit_train.json is not a whole JSON file"):
        open_dataset(photos, "train", spoken)
    put(spoken / "SpokenCOCO_ksplit_train.json", '{"images": []}')
    with pytest.raises(DatasetError, match=r'is no list of records under "data"'):
        open_dataset(photos, "train", spoken)


# ---- Places Audio ------------------------------------------------------------------------------------------


def places_record(name: str, *, hindi: bool = False) -> dict[str, Any]:
    wav = "hindi_wav" if hindi else "wav"
    return {
        "uttid": f"A1_{name}", "speaker": "A1", "asr_text": f'a, "{name}"',
        wav: f"wavs/12/utterance_{name}.wav", "image": f"a/abbey/gsun_{name}.jpg",
    }  # fmt: skip


def put_places(folder: Path, **splits: str) -> Path:
    """One record a letter; those of "z" have no picture, those of "y" no recording."""
    for split, names in splits.items():
        document = {
            "image_base_path": "/data/sls/placesaudio/images/",  # the authors' own
            "audio_base_path": "/data/sls/placesaudio/wavs/",
            "data": [places_record(name, hindi=name == "h") for name in names],
        }
        put(folder / "metadata" / f"{split}.json", document)
        for name in names:
            if name != "z":
                put(folder / "images" / places_record(name)["image"], make_png(ord(name)))
            if name != "y":
                put(folder / places_record(name)["wav"], make_wav(0.3))
    return folder


def test_places_has_one_caption_a_picture(tmp_path: Path) -> None:
    folder = put_places(tmp_path, train="abhyz", val="cd")
    train = open_dataset(folder, "train")
    assert [picture.id for picture in train.pictures] == [f"a/abbey/gsun_{name}" for name in "abh"]
    first = train.clips[0]
    assert (first.id, first.identity, first.voice) == ("A1_a", "a/abbey/gsun_a", "A1")
    assert first.text == 'a, "a"'
    assert len(train.clips) == 3
    assert train.skipped == {
        "photo missing": 1,
        "recording missing": 1,
        "picture without a spoken caption": 1,
        "spoken caption without a picture": 1,
    }
    assert [clip.id for clip in open_dataset(folder, "val").clips] == ["A1_c", "A1_d"]
    assert decode_image(train.pictures[0].media.read(), MediaSpec()).array.std() > 1
    with pytest.raises(DatasetError, match=r"has splits train, dev, not 'test'"):
        open_dataset(folder, "test")


def test_places_of_2020_keeps_seen_and_unseen_apart(tmp_path: Path) -> None:
    names = {"train_2020": "ab", "dev_seen_2020": "c", "dev_unseen_2020": "d", "test_seen_2020": "e"}
    folder = put_places(tmp_path / "audio", **names)
    (folder / "images").rename(tmp_path / "photos")
    assert [clip.id for clip in open_dataset(tmp_path / "photos", "dev_unseen", folder).clips] == ["A1_d"]
    assert len(open_dataset(tmp_path / "photos", "train", folder).clips) == 2
    with pytest.raises(DatasetError, match=r"splits train, dev_seen, dev_unseen, test_seen, not 'dev'"):
        open_dataset(tmp_path / "photos", "dev", folder)
    put(folder / "metadata" / "train.json", {"data": []})
    with pytest.raises(DatasetError, match=r"holds train.json and train_2020.json, of two distributions"):
        open_dataset(tmp_path / "photos", "train", folder)


def test_places_uses_base_paths_that_exist(tmp_path: Path) -> None:
    folder = put_places(tmp_path / "audio", train="ab", val="c")
    (folder / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"such as a/abbey/gsun_a.jpg, are in none of .*/data/sls.*audio"):
        open_dataset(folder, "train")
    for split in ("train", "val"):
        document = json.loads((folder / "metadata" / f"{split}.json").read_text())
        put(
            folder / "metadata" / f"{split}.json", document | {"image_base_path": str(tmp_path / "elsewhere")}
        )
    assert len(open_dataset(folder, "train").pictures) == 2


def test_places_with_a_photo_in_two_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 images in two splits, such as a/abbey/gsun_b.jpg"):
        open_dataset(put_places(tmp_path / "one", train="ab", val="bc"), "train")
    folder = put_places(tmp_path / "two", train="ab", val="c")
    photos = folder / "images" / "a" / "abbey"
    (photos / "gsun_c.jpg").write_bytes((photos / "gsun_a.jpg").read_bytes())
    with pytest.raises(DatasetError, match=r"gsun_a.jpg \(train\) = a/abbey/gsun_c.jpg \(dev\)"):
        open_dataset(folder, "dev")


# ---- WebDataset --------------------------------------------------------------------------------------------


def test_shards_with_pictures_and_recordings_are_pairs(tmp_path: Path) -> None:
    put_shard(
        tmp_path / "a-000000.tar",
        ("0.jpg", make_png(0)), ("0.flac", make_wav(0.3)), ("0.txt", 'null, "said" naïve'),
        ("0.json", {"split": "train", "image_id": "zero", "id": "zero_0", "voice": "ana"}),
        ("1.png", make_png(1)), ("1.0.wav", broken_wav()), ("1.1.wav", make_wav(0.4)),
        ("1.json", {"split": "train"}),
        ("2.jpg", make_png(2)), ("2.json", {"split": "train", "text": "never spoken"}),
        ("3.wav", make_wav(0.3)), ("3.json", {"split": "train"}),
        ("4.jpg", make_png(4)), ("4.wav", make_wav(0.3)), ("4.json", {"split": "val"}),
    )  # fmt: skip
    put_shard(
        tmp_path / "a-000001.tar",
        ("0b.flac", make_wav(0.3)), ("0b.json", {"image_id": "zero", "split": "train", "text": None}),
        ("5.wav", make_wav(0.3)), ("5.json", b"{broken"),
    )  # fmt: skip
    train = open_dataset(tmp_path, "train")
    assert [picture.id for picture in train.pictures] == ["zero", "1"]
    assert [(clip.id, clip.identity, clip.voice, clip.text) for clip in train.clips] == [
        ("zero_0", "zero", "ana", 'null, "said" naïve'),
        ("1.0", "1", "", ""),
        ("1.1", "1", "", ""),
        ("0b", "zero", "", ""),
    ]
    assert train.skipped["picture without a spoken caption"] == 1
    assert train.skipped["record not JSON"] == 1
    assert train.skipped["spoken caption without a picture"] >= 1
    assert len(decode_speech(train.clips[1].media.read(), MediaSpec()).samples) == 4800
    assert train.pictures[1].media.read() == make_png(1)
    assert [clip.id for clip in open_dataset(tmp_path, "dev").clips] == ["4"]


def test_shards_take_their_split_from_their_folder_or_from_a_hash(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("validation", "b"), ("test", "c")):
        put_shard(
            tmp_path / split / "x.tar", (f"{name}.jpg", make_png(ord(name))), (f"{name}.wav", make_wav(0.3))
        )
    found = {split: open_dataset(tmp_path, split).clips[0].id for split in ("train", "dev", "test")}
    assert found == {"train": "a", "dev": "b", "test": "c"}
    flat = tmp_path / "flat"
    members = [
        (f"{n}.{kind}", make_png(n) if kind == "jpg" else make_wav(0.3))
        for n in range(40)
        for kind in ("jpg", "wav")
    ]
    put_shard(flat / "x.tar", *members)
    assert {clip.id for clip in open_dataset(flat, "dev").clips} == {
        str(n) for n in range(40) if split_of(str(n)) == "dev"
    }


def test_shards_with_a_picture_in_two_splits_are_refused(tmp_path: Path) -> None:
    pair = ("a.jpg", make_png(0)), ("a.wav", make_wav(0.3))
    for split in ("train", "test"):
        put_shard(tmp_path / split / "x.tar", *pair)
    with pytest.raises(DatasetError, match=r"1 images in two splits, such as a; what is judged"):
        open_dataset(tmp_path, "train")
    put_shard(tmp_path / "test" / "x.tar", ("b.jpg", make_png(0)), ("b.wav", make_wav(0.3)))
    with pytest.raises(
        DatasetError, match=r"1 pictures under two ids in two splits, such as a \(train\) = b \(te"
    ):
        open_dataset(tmp_path, "train")


def test_a_damaged_shard_ends_in_one_sentence(tmp_path: Path) -> None:
    shard = put_shard(tmp_path / "x.tar", ("a.jpg", make_png(0)), ("a.wav", make_wav(0.3)))
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(DatasetError, match=r"x.tar is not a whole tar file"):
        open_dataset(tmp_path, "train")


def test_worker_processes_decode_from_shards_and_count_what_is_broken(tmp_path: Path) -> None:
    members: list[tuple[str, Content]] = []
    for n, wav in enumerate((make_wav(0.3, seed=1), make_wav(0.4, seed=2), make_wav(0.3)[:40])):
        members += [(f"{n}.png", make_png(n)), (f"{n}.wav", wav), (f"{n}.json", {"split": "train"})]
    put_shard(tmp_path / "x.tar", *members)
    read, spec = open_dataset(tmp_path, "train"), MediaSpec(max_seconds=0.5, image_size=24)
    cache = open_cache(read, spec, tmp_path / "cache", 2, lambda *_: None)
    for n in range(2):
        np.testing.assert_array_equal(cache.pictures[n], decode_image(make_png(n), spec).array)
    assert list(cache.clip_identities) == ["0", "1"]
    assert sum(cache.skipped.values()) == 1


def img2dataset(folder: Path, *rows: tuple[str, str, bytes | None]) -> None:
    """What img2dataset leaves of (caption, url, picture or None); the lost are in its statistics alone."""
    members: list[tuple[str, Content]] = []
    for number, (text, url, picture) in enumerate(rows):
        key = f"00000{number:04d}"
        if picture is not None:
            told = {"caption": text, "url": url, "key": key, "status": "success", "error_message": None}
            members += [(f"{key}.jpg", picture), (f"{key}.txt", text), (f"{key}.json", told)]
    put_shard(folder / "00000.tar", *members)
    lost = sum(picture is None for _, _, picture in rows)
    put(folder / "00000_stats.json", {"count": len(rows), "successes": len(rows) - lost})
    put(folder / "00000.parquet", b"PAR1")


@pytest.mark.parametrize("shards", [None, 2])
def test_shards_of_img2dataset_are_spoken_and_read(tmp_path: Path, shards: int | None) -> None:
    """Pictures stay in the shards of img2dataset, recordings come from what `speak` made of them."""
    rows = [(f"A dog number {n}", f"http://a/{n}", make_png(n) if n % 3 else None) for n in range(9)]
    img2dataset(tmp_path / "cc", *rows)
    report = speak(
        tmp_path / "cc", tmp_path / "spoken", voices="espeak:en-us", workers=1, shards=shards, pictures=False
    )
    assert (report.clips, report.skipped) == (6, {"picture that img2dataset could not fetch": 3})
    found = open_dataset(tmp_path / "cc", "train", tmp_path / "spoken")
    train = [f"00000{n:04d}" for n in range(9) if n % 3 and split_of(f"00000{n:04d}") == "train"]
    assert [clip.id for clip in found.clips] == [picture.id for picture in found.pictures] == train
    for clip in found.clips:
        assert clip.text == f"A dog number {int(clip.id)}"
        assert decode_speech(clip.media.read(), MediaSpec()).source_seconds > 0.5


def test_shards_that_speak_made_are_a_corpus_of_their_own(tmp_path: Path) -> None:
    rows = [(f"A dog number {n}", f"http://a/{n}", make_png(n)) for n in range(12)]
    img2dataset(tmp_path / "cc", *rows)
    speak(tmp_path / "cc", tmp_path / "csc", voices="espeak:en-us", workers=1, shards=5)
    read = open_dataset(tmp_path / "csc", "train")
    expected = [f"00000{n:04d}" for n in range(12) if split_of(f"00000{n:04d}") == "train"]
    assert [picture.id for picture in read.pictures] == expected
    assert [(clip.id, clip.voice) for clip in read.clips] == [(name, "espeak:en-us") for name in expected]
    assert read.pictures[0].media.read() == make_png(int(expected[0]))


# ---- Conceptual Captions -----------------------------------------------------------------------------------

TRAIN = "Train_GCC-training.tsv"
VALIDATION = "Validation_GCC-1.1.0-Validation.tsv"


@pytest.fixture
def conceptual(tmp_path: Path) -> Path:
    """No header, quotes and commas as they come, "null" and "nan" for captions, dead links, one url twice."""
    folder = tmp_path / "cc3m"
    train: list[tuple[str, str, bytes | None]] = [
        ('a dog, "said" he', "http://a/1", make_png(1)),
        ("null", "http://a/2", make_png(2)),
        ("nan", "http://a/3", None),
        ("the same picture again", "http://a/1", make_png(1)),
        ("naïve café", "http://a/5", make_png(5)),
    ]
    val: list[tuple[str, str, bytes | None]] = [("a harbour", "http://a/9", make_png(9))]
    for name, part, rows in ((TRAIN, "train", train), (VALIDATION, "validation", val)):
        put(folder / name, "".join(f"{text}\t{url}\n" for text, url, _ in rows) + "no tab\n")
        img2dataset(folder / part, *rows)
        speak(folder / name, folder / "speech" / part, voices="espeak:en-us", workers=1, shards=3)
    return folder


def test_conceptual_captions_meet_their_pictures_by_url(conceptual: Path) -> None:
    train = open_dataset(conceptual, "train")
    assert [(clip.id, clip.identity, clip.text) for clip in train.clips] == [
        ("cc-0000001", "http://a/1", 'a dog, "said" he'),
        ("cc-0000002", "http://a/2", "null"),
        ("cc-0000004", "http://a/1", "the same picture again"),
        ("cc-0000005", "http://a/5", "naïve café"),
    ]
    assert [picture.id for picture in train.pictures] == [f"cc-000000{n}" for n in (1, 2, 4, 5)]
    assert train.pictures[3].media.read() == make_png(5)
    assert train.skipped == {
        "line without a tab": 1,
        "picture never fetched": 1,
        "spoken caption without a picture": 1,
    }
    dev = open_dataset(conceptual, "validation")
    assert [(clip.id, clip.text) for clip in dev.clips] == [("cc-0000001", "a harbour")]


def test_conceptual_captions_with_a_url_or_a_picture_in_both_files_are_refused(conceptual: Path) -> None:
    img2dataset(conceptual / "validation", ("a harbour", "http://a/9", make_png(5)))
    with pytest.raises(DatasetError, match=r"such as http://a/5 \(train\) = http://a/9 \(dev\)"):
        open_dataset(conceptual, "train")
    with (conceptual / VALIDATION).open("a") as rows:
        rows.write("once more\thttp://a/2\n")
    with pytest.raises(DatasetError, match=r"1 images in two splits, such as http://a/2"):
        open_dataset(conceptual, "dev")


def test_conceptual_captions_say_what_is_missing(conceptual: Path) -> None:
    with pytest.raises(DatasetError, match=r"'test' needs no file: its captions were never published"):
        open_dataset(conceptual, "test")
    (conceptual / "speech" / "train" / "speech-000001.tar").unlink()
    with pytest.raises(DatasetError, match=r"speech-000001.tar is not there and its index is"):
        open_dataset(conceptual, "train")
    (conceptual / "speech").rename(conceptual / "elsewhere")
    with pytest.raises(
        DatasetError, match=r"speech/train holds neither captions.jsonl nor speech-000000.jsonl"
    ):
        open_dataset(conceptual, "train")
    (conceptual / "train").rename(conceptual / "fetched")
    with pytest.raises(DatasetError, match=r"holds no shards \(\*.tar\); fetch the pictures of Train_GCC"):
        open_dataset(conceptual, "train")
