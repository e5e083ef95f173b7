"""Karpathy's dataset_*.json: images with split and sentences, of COCO and of Flickr8k."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.datasets.leaks import one_split_each
from training.datasets.lines import read_listed

# restval: images of val2014 that are in neither his val nor his test; papers train on them.
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "dev", "test": "test"}


def read_karpathy(path: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """File name of an image -> its split, and the records. Raises DatasetError for an image in two splits."""
    images = read_listed(path, "images")
    pairs = (
        (str(image.get("filename")), KARPATHY_SPLITS.get(str(image.get("split")), "")) for image in images
    )
    return one_split_each(str(path), pairs), images
