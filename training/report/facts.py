"""What can be seen of the data that runs are judged on: how many, how large the pictures are, who speaks."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.datasets.pairs import PairSet


def picture_sizes(data: PairSet) -> str:
    """Width and height of every picture, in words; "all 160 x 160" tells that they are no originals."""
    sizes = set()
    for picture in data.pictures:
        try:
            with Image.open(io.BytesIO(picture.media.read())) as opened:
                sizes.add(opened.size)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue  # what does not decode is counted where it is embedded
    if not sizes:
        return "of unknown size"
    if len(sizes) == 1:
        ((width, height),) = sizes
        shape = ", whatever shape they once had" if width == height else ""
        return f"all {width}×{height}{shape}"
    widths, heights = zip(*sizes, strict=True)
    return f"from {min(widths)}×{min(heights)} to {max(widths)}×{max(heights)}"


def engines(data: PairSet, folders: Sequence[Path | None]) -> list[str]:
    """Speech engines that `speak` names for these clips; empty where nothing says that they are synthetic."""
    clips = {clip.id for clip in data.clips}
    for folder in folders:
        path = folder / "captions.jsonl" if folder and folder.is_dir() else folder
        if path is None or not path.is_file():
            continue
        with path.open(encoding="utf-8") as file:
            spoken = [json.loads(line) for line in file if '"engine"' in line]
        return sorted({str(one["engine"]) for one in spoken if one.get("id") in clips})
    return []


def facts(data: PairSet, folder: Path, speech: Path | None) -> str:
    """The data in one phrase, for a remark."""
    made = engines(data, (speech, folder))
    spoken = f"synthetic speech ({', '.join(made)})" if made else "which nothing there calls synthetic"
    return (
        f"{Path(data.name).resolve().name}, split {data.split}: {len(data.pictures):,} pictures "
        f"({picture_sizes(data)}) with {len(data.clips):,} spoken captions, {spoken}"
    )
