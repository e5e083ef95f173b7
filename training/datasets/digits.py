"""Spoken digits (Free Spoken Digit Dataset) and written digits (MNIST): what shows or says one digit matches.

    <folder>/fsdd/recordings/{digit}_{speaker}_{index}.wav      index 0 to 4 is the official test part
    <folder>/mnist/train-{images-idx3,labels-idx1}-ubyte.gz     mnist/gallery/mnist_{digit}_{index}.png

Train pictures are MNIST's training images; test pictures are the gallery of 1,000 test images.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect


def is_digits(folder: Path) -> bool:
    return (folder / "fsdd" / "recordings").is_dir() and (folder / "mnist").is_dir()


@lru_cache(maxsize=2)
def _idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, type 8, number of axes, their sizes big-endian, the data."""
    try:
        data = gzip.decompress(path.read_bytes())
        if data[:3] != b"\x00\x00\x08":
            raise ValueError("another type")
        axes = data[3]
        shape = np.frombuffer(data, dtype=">i4", count=axes, offset=4)
        return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes).reshape(tuple(int(n) for n in shape))
    except (ValueError, IndexError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is not a whole IDX file of bytes, compressed by gzip") from error


@dataclass(frozen=True)
class IdxPicture:
    """One picture of an IDX file, as PNG."""

    path: Path
    index: int

    def read(self) -> bytes:
        out = io.BytesIO()
        Image.fromarray(_idx(self.path)[self.index]).save(out, format="PNG")
        return out.getvalue()


def read_digits(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """split train, or test (the official part: recordings 0 to 4 of each digit and speaker)."""
    if split not in ("train", "test"):
        raise DatasetError(f"spoken digits have splits train and test, not {split!r}")
    skipped: Counter[str] = Counter()
    clips = []
    for path in sorted((speech or folder / "fsdd" / "recordings").glob("*.wav")):
        fields = path.stem.split("_")
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].isdigit():
            skipped["recording not named digit_speaker_index"] += 1
            continue
        digit, speaker, index = fields
        if (int(index) < 5) == (split == "test"):
            clips.append(Clip(path.stem, File(path), digit, speaker, digit))
    if split == "train":
        labels = _idx(folder / "mnist" / "train-labels-idx1-ubyte.gz")
        images = folder / "mnist" / "train-images-idx3-ubyte.gz"
        if len(_idx(images)) != len(labels):
            raise DatasetError(
                f"{images} holds {len(_idx(images))} pictures and there are {len(labels)} labels"
            )
        pictures = [
            Picture(f"mnist_train_{i}", IdxPicture(images, i), str(int(label)), {"digit": str(int(label))})
            for i, label in enumerate(labels)
        ]
    else:
        pictures = [
            Picture(path.stem, File(path), path.stem.split("_")[1], {"digit": path.stem.split("_")[1]})
            for path in sorted((folder / "mnist" / "gallery").glob("mnist_*_*.png"))
        ]
    return intersect(str(folder), split, pictures, clips, skipped)
