"""Conceptual Captions with pictures by img2dataset and captions spoken from its own files, as for the paper.

    <folder>/Train_GCC-training.tsv               caption<TAB>url, no header, no quoting
    <folder>/Validation_GCC-1.1.0-Validation.tsv
    <folder>/{train,validation}/*.tar    what img2dataset fetched: KEY.jpg, KEY.json with the url
    <speech>/{train,validation}/         what `speak` made of each file; <speech> defaults to <folder>/speech

Lines and pictures meet by url. Many links are dead: what was not fetched is counted. The split train is the
training file, dev the validation file; the captions of the test images were never published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.leaks import Place, one_split_each, refuse_shared_pictures
from training.datasets.lines import lines_of
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture, intersect
from training.datasets.spoken import read_spoken
from training.datasets.webdataset import is_webdataset, read_records
from training.shards import PICTURES, Slice

_FILES = {"train": "Train_GCC-training.tsv", "dev": "Validation_GCC-1.1.0-Validation.tsv"}
_FOLDERS = {"train": "train", "dev": "validation"}


def row_id(number: int) -> str:
    """The id of the caption in line `number`, from 1, wherever it is spoken or read."""
    return f"cc-{number:07d}"


def is_conceptual(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES.values())


def read_rows(path: Path, skipped: Counter[str]) -> Iterator[tuple[str, str, str]]:
    """(id, caption, url) of every line. "null" and quotes are text; img2dataset's header is passed over."""
    for number, line in lines_of(path, skipped):
        caption, tab, url = line.partition("\t")
        if not tab:
            skipped["line without a tab"] += 1
        elif number > 1 or url.strip().lower() != "url":
            yield row_id(number), caption, url.strip()


def read_conceptual(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; the same url is the same picture, and in both splits it is refused."""
    if split not in _FILES or not (folder / _FILES[split]).is_file():
        wanted = _FILES.get(split, "no file: its captions were never published")
        raise DatasetError(
            f"Conceptual Captions has splits train and dev (its validation file); {split!r} needs {wanted} "
            f"in {folder}"
        )
    if not is_webdataset(folder / _FOLDERS[split]):
        raise DatasetError(
            f"{folder / _FOLDERS[split]} holds no shards (*.tar); fetch the pictures of {_FILES[split]} with "
            "img2dataset, output format webdataset"
        )
    spoken = (speech or folder / "speech") / _FOLDERS[split]
    skipped: Counter[str] = Counter()
    rows = {
        its: list(read_rows(folder / name, skipped if its == split else Counter()))
        for its, name in _FILES.items()
        if (folder / name).is_file()
    }
    one_split_each(str(folder), ((url, its) for its, lines in rows.items() for _, _, url in lines))
    fetched = {its: _fetched(folder / _FOLDERS[its], skipped if its == split else Counter()) for its in rows}
    refuse_shared_pictures(str(folder), _places(fetched))
    pictures = [Picture(id, fetched[split][url], url) for id, _, url in rows[split] if url in fetched[split]]
    skipped["picture never fetched"] += len(rows[split]) - len(pictures)
    line_of = {id: (caption, url) for id, caption, url in rows[split]}
    clips = []
    for clip, _ in read_spoken(spoken, skipped):
        if clip.identity in line_of:
            clips.append(Clip(clip.id, clip.media, line_of[clip.identity][1], clip.voice, clip.text))
        else:
            skipped["spoken caption of no line"] += 1
    return intersect(str(folder), split, pictures, clips, +skipped)


def _fetched(folder: Path, skipped: Counter[str]) -> dict[str, Slice]:
    """url -> picture."""
    found: dict[str, Slice] = {}
    for sample, record, _ in read_records(folder, skipped):
        picture = sample.first(PICTURES)
        if picture and isinstance(record.get("url"), str):
            found.setdefault(record["url"], picture[1])
    return found


def _places(fetched: dict[str, dict[str, Slice]]) -> Iterator[Place]:
    for split, pictures in fetched.items():
        for url, place in pictures.items():
            yield split, url, place
