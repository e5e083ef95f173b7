"""Queries with their nearest neighbours, right ones marked (figure 4 of Ilharco et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.datasets.pairs import Clip, Picture
from training.evaluate import Embedded


@dataclass(frozen=True)
class Neighbours:
    """A query (Clip or Picture) and what came first, best first; `right` where the two belong together."""

    query: Clip | Picture
    hits: tuple[Clip | Picture, ...]
    right: tuple[bool, ...]


def best_first(scores_G: NDArray[np.float32], k: int) -> list[int]:
    """Places of the k highest scores, best first; equal scores in the gallery's order."""
    return [int(place) for place in np.argsort(-scores_G, kind="stable")[:k]]


def sample(count: int, wanted: int, seed: int) -> list[int]:
    """`wanted` places out of `count`, drawn from the seed, in order; all of them where there are not more."""
    drawn = np.random.default_rng(seed).permutation(count)[:wanted]
    return sorted(int(place) for place in drawn)


def nearest(
    embedded: Embedded, queries: int, k: int, seed: int
) -> tuple[tuple[Neighbours, ...], tuple[Neighbours, ...]]:
    """For `queries` drawn clips the k nearest pictures; for as many pictures the k nearest clips."""

    def answered(
        asked: Sequence[Clip | Picture],
        gallery: Sequence[Clip | Picture],
        asked_ND: NDArray[np.float32],
        gallery_ND: NDArray[np.float32],
    ) -> tuple[Neighbours, ...]:
        found = []
        for place in sample(len(asked), queries, seed):
            hits = tuple(gallery[i] for i in best_first(gallery_ND @ asked_ND[place], k))
            right = tuple(hit.identity == asked[place].identity for hit in hits)
            found.append(Neighbours(asked[place], hits, right))
        return tuple(found)

    return (
        answered(embedded.clips, embedded.pictures, embedded.speech_ND, embedded.image_ND),
        answered(embedded.pictures, embedded.clips, embedded.image_ND, embedded.speech_ND),
    )
