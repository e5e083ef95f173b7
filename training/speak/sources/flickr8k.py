"""Captions of a Flickr8k folder as distributed; an image belongs to the split whose list names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.lines import lines_of
from training.datasets.pairs import File
from training.speak.caption import DEV_SPLIT, TEST_SPLIT, TRAIN_SPLIT, Caption, CaptionsError
from training.speak.sources.listed import FLICKR8K_NAME

TOKENS = "Flickr8k.token.txt"
_LISTS = {
    TRAIN_SPLIT: "Flickr_8k.trainImages.txt",
    DEV_SPLIT: "Flickr_8k.devImages.txt",
    TEST_SPLIT: "Flickr_8k.testImages.txt",
}
_PHOTOS = ("Flicker8k_Dataset", "Images")


def flickr8k_captions(folder: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """Captions with split and number; those of images in no list are counted, an image in two is refused."""
    splits: dict[str, str] = {}
    for split, name in _LISTS.items():
        if (folder / name).is_file():
            for _, line in lines_of(folder / name, skipped):
                base = line.strip().removesuffix(".jpg")
                if splits.setdefault(base, split) != split:
                    raise CaptionsError(
                        f"{folder} lists the image {base}.jpg for {splits[base]} and for {split}; "
                        "take it out of one of the two lists."
                    )
    photos = next((folder / name for name in _PHOTOS if (folder / name).is_dir()), None)
    there = {path.name for path in photos.iterdir()} if photos else set()
    for _, line in lines_of(folder / TOKENS, skipped):
        name, tab, text = line.partition("\t")
        match = FLICKR8K_NAME.fullmatch(name.strip())
        if not tab or match is None:
            skipped["malformed image name"] += 1
            continue
        base, k = match["base"], int(match["number"])
        if splits and base not in splits:
            skipped["image in no split list"] += 1
            continue
        picture = File(photos / f"{base}.jpg") if photos and f"{base}.jpg" in there else None
        yield Caption(
            f"{base}_{k}", base, text, splits.get(base), k, picture, picture_type="jpg" if picture else ""
        )
