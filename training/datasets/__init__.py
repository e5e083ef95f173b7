"""Readers, one a real corpus, and the one call that finds which is meant. No torch here."""

from __future__ import annotations

from pathlib import Path

from training.datasets.conceptual import is_conceptual, read_conceptual
from training.datasets.digits import is_digits, read_digits
from training.datasets.flickr8k import is_flickr8k, read_flickr8k
from training.datasets.labelled import is_labelled, read_labelled
from training.datasets.manifest import is_pairs_folder, read_pairs_folder
from training.datasets.named import is_named_folder, read_named_folder
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture
from training.datasets.places import is_places, read_places
from training.datasets.spoken_coco import is_spoken_coco, read_spoken_coco
from training.datasets.webdataset import is_webdataset, read_webdataset

__all__ = ["Clip", "DatasetError", "PairSet", "Picture", "open_dataset"]

_READERS = (
    (is_pairs_folder, read_pairs_folder),
    (is_flickr8k, read_flickr8k),
    (is_spoken_coco, read_spoken_coco),
    (is_places, read_places),
    (is_conceptual, read_conceptual),
    (is_digits, read_digits),
    (is_labelled, read_labelled),
    (is_webdataset, read_webdataset),
    (is_named_folder, read_named_folder),
)
# Recordings for photos that had come out before: what tells these corpora lies with the recordings.
_TOLD_BY_SPEECH = (is_spoken_coco, is_places)
_SPLIT_NAMES = {"val": "dev", "validation": "dev"}


def open_dataset(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """One split of the corpus in `folder`, whichever kind it is; val is another name of dev.

    Raises DatasetError in one sentence, also for a picture that is in two splits.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one that holds the corpus")
    if speech is not None and not speech.exists():
        raise DatasetError(f"{speech} (given as speech) is not there")
    for is_kind, read in _READERS:
        if is_kind(folder) or (speech is not None and is_kind in _TOLD_BY_SPEECH and is_kind(speech)):
            return read(folder, _SPLIT_NAMES.get(split, split), speech)
    raise DatasetError(
        f"{folder} is no corpus known here: a pairs folder (images.jsonl, captions.jsonl), Flickr8k "
        "(Flickr8k.token.txt, captions.txt or dataset_flickr8k.json), SpokenCOCO (SpokenCOCO_train.json), "
        "Places Audio (metadata/train.json, train_2020.json), Conceptual Captions (Train_GCC-training.tsv), "
        "spoken digits (fsdd, mnist), labelled pictures (classes.tsv, train/), WebDataset shards (*.tar, or "
        "train/*.tar), or images/ and speech/ with files of equal names"
    )
