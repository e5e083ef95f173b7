"""One run of the model over inputs of several requests, and one search for all of them who seek alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from indexer.encoder import Encoder
from indexer.media import Pixels, Waveform
from indexer.store import CollectionName as Collection
from indexer.store import Generation, Hit
from service.stages import Took


@dataclass(frozen=True)
class Sought:
    """The k nearest items of a collection of one generation."""

    generation: Generation
    target: Collection
    k: int


@dataclass(frozen=True)
class Encoded:
    """A vector float32 [dim], what was found with it, and when each was asked for and worked on."""

    vector_D: NDArray[np.float32]
    took: Took
    hits: list[Hit] = field(default_factory=list)
    searched: Took | None = None


@dataclass(eq=False)
class Waiting:
    """An input on its way through the model: let in, decoded, not answered yet."""

    encoder: Encoder
    media: Waveform | Pixels
    sought: Sought | None
    like: tuple[int, str, int]  # what inputs of one run have in common
    arrived: float
    deadline: float  # in the event loop's time
    answer: asyncio.Future[Encoded]

    def is_too_late(self) -> bool:
        """Whether nobody waits for it any more. From any thread."""
        return self.answer.done() or self.answer.get_loop().time() >= self.deadline


def modality_of(media: Waveform | Pixels) -> str:
    return "speech" if isinstance(media, Waveform) else "image"


def run_together(batch: list[Waiting]) -> list[Encoded | Exception]:
    """A result for each, in order. An input that fails a run of several fails it for itself alone."""
    started = perf_counter()
    try:
        vectors_ND = _encode(batch[0].encoder, [one.media for one in batch])
        ended = perf_counter()
        encoded = [
            Encoded(vector_D, Took(one.arrived, started, ended))
            for one, vector_D in zip(batch, vectors_ND, strict=True)
        ]
    except Exception as error:  # noqa: BLE001 - handed to the one who asked, whose request it ends
        if len(batch) == 1:
            return [error]
        return [result for one in batch for result in run_together([one])]
    results: list[Encoded | Exception] = [*encoded]
    alike: dict[Sought, list[int]] = {}
    for position, one in enumerate(batch):
        if one.sought is not None:
            alike.setdefault(one.sought, []).append(position)
    for sought, positions in alike.items():
        started = perf_counter()
        try:
            found = sought.generation.search(sought.target, vectors_ND[positions], sought.k)
            searched = Took(ended, started, perf_counter())
            for position, hits in zip(positions, found, strict=True):
                results[position] = replace(encoded[position], hits=hits, searched=searched)
        except Exception as error:  # noqa: BLE001 - as above
            for position in positions:
                results[position] = error
    return results


def _encode(encoder: Encoder, media: Sequence[Waveform | Pixels]) -> NDArray[np.float32]:
    waveforms = [one for one in media if isinstance(one, Waveform)]
    pictures = [one for one in media if isinstance(one, Pixels)]
    return encoder.speech(waveforms) if waveforms else encoder.image(pictures)
