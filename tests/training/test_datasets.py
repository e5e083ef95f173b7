"""Every reader on a small tree as it is on disk, with the traps of the real corpora."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from indexer.media import MediaSpec, decode_image, decode_speech
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.tiny_training import make_learnable_corpus, write_lines
from training.datasets import DatasetError, open_dataset
from training.datasets.named import split_of


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


# ---- Flickr8k with the Flickr Audio Caption Corpus ---------------------------------------------------------


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """As distributed: a malformed name among the captions, blank lines, names with underscores, gaps."""
    folder = tmp_path / "flickr8k"
    train = ["1000_aa_1.jpg", "1001_bb.jpg", "no_photo.jpg", "never_spoken.jpg"]
    photos = ("1000_aa_1.jpg", "1001_bb.jpg", "never_spoken.jpg", "2000_cc.jpg", "in_no_split.jpg")
    for number, name in enumerate(photos):
        put(folder / "Flicker8k_Dataset" / name, make_png(number))
    put(folder / "Flickr_8k.trainImages.txt", "\n".join(train) + "\n\n")
    put(folder / "Flickr_8k.devImages.txt", "2000_cc.jpg\n")
    put(folder / "Flickr_8k.testImages.txt", "\n")
    texts = [f"{name}#{k}\tCaption {k} of {name} ." for name in (*train, "2000_cc.jpg") for k in range(5)]
    put(
        folder / "Flickr8k.token.txt",
        "\n".join([*texts, "2258277193_586949ec62.jpg.1#0\tNo such photo ."]) + "\n",
    )
    audio = folder / "flickr_audio"
    lines = ["", "only two", "1000_aa_1_0.wav 1000_aa_1.jpg #0", "1000_aa_1_3.wav 1000_aa_1.jpg #3"]
    lines += [
        "1001_bb_2.wav 1001_bb.jpg #2",
        "1001_bb_4.wav 1001_bb.jpg #4",
        "no_photo_0.wav no_photo.jpg #0",
    ]
    lines += ["2000_cc_1.wav 2000_cc.jpg #1", "in_no_split_0.wav in_no_split.jpg #0"]
    put(audio / "wav2capt.txt", "\n".join(lines) + "\n")
    put(audio / "wav2spk.txt", "1000_aa_1_0.wav 7\n1000_aa_1_3.wav 12\n\n1001_bb_2.wav 7\nbroken\n")
    for wav in ("1000_aa_1_0", "1000_aa_1_3", "1001_bb_2", "no_photo_0", "2000_cc_1", "in_no_split_0"):
        put(audio / "wavs" / f"{wav}.wav", make_wav(0.3))
    return folder


def test_flickr8k_reads_what_is_there_and_counts_what_is_not(flickr: Path) -> None:
    train = open_dataset(flickr, "train")
    assert [picture.id for picture in train.pictures] == ["1000_aa_1", "1001_bb"]
    assert [(clip.id, clip.identity, clip.voice, clip.text) for clip in train.clips] == [
        ("1000_aa_1_0", "1000_aa_1", "7", "Caption 0 of 1000_aa_1.jpg ."),
        ("1000_aa_1_3", "1000_aa_1", "12", "Caption 3 of 1000_aa_1.jpg ."),
        ("1001_bb_2", "1001_bb", "7", "Caption 2 of 1001_bb.jpg ."),
    ]
    assert train.skipped == {
        "photo missing": 1,
        "malformed line in wav2capt.txt": 1,
        "recording missing": 1,
        "picture without a spoken caption": 1,
        "spoken caption without a picture": 1,
    }
    assert decode_speech(train.clips[0].media.read(), MediaSpec()).samples.shape == (4800,)
    assert decode_image(train.pictures[0].media.read(), MediaSpec()).array.shape == (96, 96, 3)


def test_flickr8k_keeps_its_splits_apart(flickr: Path) -> None:
    dev = open_dataset(flickr, "dev")
    assert [picture.id for picture in dev.pictures] == ["2000_cc"]
    assert [clip.id for clip in dev.clips] == ["2000_cc_1"]
    with pytest.raises(DatasetError, match="has no pairs in split 'test'"):
        open_dataset(flickr, "test")
    assert open_dataset(flickr, "val") == dev
    with pytest.raises(
        DatasetError, match=r"splits train, dev and test; 'all' needs Flickr_8k.allImages.txt or dataset_fl"
    ):
        open_dataset(flickr, "all")


@pytest.mark.parametrize("inside", [True, False])
def test_flickr8k_speech_may_lie_elsewhere_and_photos_be_named_images(
    flickr: Path, tmp_path: Path, inside: bool
) -> None:
    elsewhere = tmp_path / "speech"
    elsewhere.mkdir()
    (flickr / "flickr_audio").rename(elsewhere / "flickr_audio")
    (flickr / "Flicker8k_Dataset").rename(flickr / "Images")
    read = open_dataset(flickr, "train", elsewhere if inside else elsewhere / "flickr_audio")
    assert len(read.clips) == 3
    with pytest.raises(
        DatasetError, match=r"--speech, or make one: python -m training speak .*flickr8k --out"
    ):
        open_dataset(flickr, "train")


def test_flickr8k_says_what_is_missing(flickr: Path) -> None:
    (flickr / "flickr_audio" / "wavs").rename(flickr / "flickr_audio" / "elsewhere")
    with pytest.raises(DatasetError, match="no folder wavs"):
        open_dataset(flickr, "train")
    (flickr / "flickr_audio" / "elsewhere").rename(flickr / "flickr_audio" / "wavs")
    (flickr / "Flicker8k_Dataset").rename(flickr / "photos")
    with pytest.raises(DatasetError, match="neither Flicker8k_Dataset nor Images"):
        open_dataset(flickr, "train")


def test_a_recording_whose_header_counts_wrongly_still_decodes(flickr: Path) -> None:
    """One of the 40,000 says it holds more samples than it does."""
    path = flickr / "flickr_audio" / "wavs" / "1000_aa_1_0.wav"
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", 2**31)
    path.write_bytes(bytes(data))
    clip = open_dataset(flickr, "train").clips[0]
    assert len(decode_speech(clip.media.read(), MediaSpec()).samples) == 4800


def test_flickr8k_as_on_kaggle_in_karpathys_splits(flickr: Path) -> None:
    (flickr / "Flickr8k.token.txt").unlink()
    for split in ("train", "dev", "test"):
        (flickr / f"Flickr_8k.{split}Images.txt").unlink()
    rows = [f'1000_aa_1.jpg,"Caption {k}, ""quoted"" ."' for k in range(4)] + ["1001_bb.jpg,A cat , a dog ."]
    put(flickr / "captions.txt", "image,caption\n" + "\n".join(rows) + "\n")
    with pytest.raises(
        DatasetError, match=r"'train' needs Flickr_8k.trainImages.txt or dataset_flickr8k.json"
    ):
        open_dataset(flickr, "train")
    splits = {"1000_aa_1.jpg": "train", "1001_bb.jpg": "train", "2000_cc.jpg": "val", "none.jpg": "test"}
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": f"{name} {k}"} for k in range(5)]}
        for name, split in splits.items()
    ]
    put(flickr / "dataset_flickr8k.json", json.dumps({"images": images, "dataset": "flickr8k"}))
    train = open_dataset(flickr, "train")
    assert [(clip.id, clip.text) for clip in train.clips] == [
        ("1000_aa_1_0", 'Caption 0, "quoted" .'),
        ("1000_aa_1_3", 'Caption 3, "quoted" .'),
        ("1001_bb_2", ""),
    ]
    (flickr / "captions.txt").unlink()
    assert [clip.text for clip in open_dataset(flickr, "dev").clips] == ["2000_cc.jpg 1"]


def test_flickr8k_with_an_image_in_two_lists_is_refused(flickr: Path) -> None:
    put(flickr / "Flickr_8k.testImages.txt", "1001_bb.jpg\n")
    for split in ("train", "dev", "test"):
        with pytest.raises(
            DatasetError, match=r"has 1 images in two splits, such as 1001_bb.jpg; what is judged"
        ):
            open_dataset(flickr, split)


def test_flickr8k_with_one_photo_under_two_names_is_refused(flickr: Path) -> None:
    photos = flickr / "Flicker8k_Dataset"
    (photos / "2000_cc.jpg").write_bytes((photos / "1001_bb.jpg").read_bytes())
    with pytest.raises(
        DatasetError, match=r"two ids in two splits, such as 1001_bb.jpg \(train\) = 2000_cc.jpg \(d"
    ):
        open_dataset(flickr, "train")


def test_flickr8k_counts_what_is_listed_twice_and_what_is_no_utf8(flickr: Path) -> None:
    with (flickr / "flickr_audio" / "wav2capt.txt").open("ab") as lines:
        lines.write(b"1001_bb_2.wav 1001_bb.jpg #2\n\xff\xfe\n")
    skipped = open_dataset(flickr, "train").skipped
    assert (skipped["recording listed twice"], skipped["line not UTF-8"]) == (1, 1)


# ---- a pairs folder ----------------------------------------------------------------------------------------


def test_a_pairs_folder_gives_splits_tags_voices_and_texts(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=3, dev=2)
    train, dev = open_dataset(folder, "train"), open_dataset(folder, "dev")
    assert [picture.id for picture in train.pictures] == ["train_00", "train_01", "train_02"]
    assert train.pictures[1].tags["level"] == "close-up"
    assert train.pictures[1].tags["hue"] == "1"
    assert [(clip.id, clip.identity, clip.voice, clip.text) for clip in dev.clips[:2]] == [
        ("dev_00_0", "dev_00", "voice0", "colour 0"),
        ("dev_00_1", "dev_00", "voice1", "colour 0"),
    ]
    assert not train.skipped
    assert train.voices() == ["voice0", "voice1"]


def test_a_pairs_folder_without_splits_is_all_train(tmp_path: Path) -> None:
    put(tmp_path / "images.jsonl", '{"id": "a", "path": "a.png"}\n\n')
    put(tmp_path / "captions.jsonl", '{"id": "a_0", "path": "a.wav", "image_id": "a"}\n')
    read = open_dataset(tmp_path, "train")
    assert (len(read.pictures), len(read.clips), read.clips[0].voice) == (1, 1, "")
    with pytest.raises(DatasetError, match="has no pairs in split 'dev': 0 pictures and 0 spoken captions"):
        open_dataset(tmp_path, "dev")


def test_other_voices_for_the_same_pictures(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=2, dev=0)
    other = tmp_path / "others"
    put(other / "x.wav", make_wav(0.5))
    record = {"id": "x", "path": "x.wav", "image_id": "train_01", "voice": "Annie", "split": "test"}
    write_lines(other / "captions.jsonl", [record])
    for given in (other, other / "captions.jsonl"):
        read = open_dataset(folder, "train", given)
        assert [(clip.id, clip.voice) for clip in read.clips] == [("x", "Annie")]
        assert len(read.clips[0].media.read()) == len(make_wav(0.5))
        assert read.skipped == {"picture without a spoken caption": 1}


def test_a_caption_of_no_picture_is_counted(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=2, dev=1)
    with (folder / "captions.jsonl").open("a") as file:
        file.write(json.dumps({"id": "stray", "path": "stray.wav", "image_id": "nobody"}) + "\n")
    assert open_dataset(folder, "train").skipped == {"spoken caption without a picture": 1}


def test_captions_of_one_picture_in_two_splits_are_refused(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=2, dev=1)
    lines = (folder / "captions.jsonl").read_text().splitlines()
    records = [json.loads(line) | {"split": "train" if n % 2 else "test"} for n, line in enumerate(lines)]
    write_lines(folder / "captions.jsonl", records)
    with pytest.raises(DatasetError, match=r"captions.jsonl, by the splits .* has 3 images in two splits"):
        open_dataset(folder, "train")


def test_one_picture_under_two_ids_in_two_splits_is_refused(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=3, dev=1)
    shared = folder / "images" / "train_02.png"
    (folder / "images" / "dev_00.png").write_bytes(shared.read_bytes())
    with pytest.raises(
        DatasetError, match=r"1 pictures under two ids .* train_02 \(train\) = dev_00 \(dev\)"
    ):
        open_dataset(folder, "train")
    (folder / "images" / "dev_00.png").unlink()
    (folder / "images" / "train_01.png").write_bytes(shared.read_bytes())
    assert len(open_dataset(folder, "train").pictures) == 3  # twice in one split judges nobody


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{not json", r"captions.jsonl line 5 is not a JSON object"),
        ("[1, 2]", r"captions.jsonl line 5 is not a JSON object"),
        ("7", r"captions.jsonl line 5 is not a JSON object"),
        ('{"id": "x", "path": "x.wav"}', r"line 5 lacks the text 'image_id'; needed are id, path, image_id"),
        ('{"id": 3, "path": "x.wav", "image_id": "train_00"}', r"line 5 lacks the text 'id'"),
        (
            '{"id": "train_00_0", "path": "x.wav", "image_id": "train_00"}',
            r"line 5 repeats the id 'train_00_0'",
        ),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=2, dev=0)
    with (folder / "captions.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DatasetError, match=sentence):
        open_dataset(folder, "train")


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    put(tmp_path / "images.jsonl", '{"id": "café", "path": "a.png"}\n'.encode("latin-1"))
    put(tmp_path / "captions.jsonl", "")
    with pytest.raises(DatasetError, match=r"images.jsonl line 1 is not a JSON object"):
        open_dataset(tmp_path, "train")


def test_a_pairs_folder_without_speech_says_how_to_make_it(tmp_path: Path) -> None:
    put(tmp_path / "images.jsonl", '{"id": "a", "path": "a.png"}\n')
    with pytest.raises(DatasetError, match=r"captions.jsonl is not there; make .* python -m training speak"):
        open_dataset(tmp_path, "train")


# ---- files of equal names ----------------------------------------------------------------------------------


def names_of(split: str, count: int) -> list[str]:
    return [name for name in (f"photo_{i}" for i in range(1000)) if split_of(name) == split][:count]


def test_files_of_equal_names_are_pairs(tmp_path: Path) -> None:
    first, second, third = names_of("train", 3)
    (other,) = names_of("test", 1)
    for name in (first, second, third, other):
        put(tmp_path / "images" / f"{name}.jpg", f"picture {name}")
    put(tmp_path / "images" / f"{first}.png", b"another of this name")
    put(tmp_path / "images" / ".DS_Store", b"")
    put(tmp_path / "speech" / ".hidden.wav", b"")
    for name in (first, f"{second}_0", f"{second}_12", other, "nobody", f"{first}_late"):
        put(tmp_path / "speech" / f"{name}.wav", b"clip")
    (tmp_path / "speech" / "folder").mkdir()
    train = open_dataset(tmp_path, "train")
    assert {picture.id for picture in train.pictures} == {first, second}
    assert sorted((clip.id, clip.identity) for clip in train.clips) == sorted(
        [(first, first), (f"{second}_0", second), (f"{second}_12", second)]
    )
    assert train.skipped == {
        "second picture of one name": 1,
        "spoken caption without a picture": 2,
        "picture without a spoken caption": 1,
    }
    assert [clip.id for clip in open_dataset(tmp_path, "test").clips] == [other]


def test_a_number_at_the_end_of_a_name_may_be_the_name(tmp_path: Path) -> None:
    name = names_of("train", 1)[0]  # such as photo_0
    put(tmp_path / "images" / f"{name}.jpg", b"picture")
    put(tmp_path / "images" / "photo.jpg", b"another")
    put(tmp_path / "speech" / f"{name}.wav", b"clip")
    put(tmp_path / "speech" / f"{name}_0.wav", b"clip")
    assert {clip.identity for clip in open_dataset(tmp_path, "train").clips} == {name}


def test_the_share_of_each_split_of_names() -> None:
    splits = [split_of(f"name-{i}") for i in range(5000)]
    assert splits.count("train") / 5000 == pytest.approx(0.8, abs=0.02)
    assert splits.count("dev") / 5000 == pytest.approx(0.1, abs=0.02)


def test_speech_of_equal_names_may_lie_elsewhere(tmp_path: Path) -> None:
    name = names_of("train", 1)[0]
    put(tmp_path / "mine" / "images" / f"{name}.jpg", b"picture")
    put(tmp_path / "spoken" / f"{name}.wav", b"clip")
    assert len(open_dataset(tmp_path / "mine", "train", tmp_path / "spoken").clips) == 1
    with pytest.raises(DatasetError, match=r"speech is not there; put NAME.wav .* or name another folder"):
        open_dataset(tmp_path / "mine", "train")


# ---- spoken and written digits -----------------------------------------------------------------------------


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "spoken-digits"
    pictures = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    put(folder / "mnist" / "train-images-idx3-ubyte.gz", idx(pictures))
    put(folder / "mnist" / "train-labels-idx1-ubyte.gz", idx(np.asarray([3, 5, 3, 9], dtype=np.uint8)))
    put(folder / "mnist" / "gallery" / "mnist_3_0007.png", make_png(1, width=28, height=28))
    put(folder / "mnist" / "gallery" / "mnist_8_0001.png", make_png(2, width=28, height=28))
    for name in ("3_theo_0", "3_theo_4", "3_theo_5", "5_lucas_17", "8_nobody", "3_theo_49", "x_theo_1"):
        put(folder / "fsdd" / "recordings" / f"{name}.wav", make_wav(0.3))
    return folder


def test_digits_match_by_digit_in_the_official_split(digits: Path) -> None:
    train, test = open_dataset(digits, "train"), open_dataset(digits, "test")
    assert [(clip.id, clip.identity, clip.voice) for clip in train.clips] == [
        ("3_theo_49", "3", "theo"),
        ("3_theo_5", "3", "theo"),
        ("5_lucas_17", "5", "lucas"),
    ]
    assert [(picture.id, picture.identity) for picture in train.pictures] == [
        ("mnist_train_0", "3"),
        ("mnist_train_1", "5"),
        ("mnist_train_2", "3"),
    ]
    assert [clip.id for clip in test.clips] == ["3_theo_0", "3_theo_4"]
    assert [picture.id for picture in test.pictures] == ["mnist_3_0007"]
    assert train.skipped["recording not named digit_speaker_index"] == 2
    assert train.skipped["picture without a spoken caption"] == 1


def test_a_written_digit_is_the_one_of_the_file(digits: Path) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    picture = open_dataset(digits, "train").pictures[2]
    shown = decode_image(picture.media.read(), MediaSpec(image_size=28)).array
    np.testing.assert_array_equal(shown, np.repeat(expected[2][:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"no idx"), gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 9)), b""],
)
def test_a_damaged_idx_file_is_named(digits: Path, content: bytes) -> None:
    (digits / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"train-labels-idx1-ubyte.gz is not a whole IDX file of bytes"):
        open_dataset(digits, "train")


def test_labels_of_other_pictures_are_refused(digits: Path) -> None:
    put(digits / "mnist" / "train-labels-idx1-ubyte.gz", idx(np.zeros(5, dtype=np.uint8)))
    with pytest.raises(DatasetError, match=r"holds 4 pictures and there are 5 labels"):
        open_dataset(digits, "train")


def test_digits_have_no_dev_split(digits: Path) -> None:
    with pytest.raises(DatasetError, match=r"splits train and test, not 'dev'"):
        open_dataset(digits, "dev")


# ---- whichever it is ---------------------------------------------------------------------------------------


def test_a_folder_that_is_no_corpus_says_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is no corpus known here: a pairs folder .* Flickr8k .* digits"):
        open_dataset(tmp_path, "train")
    with pytest.raises(DatasetError, match=r"nowhere is not a folder"):
        open_dataset(tmp_path / "nowhere", "train")
    with pytest.raises(DatasetError, match=r"nowhere \(given as speech\) is not there"):
        open_dataset(tmp_path, "train", tmp_path / "nowhere")


def test_voices_are_chosen_and_left_out_by_name(tmp_path: Path) -> None:
    train = open_dataset(make_learnable_corpus(tmp_path / "pairs", train=2, dev=0), "train")
    assert {clip.voice for clip in train.of_voices(["voice1"]).clips} == {"voice1"}
    left = train.without_voices(["voice1"])
    assert {clip.voice for clip in left.clips} == {"voice0"}
    assert left.pictures == train.pictures
    assert train.without_voices([]) == train
    for choose in (train.of_voices, train.without_voices):
        with pytest.raises(DatasetError, match=r"split train, is of voice 'theo'; there: voice0, voice1$"):
            choose(["theo"])
    with pytest.raises(DatasetError, match=r"every clip of .* is of the voices left out"):
        train.without_voices(["voice0", "voice1"])
