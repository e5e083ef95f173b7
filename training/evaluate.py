"""Recall both ways on a split, in the protocol of the Flickr Audio papers.

Every spoken caption against every picture, every picture against every spoken caption; a hit when any that
belongs is among the first k. Files are decoded by `indexer.media`, as they are when served. Shape legend: N
items, D embedding, S samples, Q queries, G gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.media import MediaError, MediaSpec, Pixels, Waveform, decode_image, decode_speech
from indexer.recall import median_rank, precision_at_k, recall_at_k
from training.datasets.pairs import Clip, DatasetError, PairSet, Picture
from training.towers.dual import DualEncoder

T = TypeVar("T", Clip, Picture)
M = TypeVar("M")
KS = (1, 5, 10, 50, 100)
BATCH = 32


class Embedder(Protocol):
    """What is judged: a model being fitted, or a bundle as it will be served."""

    def speech(self, clips: Sequence[Waveform]) -> NDArray[np.float32]: ...
    def image(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]: ...


class ModelEmbedder:
    """A torch model as an Embedder; sets evaluation mode."""

    def __init__(self, model: DualEncoder, device: torch.device | None = None) -> None:
        self.model, self.device = model.eval(), device or torch.device("cpu")

    @torch.inference_mode()
    def speech(self, clips: Sequence[Waveform]) -> NDArray[np.float32]:
        waveform_NS, valid_N = padded(clips)
        vectors = self.model.speech(
            torch.from_numpy(waveform_NS).to(self.device), torch.from_numpy(valid_N).to(self.device)
        )
        return np.asarray(vectors.float().cpu().numpy())

    @torch.inference_mode()
    def image(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(np.stack([picture.array for picture in pictures])).to(self.device)
        return np.asarray(self.model.image(pixels).float().cpu().numpy())


def padded(clips: Sequence[Waveform]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One batch: waveform float32 [N, S], zeros behind each clip, and how many samples are its own."""
    valid_N = np.asarray([len(clip.samples) for clip in clips], dtype=np.int64)
    waveform_NS = np.zeros((len(clips), int(valid_N.max())), dtype=np.float32)
    for row, clip in zip(waveform_NS, clips, strict=True):
        row[: len(clip.samples)] = clip.samples
    return waveform_NS, valid_N


@dataclass(frozen=True)
class Embedded:
    """Vectors of one split, with what is needed to judge them; what did not decode is in `failed`."""

    speech_ND: NDArray[np.float32]
    image_ND: NDArray[np.float32]
    clips: tuple[Clip, ...]
    pictures: tuple[Picture, ...]
    failed: tuple[str, ...]

    def relevant(self) -> NDArray[np.bool_]:
        """[clips, pictures] true where identities agree."""
        spoken = np.asarray([clip.identity for clip in self.clips])
        seen = np.asarray([picture.identity for picture in self.pictures])
        return np.asarray(spoken[:, None] == seen[None, :])


@dataclass(frozen=True)
class Scores:
    """Both directions; recall maps k to the share of queries with a hit among the first k."""

    clips: int
    pictures: int
    speech_to_image: dict[int, float]
    image_to_speech: dict[int, float]
    median_rank: tuple[float, float]
    precision_at_10: tuple[float, float]

    @property
    def mean_recall_at_10(self) -> float:
        return (self.speech_to_image[10] + self.image_to_speech[10]) / 2

    def to_dict(self) -> dict[str, object]:
        return {
            "clips": self.clips,
            "pictures": self.pictures,
            "speech_to_image": {f"R@{k}": round(v, 4) for k, v in self.speech_to_image.items()},
            "image_to_speech": {f"R@{k}": round(v, 4) for k, v in self.image_to_speech.items()},
            "median_rank": list(self.median_rank),
            "precision_at_10": [round(p, 4) for p in self.precision_at_10],
        }


def embed(
    embedder: Embedder, spec: MediaSpec, data: PairSet, on_progress: Callable[[int, int], None] | None = None
) -> Embedded:
    """Decode in threads and embed in batches, in the data's order."""
    total, done = len(data.clips) + len(data.pictures), 0
    failed: list[str] = []

    def decoded(items: Sequence[T], decode: Callable[[T], M]) -> Iterator[list[tuple[T, M]]]:
        nonlocal done
        with ThreadPoolExecutor(4) as pool:
            for start in range(0, len(items), BATCH):
                group = items[start : start + BATCH]
                good = []
                for item, future in [(item, pool.submit(decode, item)) for item in group]:
                    try:
                        good.append((item, future.result()))
                    except (MediaError, OSError) as error:
                        failed.append(f"{item.id}: {error}")
                done += len(group)
                if good:
                    yield good
                if on_progress:
                    on_progress(done, total)

    clips: list[Clip] = []
    pictures: list[Picture] = []
    speech, image = [], []
    for heard in decoded(data.clips, lambda clip: decode_speech(clip.media.read(), spec)):
        clips.extend(clip for clip, _ in heard)
        speech.append(embedder.speech([wave for _, wave in heard]))
    if not clips:
        raise DatasetError(_nothing("spoken caption", data, failed if data.clips else []))
    for seen in decoded(data.pictures, lambda picture: decode_image(picture.media.read(), spec)):
        pictures.extend(picture for picture, _ in seen)
        image.append(embedder.image([pixels for _, pixels in seen]))
    if not pictures:
        raise DatasetError(_nothing("picture", data, failed if data.pictures else []))
    return Embedded(
        np.concatenate(speech), np.concatenate(image), tuple(clips), tuple(pictures), tuple(failed)
    )


def _nothing(what: str, data: PairSet, failed: Sequence[str]) -> str:
    reason = failed[-1] if failed else "there is none"
    return f"no {what} of {data.name}, split {data.split}, could be decoded: {reason}"


def score(embedded: Embedded) -> Scores:
    """Recall both ways of an embedded split. A query with nothing relevant is left out of its direction."""
    scores_QG, relevant_QG = embedded.speech_ND @ embedded.image_ND.T, embedded.relevant()
    directions = []
    for scores, relevant in ((scores_QG, relevant_QG), (scores_QG.T, relevant_QG.T)):
        answerable = relevant.any(axis=1)
        scores, relevant = (
            np.ascontiguousarray(scores[answerable]),
            np.ascontiguousarray(relevant[answerable]),
        )
        directions.append(
            (
                recall_at_k(scores, relevant, KS),
                median_rank(scores, relevant),
                precision_at_k(scores, relevant, (10,))[10],
            )
        )
    (s2i, s_rank, s_precision), (i2s, i_rank, i_precision) = directions
    return Scores(
        len(embedded.clips), len(embedded.pictures), s2i, i2s, (s_rank, i_rank), (s_precision, i_precision)
    )


def only(embedded: Embedded, keep: Callable[[Clip], bool]) -> Embedded:
    """The same vectors with fewer clips: one voice, say. Pictures stay: they are the gallery."""
    kept = [i for i, clip in enumerate(embedded.clips) if keep(clip)]
    return Embedded(
        embedded.speech_ND[kept],
        embedded.image_ND,
        tuple(embedded.clips[i] for i in kept),
        embedded.pictures,
        embedded.failed,
    )


def by_voice_rows(embedded: Embedded) -> dict[str, Scores]:
    """A row for each voice's clips alone against all pictures; clips without a named voice are under "?"."""
    voices = sorted({clip.voice for clip in embedded.clips})
    return {voice or "?": score(_of_voice(embedded, voice)) for voice in voices}


def _of_voice(embedded: Embedded, voice: str) -> Embedded:
    return only(embedded, lambda clip: clip.voice == voice)
