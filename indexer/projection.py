"""Vectors of the joint space to points of a plane, for people to look at: t-SNE by scikit-learn, one seed.

Speech and pictures lie in two cones of the space, each around a mean of its own (the modality gap), and apart
from each other they would be drawn. So each group is centred by its own mean first. Only the extra `map`
brings scikit-learn. Letters of shapes: N vectors of a group, C components, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 4_000
"""Beyond it a sample is projected: about ten seconds of one core, and what a browser draws smoothly."""

METHOD = "t-sne"
SEED = 0

_PERPLEXITY = 30.0
_ITERATIONS = 500
_COMPONENTS = 50  # t-SNE looks for neighbours here: as good as in all dimensions, and faster
_FEWEST = 5  # fewer points have no neighbourhoods to keep


def can_project() -> bool:
    """Whether what the projection needs is installed; a look, not an import."""
    return all(find_spec(name) is not None for name in ("sklearn", "threadpoolctl"))


def sampled_rows(counts: Sequence[int], most: int) -> list[NDArray[np.int64]]:
    """Which rows of each group are projected, ascending: all, or a seeded sample of at most `most` in all.

    No group is crowded out by a larger one: each has an even share, and what one leaves goes to the next.
    """
    random = np.random.default_rng(SEED)
    taken = [0] * len(counts)
    left = most
    smallest_first = sorted(range(len(counts)), key=lambda group: counts[group])
    for waiting, group in zip(range(len(counts), 0, -1), smallest_first, strict=True):
        taken[group] = min(counts[group], left // waiting)
        left -= taken[group]
    return [
        np.sort(random.choice(count, size, replace=False)).astype(np.int64)
        for count, size in zip(counts, taken, strict=True)
    ]


def project(groups_ND: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """A point float32 [N, 2] for each vector of each group, all in one square from -1 to 1.

    The same vectors give the same points. Vectors that are all alike, or too few, lie along a line or at 0.
    """
    centred_ND = np.concatenate([_centred(group_ND) for group_ND in groups_ND])
    main_NC = _main_components(centred_ND, _COMPONENTS)
    spread = float(main_NC[:, 0].std())
    if len(main_NC) >= _FEWEST and spread > 0:
        main_NC = _embedded(main_NC, spread)
    points_N2 = main_NC[:, :2] - main_NC[:, :2].mean(axis=0)
    scale = float(np.abs(points_N2).max(initial=0.0))
    points_N2 = (points_N2 / (scale or 1.0)).astype(np.float32)
    ends = np.cumsum([len(group_ND) for group_ND in groups_ND])
    return np.split(points_N2, ends[:-1])


def _embedded(main_NC: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(
        n_components=2,
        perplexity=min(_PERPLEXITY, (len(main_NC) - 1) / 3),
        init=(1e-4 / spread * main_NC[:, :2]).astype(np.float32),
        max_iter=_ITERATIONS,
        random_state=SEED,
    )
    # One thread adds up in one order, and is no slower where other work has the cores.
    with threadpool_limits(1):
        points_N2: NDArray[np.float64] = tsne.fit_transform(main_NC.astype(np.float32)).astype(np.float64)
    return points_N2


def _centred(vectors_ND: NDArray[np.float32]) -> NDArray[np.float64]:
    """Around their own mean, each of length 1 again (or 0)."""
    around_ND = vectors_ND.astype(np.float64)
    if len(around_ND) > 1:
        around_ND -= around_ND.mean(axis=0)
    length_N1 = np.linalg.norm(around_ND, axis=1, keepdims=True)
    lengths_known = np.where(length_N1 > 1e-9, length_N1, np.inf)
    return np.asarray(around_ND / lengths_known)


def _main_components(vectors_ND: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The vectors along the directions in which they differ most, the first first, at least two of them."""
    around_ND = vectors_ND - vectors_ND.mean(axis=0)
    _, directions_DD = np.linalg.eigh(around_ND.T @ around_ND)
    main_DC = directions_DD[:, ::-1][:, :most]
    # A direction and its opposite are one: with its largest entry positive the map is never mirrored.
    largest_C = np.take_along_axis(main_DC, np.abs(main_DC).argmax(axis=0)[None], axis=0)
    main_NC = around_ND @ (main_DC * np.where(largest_C < 0, -1.0, 1.0))
    missing = max(0, 2 - main_NC.shape[1])
    return np.pad(main_NC, ((0, 0), (0, missing)))
