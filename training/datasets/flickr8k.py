"""Flickr8k with the Flickr Audio Caption Corpus (or speech made in its layout), as on disk.

    <folder>/Flicker8k_Dataset/*.jpg (or Images/)   Flickr8k.token.txt   Flickr_8k.{train,dev,test}Images.txt
    <speech>/wav2capt.txt  wav2spk.txt  wavs/<image>_<k>.wav        <speech> defaults to <folder>/flickr_audio

wav2capt lines are `<wav> <image.jpg> #<k>`, wav2spk lines `<wav> <speaker>`. Image names may contain
underscores, so what belongs to what is read from wav2capt alone.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from training.datasets.pairs import Clip, DatasetError, File, PairSet, Picture, intersect


def is_flickr8k(folder: Path) -> bool:
    return (folder / "Flickr8k.token.txt").is_file()


def read_captions(folder: Path) -> dict[str, str]:
    """`image.jpg#k` -> caption text, as written."""
    captions = {}
    with (folder / "Flickr8k.token.txt").open(encoding="utf-8") as file:
        for line in file:
            key, tab, text = line.rstrip("\n").partition("\t")
            if tab:
                captions[key] = text
    return captions


def read_split(folder: Path, split: str) -> list[str]:
    """Image file names of train, dev or test, in the list's order."""
    path = folder / f"Flickr_8k.{split}Images.txt"
    if split not in ("train", "dev", "test") or not path.is_file():
        raise DatasetError(
            f"Flickr8k has splits train, dev and test; {split!r} needs {path.name} in {folder}"
        )
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_flickr8k(folder: Path, split: str, speech: Path | None = None) -> PairSet:
    """The pairs of one split; what lacks a file is left out and counted."""
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
    photos = next(
        (folder / name for name in ("Flicker8k_Dataset", "Images") if (folder / name).is_dir()), None
    )
    if photos is None:
        raise DatasetError(f"{folder} has neither Flicker8k_Dataset nor Images with the photos")
    skipped: Counter[str] = Counter()
    names = read_split(folder, split)
    there = {path.name for path in photos.iterdir()}
    skipped.update({"photo missing": sum(name not in there for name in names)})
    pictures = [
        Picture(Path(name).stem, File(photos / name), Path(name).stem) for name in names if name in there
    ]
    captions, wanted = read_captions(folder), set(names)
    speakers = {}
    if (audio / "wav2spk.txt").is_file():
        rows = [line.split() for line in (audio / "wav2spk.txt").read_text(encoding="utf-8").splitlines()]
        speakers = {row[0]: row[1] for row in rows if len(row) == 2}
    recorded = {path.name for path in (audio / "wavs").iterdir()}
    clips = []
    for line in (audio / "wav2capt.txt").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if len(fields) != 3:
            skipped["malformed line in wav2capt.txt"] += bool(fields)
            continue
        wav, image, k = fields
        if image not in wanted:
            continue
        if wav not in recorded:
            skipped["recording missing"] += 1
            continue
        text = captions.get(f"{image}#{k.lstrip('#')}", "")
        media, identity = File(audio / "wavs" / wav), Path(image).stem
        clips.append(Clip(Path(wav).stem, media, identity, speakers.get(wav, ""), text))
    return intersect(str(folder), split, pictures, clips, +skipped)
