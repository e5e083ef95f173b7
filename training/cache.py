"""The training split decoded once into flat memory-mapped files, so that a step costs no decoding. No torch here.

    <folder>/pictures.u8    uint8 [N, R, R, 3]           clips.i16     int16, all clips end to end
             offsets.npy    int64 [clips + 1]            cache.json    ids, identities, tags; written last

Decoding is `indexer.media`'s, the one that serves; what does not decode is left out and counted. The cache is for
fitting only (16-bit rounding); evaluation decodes the files themselves.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer.media import MediaError, MediaSpec, decode_image, decode_speech
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture

T = TypeVar("T")
CHUNK = 64


@dataclass(frozen=True)
class Cache:
    """pictures [N, R, R, 3] uint8; clip i is samples[offsets[i] : offsets[i + 1]] (int16)."""

    pictures: NDArray[np.uint8]
    samples: NDArray[np.int16]
    offsets: NDArray[np.int64]
    picture_identities: list[str]
    picture_tags: list[dict[str, str]]
    clip_identities: list[str]
    skipped: Counter[str]


def _decode_pictures(work: tuple[Sequence[Picture], MediaSpec]) -> list[NDArray[np.uint8] | str]:
    pictures, spec = work
    return [_try(lambda p=picture: decode_image(p.media.read(), spec).array) for picture in pictures]  # type: ignore[misc]


def _decode_clips(work: tuple[Sequence[Clip], MediaSpec]) -> list[NDArray[np.int16] | str]:
    clips, spec = work
    return [_try(lambda c=clip: _to_int16(decode_speech(c.media.read(), spec).samples)) for clip in clips]  # type: ignore[misc]


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def _try(decode: Callable[[], T]) -> T | str:
    try:
        return decode()
    except (MediaError, OSError) as error:
        return type(error).__name__ + ": " + str(error)


def cache_key(data: PairSet, spec: MediaSpec) -> str:
    """Names what a cache holds: the items in order, and how they are decoded."""
    digest = hashlib.sha256(json.dumps(spec.to_dict(), sort_keys=True).encode())
    for item in (*data.pictures, *data.clips):
        digest.update(f"{item.id}\t{item.identity}\t{item.media}\n".encode())
    return digest.hexdigest()[:16]


def open_cache(
    data: PairSet, spec: MediaSpec, root: Path, workers: int, on_progress: Callable[[int, int], None]
) -> Cache:
    """The cache of `data`, made under `root` if it is not there yet; on_progress(done, total) counts items."""
    folder = root / f"{data.split}-{cache_key(data, spec)}"
    if not (folder / "cache.json").is_file():
        _make(data, spec, folder, workers, on_progress)
    listing = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
    size = spec.image_size
    return Cache(
        np.memmap(folder / "pictures.u8", np.uint8, "r", shape=(len(listing["pictures"]), size, size, 3)),
        np.memmap(folder / "clips.i16", np.int16, "r"),
        np.load(folder / "offsets.npy"),
        [picture["identity"] for picture in listing["pictures"]],
        [picture["tags"] for picture in listing["pictures"]],
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
    pictures: list[dict[str, object]] = []
    clips: list[dict[str, object]] = []
    offsets = [0]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        with (part / "pictures.u8").open("wb") as file:
            chunks = _chunks(data.pictures)
            for picked, decoded in zip(
                chunks, pool.map(_decode_pictures, ((c, spec) for c in chunks)), strict=True
            ):
                for picture, array in zip(picked, decoded, strict=True):
                    if isinstance(array, str):
                        skipped["picture: " + array] += 1
                        continue
                    file.write(array.tobytes())
                    pictures.append({"id": picture.id, "identity": picture.identity, "tags": picture.tags})
                done += len(picked)
                on_progress(done, total)
        with (part / "clips.i16").open("wb") as file:
            spoken = _chunks(data.clips)
            for heard, samples in zip(
                spoken, pool.map(_decode_clips, ((c, spec) for c in spoken)), strict=True
            ):
                for clip, wave in zip(heard, samples, strict=True):
                    if isinstance(wave, str):
                        skipped["spoken caption: " + wave] += 1
                        continue
                    file.write(wave.tobytes())
                    offsets.append(offsets[-1] + len(wave))
                    clips.append({"id": clip.id, "identity": clip.identity})
                done += len(heard)
                on_progress(done, total)
    if not pictures or not clips:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(2))
        raise DatasetError(f"nothing of {data.name} could be decoded: {reasons}")
    np.save(part / "offsets.npy", np.asarray(offsets, dtype=np.int64))
    listing = {"pictures": pictures, "clips": clips, "skipped": dict(skipped)}
    with (part / "cache.json").open("w", encoding="utf-8") as text:
        json.dump(listing, text)
        text.flush()
        os.fsync(text.fileno())
    part.rename(folder)


def _chunks(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]


def cache_spec(spec: MediaSpec) -> MediaSpec:
    """Room for augmentation: clips twice as long as the model hears, so that random crops differ."""
    return replace(spec, max_seconds=2 * spec.max_seconds)
