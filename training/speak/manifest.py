"""captions.jsonl, and the lists that go with Flickr8k's photos: written last, read back to resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.durable import replace_text
from training.datasets.manifest import read_lines
from training.datasets.named import split_of
from training.datasets.pairs import File
from training.speak.caption import Caption
from training.speak.clips import SpeechError
from training.speak.plan import Clip

MANIFEST = "captions.jsonl"
JOURNAL = "captions.jsonl.partial"
FACC_FOLDER = "flickr_audio"
PICTURES = "images.jsonl"
PICTURES_LINK = "images"


def seconds_made(out: Path, clips: Iterable[Clip]) -> dict[str, float]:
    """Clip id -> seconds, for the clips an earlier run recorded with the very parameters planned now."""
    recorded: dict[str, dict[str, object]] = {}
    for name in (MANIFEST, JOURNAL):
        if (out / name).is_file():
            for line in (out / name).read_bytes().split(b"\n"):
                try:
                    record = json.loads(line)
                    recorded[record["id"]] = record
                except (ValueError, TypeError, KeyError):
                    continue  # the line a kill cut short
    made: dict[str, float] = {}
    for clip in clips:
        record = recorded.get(clip.id, {})
        seconds = record.get("seconds")
        if isinstance(seconds, float) and record == clip.record(seconds):
            made[clip.id] = seconds
    return made


def line(record: Mapping[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_manifest(
    out: Path, clips: Sequence[Clip], seconds: dict[str, float], *, facc: bool, pictures: bool
) -> None:
    """The pictures and the lists of a Flickr8k folder where wanted, then captions.jsonl, each whole or not at
    all; the journal goes last."""
    if pictures:
        _write_pictures(out, clips, replace=facc)
    if facc:
        named = [(Path(clip.path).name, clip) for clip in clips]
        folder = out / FACC_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        captions = (f"{wav} {clip.caption.image_id}.jpg #{clip.caption.number}\n" for wav, clip in named)
        replace_text(folder / "wav2capt.txt", "".join(captions))
        replace_text(folder / "wav2spk.txt", "".join(f"{wav} {clip.speaker}\n" for wav, clip in named))
    replace_text(out / MANIFEST, "".join(line(clip.record(seconds[clip.id])) for clip in clips))
    (out / JOURNAL).unlink(missing_ok=True)


def photos_in(out: Path, captions: Iterable[Caption]) -> Path | None:
    """Where under `out` the photos are: as they lie, or behind a link, since no path in a list may lead out.

    None where no caption has a photo. SpeechError where something else has the link's name.
    """
    folder = next((one.picture.path.parent for one in captions if isinstance(one.picture, File)), None)
    if folder is None:
        return None
    if folder.resolve().is_relative_to(out.resolve()):
        return folder.resolve().relative_to(out.resolve())
    link = out / PICTURES_LINK
    if link.exists() and not link.is_symlink():
        raise SpeechError(f"{link} is in the way of a link to the photos in {folder}; name another folder.")
    return Path(PICTURES_LINK)


def _write_pictures(out: Path, clips: Iterable[Clip], *, replace: bool) -> None:
    """images.jsonl of the photos that the clips tell of, so that `out` can be indexed by its lists alone.

    Without `replace`, lines that are there stay as they are, and where no caption states a split, the one
    that follows from the picture's name is written, as if the folder had no lists.
    """
    captions = {clip.caption.image_id: clip.caption for clip in clips}
    photos = {id: one.picture.path for id, one in captions.items() if isinstance(one.picture, File)}
    folder = photos_in(out, captions.values())
    listed = out / PICTURES
    records: list[dict[str, Any]] = []
    if listed.is_file() and not replace:
        records += read_lines(listed, ("id", "path"))
    known = {record["id"] for record in records}
    photos = {id: photo for id, photo in photos.items() if id not in known}
    if folder is None or not photos:
        return
    linked = next(iter(photos.values())).parent.resolve()
    if (out / folder).resolve() != linked:
        (out / folder).unlink(missing_ok=True)
        (out / folder).symlink_to(os.path.relpath(linked, out.resolve()))
    stated = replace or any(one.split for one in captions.values())
    for id, photo in photos.items():
        split = captions[id].split if stated else split_of(id)
        records.append(
            {"id": id, "path": (folder / photo.name).as_posix()} | ({"split": split} if split else {})
        )
    replace_text(listed, "".join(map(line, records)))
