"""How every single query of an embedded split fared, both ways: what intervals and comparisons are made from.

A query with nothing relevant in the gallery is left out of its direction. Ties stand against the system.
Shape legend: Q queries, G gallery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.recall import fractional_recall_at_k, ranks
from training.evaluate import KS, Embedded


@dataclass(frozen=True)
class Outcomes:
    """One direction. `units` says what each query is drawn together with when queries are resampled."""

    queries: tuple[str, ...]
    ranks_Q: NDArray[np.int64]
    units: tuple[str, ...]
    fractional: dict[int, float]

    def recall(self, k: int) -> float:
        """Any-of recall: the share of queries with something that belongs among the first k."""
        return float(np.mean(self.ranks_Q <= k))


@dataclass(frozen=True)
class BothWays:
    """The outcomes of one split, and the unit they are resampled by, in words."""

    speech_to_image: Outcomes
    image_to_speech: Outcomes
    unit: str
    clips: int
    pictures: int


PICTURES = "pictures, each with its spoken captions"
QUERIES = "single queries"


def outcomes(embedded: Embedded) -> BothWays:
    """Rank every query. The unit is the picture with all its captions, which are hard or easy together.

    Where several pictures share an identity (spoken digits) each query is a unit of its own.
    """
    pictures_of = Counter(picture.identity for picture in embedded.pictures)
    by_picture = max(pictures_of.values()) == 1
    scores_QG, relevant_QG = embedded.speech_ND @ embedded.image_ND.T, embedded.relevant()

    def direction(
        scores: NDArray[np.float32],
        relevant: NDArray[np.bool_],
        ids: Sequence[str],
        identities: Sequence[str],
    ) -> Outcomes:
        kept = np.flatnonzero(relevant.any(axis=1)).tolist()
        scores, relevant = np.ascontiguousarray(scores[kept]), np.ascontiguousarray(relevant[kept])
        queries = tuple(ids[i] for i in kept)
        units = tuple(identities[i] for i in kept) if by_picture else queries
        return Outcomes(queries, ranks(scores, relevant), units, fractional_recall_at_k(scores, relevant, KS))

    clips, pictures = embedded.clips, embedded.pictures
    return BothWays(
        direction(scores_QG, relevant_QG, [c.id for c in clips], [c.identity for c in clips]),
        direction(scores_QG.T, relevant_QG.T, [p.id for p in pictures], [p.identity for p in pictures]),
        PICTURES if by_picture else QUERIES,
        len(clips),
        len(pictures),
    )
