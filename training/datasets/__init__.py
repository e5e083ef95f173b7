"""Readers, one a real corpus, and the one call that finds which is meant. No torch here."""

from __future__ import annotations

from pathlib import Path

from training.datasets.digits import is_digits, read_digits
from training.datasets.flickr8k import is_flickr8k, read_flickr8k
from training.datasets.labelled import is_labelled, read_labelled
from training.datasets.manifest import is_pairs_folder, read_pairs_folder
from training.datasets.named import is_named_folder, read_named_folder
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture

__all__ = ["Clip", "DatasetError", "PairSet", "Picture", "open_dataset"]

_READERS = (
    (is_pairs_folder, read_pairs_folder),
    (is_flickr8k, read_flickr8k),
    (is_digits, read_digits),
    (is_labelled, read_labelled),
    (is_named_folder, read_named_folder),
)


def open_dataset(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """One split of the corpus in `folder`, whichever kind it is. Raises DatasetError in one sentence."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one that holds the corpus")
    if speech is not None and not speech.exists():
        raise DatasetError(f"{speech} (given as speech) is not there")
    for is_kind, read in _READERS:
        if is_kind(folder):
            return read(folder, split, speech)
    raise DatasetError(
        f"{folder} is no corpus known here: a pairs folder (images.jsonl, captions.jsonl), Flickr8k "
        "(Flickr8k.token.txt), spoken digits (fsdd, mnist), labelled pictures (classes.tsv, train/), "
        "or images/ and speech/ with files of equal names"
    )
