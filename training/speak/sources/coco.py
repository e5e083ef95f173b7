"""COCO's captions_*.json, and Karpathy's dataset_*.json, which puts the same captions into his splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.karpathy import KARPATHY_SPLITS
from training.datasets.pairs import File
from training.speak.caption import DEV_SPLIT, TRAIN_SPLIT, Caption, CaptionsError


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
    names = {image["id"]: str(image["file_name"]) for image in document.get("images", ())}
    for annotation in document["annotations"]:
        name, text = names.get(annotation.get("image_id")), annotation.get("caption")
        if name is None:
            skipped["caption without an image"] += 1
        elif not isinstance(text, str):
            skipped["caption is no text"] += 1
        else:
            yield _caption(path, name, annotation["id"], text, split, None)


def _karpathy(path: Path, images: list[Any], skipped: Counter[str]) -> Iterator[Caption]:
    for image in images:
        split = KARPATHY_SPLITS.get(image.get("split"))
        for number, sentence in enumerate(image.get("sentences", ())):
            text = sentence.get("raw")
            if not isinstance(text, str):
                skipped["caption is no text"] += 1
                continue
            name = str(Path(image.get("filepath", "")) / image["filename"])
            yield _caption(path, name, sentence.get("sentid", number), text, split, number)


def _caption(path: Path, name: str, sentence: object, text: str, split: str | None, k: int | None) -> Caption:
    image_id = Path(name).stem
    picture = _picture(path.parent, name)
    kind = Path(name).suffix[1:].lower() if picture else ""
    return Caption(f"{image_id}_{sentence}", image_id, text, split, k, picture, kind)


def _picture(folder: Path, name: str) -> File | None:
    """Beside the JSON or above it, under the name given or in the folder of its year."""
    base = Path(name).name
    years = ("train2017", "val2017", "train2014", "val2014", "images", "Flicker8k_Dataset", "Images")
    for root in (folder, folder.parent):
        for place in (root / name, *(root / year / base for year in years)):
            if place.is_file():
                return File(place)
    return None
