"""Where captions come from: JSONL, TSV, captions.txt or a Flickr8k folder; the unusable are counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FLICKR8K_TOKENS = "Flickr8k.token.txt"
TRAIN_SPLIT = "train"
TEST_SPLIT = "test"
_FLICKR8K_SPLITS = {
    TRAIN_SPLIT: "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    TEST_SPLIT: "Flickr_8k.testImages.txt",
}
_FLICKR8K_NAME = re.compile(r"(?P<base>[^/\\#]+)\.jpg#(?P<number>\d+)")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*(/[A-Za-z0-9][A-Za-z0-9._@+-]*)*")


class CaptionsError(ValueError):
    """The source of captions is not there, or is of no kind known."""


@dataclass(frozen=True)
class Caption:
    """One written caption. `id` is unique and a safe relative file name; `number` is k of Flickr8k's `#k`."""

    id: str
    image_id: str
    text: str
    split: str | None = None
    number: int | None = None


@dataclass
class Captions:
    """Every usable caption of a source, in its order, and how many were passed over for which reason."""

    items: list[Caption] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    flickr8k: bool = False


def read_captions(source: Path, *, split: str | None = None, limit: int | None = None) -> Captions:
    """Captions of `source`, those of `split` alone if given, the first `limit` if given.

    `source` is a JSONL file (id, image_id, text, split?), a folder with texts.jsonl, a TSV (`caption<TAB>url`
    or `image.jpg#k<TAB>caption`), Kaggle's captions.txt (`image,caption`), or a Flickr8k folder.
    CaptionsError if it is none of these or no caption is left.
    """
    captions = Captions()
    seen: set[str] = set()
    for caption in _records(source, captions):
        if split is not None and caption.split != split:
            continue
        if not _SAFE_ID.fullmatch(caption.id):
            captions.skipped["id not usable as a file name"] += 1
        elif caption.id in seen:
            captions.skipped["duplicate id"] += 1
        else:
            seen.add(caption.id)
            captions.items.append(caption)
            if limit is not None and len(captions.items) >= limit:
                break
    if not captions.items:
        wanted = f' of split "{split}"' if split else ""
        raise CaptionsError(f"No caption{wanted} to speak in {source}; {_told(captions.skipped)}.")
    return captions


def _told(skipped: Counter[str]) -> str:
    if not skipped:
        return "nothing was skipped either"
    return "skipped: " + ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())


def _records(source: Path, captions: Captions) -> Iterator[Caption]:
    if source.is_dir():
        if (source / FLICKR8K_TOKENS).is_file():
            captions.flickr8k = True
            return _flickr8k(source, captions.skipped)
        if (source / "texts.jsonl").is_file():
            return _jsonl(source / "texts.jsonl", captions.skipped)
        if (source / "captions.txt").is_file():
            return _kaggle(source / "captions.txt", captions.skipped)
        raise CaptionsError(f"The folder {source} holds no texts.jsonl, {FLICKR8K_TOKENS} or captions.txt.")
    if not source.is_file():
        raise CaptionsError(f"There is no captions file or folder {source}.")
    if source.suffix in {".jsonl", ".ndjson"}:
        return _jsonl(source, captions.skipped)
    first = next(_lines(source, Counter()), (0, ""))[1]
    if first.strip().lower() == "image,caption":
        return _kaggle(source, captions.skipped)
    if "\t" in first:
        return _tsv(source, captions.skipped)
    raise CaptionsError(
        f"{source} is neither JSONL (.jsonl), nor tab separated, nor a CSV with the header image,caption."
    )


def _lines(path: Path, skipped: Counter[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; blank ones passed over, those that are not UTF-8 counted."""
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                skipped["line not UTF-8"] += 1
                continue
            if line.strip():
                yield number, line


def _jsonl(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    for _, line in _lines(path, skipped):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            skipped["line not JSON"] += 1
            continue
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key), str) for key in ("id", "text")
        ):
            skipped["line without id and text"] += 1
            continue
        image_id, split = record.get("image_id"), record.get("split")
        if not isinstance(image_id, str):
            skipped["caption without image_id"] += 1
            continue
        yield Caption(record["id"], image_id, record["text"], split if isinstance(split, str) else None)


def _tsv(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """Conceptual Captions' `caption<TAB>url`, no header and no quoting, or `image.jpg#k<TAB>caption`."""
    for number, line in _lines(path, skipped):
        left, tab, right = line.partition("\t")
        if not tab:
            skipped["line without a tab"] += 1
        elif match := _FLICKR8K_NAME.fullmatch(left):
            base, k = match["base"], int(match["number"])
            yield Caption(f"{base}_{k}", base, right, number=k)
        elif right.strip().lower() == "url" and number == 1:
            continue  # the header that img2dataset asks for
        else:
            name = f"cc-{number:07d}"
            yield Caption(name, name, left)


def _kaggle(path: Path, skipped: Counter[str]) -> Iterator[Caption]:
    """`image.jpg,caption`; the caption may itself hold commas, so only the first `.jpg,` divides."""
    counts: Counter[str] = Counter()
    for number, line in _lines(path, skipped):
        if number == 1 and line.strip().lower() == "image,caption":
            continue
        base, divider, text = line.partition(".jpg,")
        if not divider:
            skipped["line without .jpg,"] += 1
            continue
        k = counts[base]
        counts[base] += 1
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        yield Caption(f"{base}_{k}", base, text, number=k)


def _flickr8k(folder: Path, skipped: Counter[str]) -> Iterator[Caption]:
    splits: dict[str, str] = {}
    for split, name in _FLICKR8K_SPLITS.items():
        if (folder / name).is_file():
            for _, line in _lines(folder / name, skipped):
                splits[line.strip().removesuffix(".jpg")] = split
    for _, line in _lines(folder / FLICKR8K_TOKENS, skipped):
        name, tab, text = line.partition("\t")
        match = _FLICKR8K_NAME.fullmatch(name.strip())
        if not tab or match is None:
            skipped["malformed image name"] += 1
            continue
        base, k = match["base"], int(match["number"])
        if splits and base not in splits:
            skipped["image in no split list"] += 1
            continue
        yield Caption(f"{base}_{k}", base, text, splits.get(base), k)
