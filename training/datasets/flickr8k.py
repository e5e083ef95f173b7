"""Flickr8k with the Flickr Audio Caption Corpus (or speech made in its layout), as on disk.

    <folder>/Flicker8k_Dataset/*.jpg (or Images/)
    <folder>/Flickr8k.token.txt, or Kaggle's captions.txt, or Karpathy's dataset_flickr8k.json (dataset.json)
    <folder>/Flickr_8k.{train,dev,test}Images.txt, or Karpathy's file for the splits, too
    <speech>/wav2capt.txt  wav2spk.txt  wavs/<image>_<k>.wav        <speech> defaults to <folder>/flickr_audio

wav2capt lines are `<wav> <image.jpg> #<k>`, wav2spk lines `<wav> <speaker>`, a number; captions.jsonl, which
`speak` writes beside its flickr_audio, names the voices. Image names may contain underscores, so what belongs
to what is read from wav2capt alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.datasets.karpathy import read_karpathy
from training.datasets.leaks import one_split_each, refuse_shared_pictures, whole_file
from training.datasets.lines import lines_of
from training.datasets.manifest import read_lines
from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect

_SPLITS = ("train", "dev", "test")
_TOKENS = "Flickr8k.token.txt"
_KAGGLE = "captions.txt"
_KARPATHY = ("dataset_flickr8k.json", "dataset.json")


def is_flickr8k(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (_TOKENS, _KAGGLE, _KARPATHY[0]))


def read_captions(folder: Path, skipped: Counter[str] | None = None) -> dict[str, str]:
    """`image.jpg#k` -> caption text, as written."""
    counted = Counter[str]() if skipped is None else skipped
    captions: dict[str, str] = {}
    if (folder / _TOKENS).is_file():
        for _, line in lines_of(folder / _TOKENS, counted):
            key, tab, text = line.partition("\t")
            if tab:
                captions[key] = text
    elif (folder / _KAGGLE).is_file():
        captions = {f"{base}.jpg#{k}": text for base, k, text in kaggle_rows(folder / _KAGGLE, counted)}
    elif path := _karpathy(folder):
        for image in read_karpathy(path)[1]:
            for number, sentence in enumerate(image.get("sentences", ())):
                captions[f"{image.get('filename')}#{number}"] = str(sentence.get("raw") or "")
    return captions


def kaggle_rows(path: Path, skipped: Counter[str]) -> Iterator[tuple[str, int, str]]:
    """(image without .jpg, k, caption) of `image.jpg,caption` lines.

    The caption may itself hold commas, so only the first `.jpg,` divides.
    """
    counts: Counter[str] = Counter()
    for number, line in lines_of(path, skipped):
        if number == 1 and line.strip().lower() == "image,caption":
            continue
        base, divider, text = line.partition(".jpg,")
        if not divider:
            skipped["line without .jpg,"] += 1
            continue
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        yield base, counts[base], text
        counts[base] += 1


def read_split(folder: Path, split: str) -> list[str]:
    """Image file names of train, dev or test, in the list's order."""
    path = folder / f"Flickr_8k.{split}Images.txt"
    if split in _SPLITS and path.is_file():
        return [line.strip() for _, line in lines_of(path, Counter())]
    karpathy = _karpathy(folder)
    if split in _SPLITS and karpathy is not None:
        return [name for name, its in read_karpathy(karpathy)[0].items() if its == split]
    raise DatasetError(
        f"Flickr8k has splits train, dev and test; {split!r} needs {path.name} or {_KARPATHY[0]} in {folder}"
    )


def read_flickr8k(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; what lacks a file is left out and counted."""
    audio, photos = _recordings(folder, speech), _photos(folder)
    skipped: Counter[str] = Counter()
    names = read_split(folder, split)
    there = {path.name for path in photos.iterdir()}
    _refuse_leaks(folder, photos, there)
    skipped["photo missing"] += sum(name not in there for name in names)
    pictures = [
        Picture(Path(name).stem, File(photos / name), Path(name).stem) for name in names if name in there
    ]
    captions, wanted = read_captions(folder, skipped), set(names)
    speakers = _speakers(audio, skipped)
    recorded = {path.name for path in (audio / "wavs").iterdir()}
    clips: dict[str, Clip] = {}
    for _, line in lines_of(audio / "wav2capt.txt", skipped):
        fields = line.split()
        if len(fields) != 3:
            skipped["malformed line in wav2capt.txt"] += 1
            continue
        wav, image, k = fields
        if image not in wanted:
            continue
        if wav not in recorded:
            skipped["recording missing"] += 1
        elif wav in clips:
            skipped["recording listed twice"] += 1
        else:
            text = captions.get(f"{image}#{k.lstrip('#')}", "")
            media, identity = File(audio / "wavs" / wav), Path(image).stem
            clips[wav] = Clip(Path(wav).stem, media, identity, speakers.get(wav, ""), text)
    return intersect(str(folder), split, pictures, list(clips.values()), +skipped)


def _speakers(audio: Path, skipped: Counter[str]) -> dict[str, str]:
    """Recording -> who speaks: a number as distributed; the voice's name where `speak` says which it was."""
    speakers: dict[str, str] = {}
    if (audio / "wav2spk.txt").is_file():
        rows = [line.split() for _, line in lines_of(audio / "wav2spk.txt", skipped)]
        speakers = {row[0]: row[1] for row in rows if len(row) == 2}
    made = audio.parent / "captions.jsonl"
    if made.is_file():
        for record in read_lines(made, ("id", "path")):
            path = Path(record["path"])
            if path.parent == Path(audio.name, "wavs") and record.get("voice"):
                speakers[path.name] = str(record["voice"])
    return speakers


def _karpathy(folder: Path) -> Path | None:
    return next((folder / name for name in _KARPATHY if (folder / name).is_file()), None)


def _recordings(folder: Path, speech: Path | None) -> Path:
    audio = speech or folder / "flickr_audio"
    if (audio / "flickr_audio").is_dir():
        audio = audio / "flickr_audio"
    if not (audio / "wav2capt.txt").is_file():
        raise DatasetError(
            f"{audio / 'wav2capt.txt'} is not there; name the Flickr Audio folder by --speech, or make one: "
            f"python -m training speak {folder} --out SPEECH"
        )
    if not (audio / "wavs").is_dir():
        raise DatasetError(f"{audio} has wav2capt.txt and no folder wavs with the recordings")
    return audio


def _photos(folder: Path) -> Path:
    for name in ("Flicker8k_Dataset", "Images"):
        if (folder / name).is_dir():
            return folder / name
    raise DatasetError(f"{folder} has neither Flicker8k_Dataset nor Images with the photos")


def _refuse_leaks(folder: Path, photos: Path, there: set[str]) -> None:
    """Every split is looked at, whichever is asked for."""
    pairs = []
    for split in _SPLITS:
        if _karpathy(folder) or (folder / f"Flickr_8k.{split}Images.txt").is_file():
            pairs += [(name, split) for name in read_split(folder, split)]
    split_of = one_split_each(str(folder), pairs)
    places = ((its, name, whole_file(photos / name)) for name, its in split_of.items() if name in there)
    refuse_shared_pictures(str(folder), places)
