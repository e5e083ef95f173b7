"""What a query was taken for and what was found: the words between `search` and the routes. No HTTP here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.store import CollectionName as Collection
from indexer.store import Hit
from service.stages import Stage


@dataclass(frozen=True)
class Clip:
    """The query was a clip of so many seconds; `truncated` when the model hears only its beginning."""

    seconds: float
    truncated: bool


@dataclass(frozen=True)
class Picture:
    """The query was a picture of that size in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Indexed:
    """The query was an item of the index."""

    collection: Collection
    id: str


Query = Clip | Picture | Indexed


@dataclass(frozen=True)
class Neighbours:
    """The answer to a search: best hit first, all from `generation`."""

    query: Query
    target: Collection
    generation: str
    model: str
    hits: list[Hit]
    timings_ms: dict[Stage, float]


@dataclass(frozen=True)
class Several:
    """The answers to the files of one request, in their order, or why a file cannot be used."""

    results: list[Neighbours | Exception]
    target: Collection
    generation: str
    model: str
    timings_ms: dict[Stage, float]  # in each stage that of the file that took longest


@dataclass(frozen=True)
class Embedded:
    """Vectors float32 [N, dim] in the order of the files, and what each file was."""

    files: list[Clip | Picture]
    vectors_ND: NDArray[np.float32]
    generation: str
    model: str
    timings_ms: dict[Stage, float]


class FileRefused(Exception):
    """One of several files cannot be used; says which, the cause says why."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position
