"""The training split decoded once into flat memory-mapped files: a step costs no decoding. No torch here.

    <folder>/pictures.u8    uint8 [N, R, R, 3]           clips.i16     int16, all clips end to end
             offsets.npy    int64 [clips + 1]            cache.json    ids, identities, what was left out

The folder gets its name when all is in it. Decoding is `indexer.media`'s, the one that serves; what does not
decode is left out and counted. The cache is for fitting only (16-bit rounding); evaluation decodes the files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer.durable import fsync_file
from indexer.media import MediaError, MediaSpec, Pixels, decode_image, decode_speech
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture
from training.pool import worker_pool

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 64


@dataclass(frozen=True)
class Cache:
    """pictures [N, R, R, 3] uint8, aspects [N] their width by their height before they were made square.

    Clip i is samples[offsets[i] : offsets[i + 1]] (int16).
    """

    pictures: NDArray[np.uint8]
    aspects: NDArray[np.float32]
    samples: NDArray[np.int16]
    offsets: NDArray[np.int64]
    picture_identities: list[str]
    picture_tags: list[dict[str, str]]
    clip_identities: list[str]
    skipped: Counter[str]


def _decode_pictures(work: tuple[Sequence[Picture], MediaSpec]) -> list[Pixels | str]:
    def decode(picture: Picture) -> Pixels:
        return decode_image(picture.media.read(), spec)

    pictures, spec = work
    return [_try(decode, picture) for picture in pictures]


def _decode_clips(work: tuple[Sequence[Clip], MediaSpec]) -> list[NDArray[np.int16] | str]:
    def decode(clip: Clip) -> NDArray[np.int16]:
        samples = decode_speech(clip.media.read(), spec).samples
        return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)

    clips, spec = work
    return [_try(decode, clip) for clip in clips]


def _try(decode: Callable[[T], R], item: T) -> R | str:
    """What was decoded, or why not: without the file's name, so that reasons can be counted."""
    try:
        return decode(item)
    except MediaError as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__


def cache_key(data: PairSet, spec: MediaSpec) -> str:
    """Names what a cache holds: the items in order, how they are decoded. A path stands for its content."""
    digest = hashlib.sha256(json.dumps(spec.to_dict(), sort_keys=True).encode())
    items: list[Picture | Clip] = [*data.pictures, *data.clips]
    for item in items:
        digest.update(f"{item.id}\t{item.identity}\t{item.media}\n".encode())
    return digest.hexdigest()[:16]


def open_cache(
    data: PairSet, spec: MediaSpec, root: Path, workers: int, on_progress: Callable[[int, int], None]
) -> Cache:
    """The cache of `data`, made under `root` if it is not there yet; on_progress(done, total) counts items.

    Raises DatasetError when nothing decodes, WorkerDied when a decoding process dies.
    """
    folder = root / f"{data.split}-{cache_key(data, spec)}"
    if not (folder / "cache.json").is_file():
        _make(data, spec, folder, workers, on_progress)
    listing = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
    size = spec.image_size
    tags = {picture.id: picture.tags for picture in data.pictures}
    return Cache(
        np.memmap(folder / "pictures.u8", np.uint8, "r", shape=(len(listing["pictures"]), size, size, 3)),
        np.asarray([picture.get("aspect", 1.0) for picture in listing["pictures"]], dtype=np.float32),
        np.memmap(folder / "clips.i16", np.int16, "r"),
        np.load(folder / "offsets.npy"),
        [picture["identity"] for picture in listing["pictures"]],
        [tags[picture["id"]] for picture in listing["pictures"]],
        [clip["identity"] for clip in listing["clips"]],
        Counter(listing["skipped"]),
    )


def _make(
    data: PairSet, spec: MediaSpec, folder: Path, workers: int, on_progress: Callable[[int, int], None]
) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    total, done = len(data.pictures) + len(data.clips), 0
    skipped: Counter[str] = Counter()
    pictures: list[dict[str, str | float]] = []
    clips: list[dict[str, str]] = []
    offsets = [0]

    def count(items: int) -> None:
        nonlocal done
        done += items
        on_progress(done, total)

    with worker_pool(workers) as pool:
        with (part / "pictures.u8").open("wb") as file:
            for picture, pixels in _decoded(pool, _decode_pictures, data.pictures, spec, count):
                if isinstance(pixels, str):
                    skipped["picture: " + pixels] += 1
                    continue
                file.write(pixels.array.tobytes())
                aspect = pixels.source_width / pixels.source_height
                pictures.append({"id": picture.id, "identity": picture.identity, "aspect": aspect})
        with (part / "clips.i16").open("wb") as file:
            for clip, wave in _decoded(pool, _decode_clips, data.clips, spec, count):
                if isinstance(wave, str):
                    skipped["spoken caption: " + wave] += 1
                    continue
                file.write(wave.tobytes())
                offsets.append(offsets[-1] + len(wave))
                clips.append({"id": clip.id, "identity": clip.identity})
    if not pictures or not clips:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(2))
        raise DatasetError(f"nothing of {data.name} could be decoded: {reasons}")
    np.save(part / "offsets.npy", np.asarray(offsets, dtype=np.int64))
    listing = {"pictures": pictures, "clips": clips, "skipped": dict(skipped)}
    (part / "cache.json").write_text(json.dumps(listing), encoding="utf-8")
    for name in ("pictures.u8", "clips.i16", "offsets.npy", "cache.json"):
        fsync_file(part / name)
    part.rename(folder)


def _decoded(
    pool: ProcessPoolExecutor,
    decode: Callable[[tuple[Sequence[T], MediaSpec]], list[R | str]],
    items: Sequence[T],
    spec: MediaSpec,
    count: Callable[[int], None],
) -> Iterator[tuple[T, R | str]]:
    """Every item with its array or the reason why there is none, in the order given."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    for chunk, arrays in zip(chunks, pool.map(decode, [(chunk, spec) for chunk in chunks]), strict=True):
        yield from zip(chunk, arrays, strict=True)
        count(len(chunk))


def cache_spec(spec: MediaSpec) -> MediaSpec:
    """Room for augmentation: clips twice as long as the model hears, and pictures whole, made square by
    squashing, where it sees but their centre."""
    return replace(spec, max_seconds=2 * spec.max_seconds, resize="squash", crop_fraction=1.0)
