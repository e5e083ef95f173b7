"""SpokenCOCO on COCO's photos of 2014, in Karpathy's splits, as papers report it.

    <speech>/SpokenCOCO_{train,val}.json  wavs/{train,val}/...wav       <speech> defaults to <folder>
    <folder>/{train2014,val2014}/*.jpg (or in images/ or coco/)         dataset_coco.json, in either

or, split already, <speech>/SpokenCOCO_ksplit_{train,val,test}.json. The JSON files follow COCO's own splits,
which dataset_coco.json puts into Karpathy's: train with restval, val, test. Each record is of an image with
all its captions, or of one caption ("unrolled").
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from training.datasets.karpathy import read_karpathy
from training.datasets.leaks import one_split_each, refuse_shared_pictures, whole_file
from training.datasets.lines import read_listed
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect

KARPATHY = "dataset_coco.json"
_OURS = ("SpokenCOCO_train.json", "SpokenCOCO_val.json")
_SPLIT_ALREADY = {
    "train": "SpokenCOCO_ksplit_train.json",
    "dev": "SpokenCOCO_ksplit_val.json",
    "test": "SpokenCOCO_ksplit_test.json",
}


def is_spoken_coco(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*_OURS, *_SPLIT_ALREADY.values()))


def read_spoken_coco(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; what lacks a file, or is in no split, is left out and counted."""
    if split not in _SPLIT_ALREADY:
        raise DatasetError(f"SpokenCOCO has splits train, dev and test, not {split!r}")
    spoken = speech if speech is not None and is_spoken_coco(speech) else folder
    photos = _photos(folder, spoken)
    skipped: Counter[str] = Counter()
    records, split_of = _records(folder, spoken, skipped)
    there = {image: photos / image for image in sorted(split_of) if (photos / image).is_file()}
    refuse_shared_pictures(
        str(spoken), ((split_of[image], image, whole_file(path)) for image, path in there.items())
    )
    wanted = [image for image, its in split_of.items() if its == split]
    skipped["photo missing"] += sum(image not in there for image in wanted)
    pictures = [
        Picture(Path(image).stem, File(there[image]), Path(image).stem) for image in wanted if image in there
    ]
    clips: dict[str, Clip] = {}
    for record in records:
        image = record.get("image")
        if not isinstance(image, str) or split_of.get(image) != split:
            continue
        for caption in _captions(record):
            wav, uttid = caption.get("wav"), caption.get("uttid")
            if not isinstance(wav, str) or not isinstance(uttid, str):
                skipped["caption without wav and uttid"] += 1
            elif uttid in clips:
                skipped["caption listed twice"] += 1
            elif not (spoken / wav).is_file():
                skipped["recording missing"] += 1
            else:
                speaker, text = str(caption.get("speaker", "")), str(caption.get("text") or "")
                clips[uttid] = Clip(uttid, File(spoken / wav), Path(image).stem, speaker, text)
    return intersect(str(spoken), split, pictures, list(clips.values()), +skipped)


def _photos(folder: Path, spoken: Path) -> Path:
    places = [root / name for root in (folder, spoken) for name in (".", "images", "coco")]
    for place in places:
        if (place / "train2014").is_dir() or (place / "val2014").is_dir():
            return place
    looked = ", ".join(dict.fromkeys(str(place) for place in places))
    raise DatasetError(f"COCO's photos, train2014/ and val2014/, are in none of {looked}")


def _records(
    folder: Path, spoken: Path, skipped: Counter[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every record, and the split of each image that is in one."""
    if any((spoken / name).is_file() for name in _SPLIT_ALREADY.values()):
        by_split = {
            split: read_listed(spoken / name, "data")
            for split, name in _SPLIT_ALREADY.items()
            if (spoken / name).is_file()
        }
        pairs = [(str(r.get("image")), split) for split, records in by_split.items() for r in records]
        return [record for records in by_split.values() for record in records], one_split_each(
            str(spoken), pairs
        )
    listed = next((root / KARPATHY for root in (spoken, folder) if (root / KARPATHY).is_file()), None)
    if listed is None:
        raise DatasetError(
            f"{spoken} follows COCO's own splits and papers use Karpathy's: put {KARPATHY} into {spoken} or "
            f"{folder}, or {', '.join(_SPLIT_ALREADY.values())} beside the recordings"
        )
    karpathy, _ = read_karpathy(listed)
    records = [r for name in _OURS if (spoken / name).is_file() for r in read_listed(spoken / name, "data")]
    images = dict.fromkeys(str(record.get("image")) for record in records)
    split_of = {image: karpathy[Path(image).name] for image in images if Path(image).name in karpathy}
    if lost := len(images) - len(split_of):
        skipped["image in none of Karpathy's splits"] += lost
    return records, split_of


def _captions(record: dict[str, Any]) -> list[dict[str, Any]]:
    listed = record["captions"] if "captions" in record else [record.get("caption")]
    return [caption for caption in listed if isinstance(caption, dict)]
