"""COCO's captions_*.json, and Karpathy's dataset_*.json, which puts the same captions into his splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from training.datasets.karpathy import KARPATHY_SPLITS
from training.speak.caption import DEV_SPLIT, TRAIN_SPLIT, Caption, CaptionsError
from training.speak.sources.place import picture_below

_PHOTO_FOLDERS = ("train2017", "val2017", "train2014", "val2014", "images", "Flicker8k_Dataset", "Images")


def coco_captions(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """Ids are IMAGE_SENTENCE, as 000000391895_770337. CaptionsError where the JSON is neither."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise CaptionsError(f"{path} is not a whole JSON file; fetch it again.") from error
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        yield from _coco(path, document, skipped)
    elif isinstance(document, dict) and isinstance(document.get("images"), list):
        yield from _karpathy(path, document["images"], skipped)
    else:
        raise CaptionsError(
            f"{path} is neither COCO's captions (images and annotations) nor Karpathy's splits (images with "
            "sentences)."
        )


def _coco(path: Path, document: dict[str, Any], skipped: Counter[str]) -> Iterator[Caption]:
    """The split is the one in the file's name: train, or val, which is called dev here."""
    split = next(
        (ours for part, ours in (("train", TRAIN_SPLIT), ("val", DEV_SPLIT)) if part in path.stem), None
    )
    photos = _Photos(path.parent)
    names = {image.get("id"): image.get("file_name") for image in document.get("images", ())}
    for annotation in document["annotations"]:
        name, text = names.get(annotation.get("image_id")), annotation.get("caption")
        if not isinstance(name, str):
            skipped["caption without an image"] += 1
        elif not isinstance(text, str):
            skipped["caption is no text"] += 1
        else:
            yield photos.caption(Path(name), annotation.get("id"), text, split)


def _karpathy(path: Path, images: list[Any], skipped: Counter[str]) -> Iterator[Caption]:
    photos = _Photos(path.parent)
    for image in images:
        split = KARPATHY_SPLITS.get(image.get("split"))
        name = Path(image.get("filepath", "")) / str(image.get("filename"))
        for number, sentence in enumerate(image.get("sentences", ())):
            text = sentence.get("raw")
            if isinstance(text, str):
                yield photos.caption(name, sentence.get("sentid", number), text, split, number)
            else:
                skipped["caption is no text"] += 1


class _Photos:
    """Beside the JSON or above it, under the name given or in the folder of their year."""

    def __init__(self, folder: Path) -> None:
        self._roots = (folder, folder.parent)
        places = (root / name for root in self._roots for name in _PHOTO_FOLDERS)
        self._folders = [place for place in places if place.is_dir()]

    def caption(
        self, name: Path, sentence: object, text: str, split: str | None, number: int | None = None
    ) -> Caption:
        places = ((root, name) for root in self._roots), ((one, Path(name.name)) for one in self._folders)
        found = (picture_below(folder, its) for folder, its in chain(*places))
        picture = next((file for file in found if file is not None), None)
        kind = name.suffix[1:].lower() if picture else ""
        return Caption(f"{name.stem}_{sentence}", name.stem, text, split, number, picture, kind)
