"""Places Audio on photos of Places205: the 400k distribution, or its splits of 2020, as on disk.

    <speech>/metadata/{train,val}.json                              <speech> defaults to <folder>
    <speech>/metadata/{train,dev_seen,dev_unseen,test_seen,test_unseen}_2020.json
    <speech>/wavs/...wav     <folder>/a/abbey/gsun_....jpg (or in images/)

Every file is {image_base_path, audio_base_path, data}; the base paths are the authors' own and are used where
they exist. Records of the Hindi captions say `hindi_wav`. One caption a picture.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from training.datasets.leaks import one_split_each, refuse_shared_pictures, whole_file
from training.datasets.lines import read_json
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect

_FILES = {
    "train": ("train.json", "train_2020.json"),
    "dev": ("val.json",),
    **{
        f"{part}_{heard}": (f"{part}_{heard}_2020.json",)
        for part in ("dev", "test")
        for heard in ("seen", "unseen")
    },
}


def is_places(folder: Path) -> bool:
    return bool(_metadata(folder))


def read_places(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; what lacks a file is left out and counted."""
    spoken = speech if speech is not None and is_places(speech) else folder
    files = _metadata(spoken)
    if split not in files:
        raise DatasetError(
            f"Places Audio in {spoken} has splits {', '.join(files)}, not {split!r}; a split is a file of "
            "metadata/"
        )
    read = {name: _read(path) for name, path in files.items()}
    one_split_each(
        str(spoken), ((image, name) for name, document in read.items() for image in _images(document))
    )
    photos = {name: _photos(document, folder, spoken) for name, document in read.items()}
    refuse_shared_pictures(
        str(spoken),
        (
            (name, image, whole_file(photos[name] / image))
            for name, document in read.items()
            for image in _images(document)
            if (photos[name] / image).is_file()
        ),
    )
    document, skipped = read[split], Counter[str]()
    audio = Path(str(document.get("audio_base_path", "")))
    recordings = audio if audio.is_absolute() and audio.is_dir() else spoken
    pictures: dict[str, Picture] = {}
    clips: dict[str, Clip] = {}
    for record in document["data"]:
        image, wav = record.get("image"), record.get("wav", record.get("hindi_wav"))
        if not isinstance(image, str) or not isinstance(wav, str):
            skipped["record without image and wav"] += 1
            continue
        identity = image.rpartition(".")[0]
        clip_id = str(record.get("uttid") or Path(wav).with_suffix(""))
        if identity not in pictures:
            if (photos[split] / image).is_file():
                pictures[identity] = Picture(identity, File(photos[split] / image), identity)
            else:
                skipped["photo missing"] += 1
        if clip_id in clips:
            skipped["caption listed twice"] += 1
        elif not (recordings / wav).is_file():
            skipped["recording missing"] += 1
        else:
            speaker, text = str(record.get("speaker", "")), str(record.get("asr_text") or "")
            clips[clip_id] = Clip(clip_id, File(recordings / wav), identity, speaker, text)
    return intersect(str(spoken), split, list(pictures.values()), list(clips.values()), skipped)


def _metadata(folder: Path) -> dict[str, Path]:
    """Split -> its file, for those that are there. Raises DatasetError where both distributions are."""
    found: dict[str, Path] = {}
    for split, names in _FILES.items():
        there = [folder / "metadata" / name for name in names if (folder / "metadata" / name).is_file()]
        if len(there) > 1:
            raise DatasetError(
                f"{folder / 'metadata'} holds {there[0].name} and {there[1].name}, of two distributions with "
                "different splits; keep one"
            )
        if there:
            found[split] = there[0]
    return found


def _read(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise DatasetError(f'{path} has no list "data", which the metadata of Places Audio has')
    return document


def _images(document: dict[str, Any]) -> list[str]:
    return [record["image"] for record in document["data"] if isinstance(record.get("image"), str)]


def _photos(document: dict[str, Any], folder: Path, spoken: Path) -> Path:
    """The folder below which the first pictures of the list are."""
    named = Path(str(document.get("image_base_path", "")))
    places = [*([named] if named.is_absolute() else []), folder, folder / "images", spoken, spoken / "images"]
    first = _images(document)[:100]
    for place in places:
        if any((place / image).is_file() for image in first):
            return place
    looked = ", ".join(dict.fromkeys(str(place) for place in places))
    such = first[0] if first else "a/abbey/gsun_....jpg"
    raise DatasetError(f"the photos of Places Audio, such as {such}, are in none of {looked}")
