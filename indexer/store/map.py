"""map.npz: where the items of a generation lie on its map of the joint space. Written once, with the rest.

For each collection two arrays: <name>_rows int32 [N], ascending, and <name>_xy float32 [N, 2] from -1 to 1.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.collection import CollectionName
from indexer.store.errors import GenerationDamaged


@dataclass(frozen=True, eq=False)
class MapPoints:
    """The items of one collection that are on the map: rows int64 [N] and their places float32 [N, 2]."""

    rows_N: NDArray[np.int64]
    xy_N2: NDArray[np.float32]


def write_map(path: Path, points: Mapping[CollectionName, MapPoints]) -> None:
    """Write the points; the same points give the same bytes."""
    arrays: dict[str, Any] = {}
    for name, one in points.items():
        arrays[f"{name}_rows"] = one.rows_N.astype("<i4")
        arrays[f"{name}_xy"] = one.xy_N2.astype("<f4")
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_map(path: Path, counts: Mapping[CollectionName, int]) -> dict[CollectionName, MapPoints]:
    """The points of each collection that `counts` names, all sound; GenerationDamaged says what is not."""
    points: dict[CollectionName, MapPoints] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in counts:
                rows_N = arrays[f"{name}_rows"].astype(np.int64)
                points[name] = MapPoints(rows_N, arrays[f"{name}_xy"].astype(np.float32))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise GenerationDamaged(
            f"{path} cannot be read as a map ({error}): build a new generation."
        ) from error
    for name, one in points.items():
        in_order = one.rows_N.ndim == 1 and bool(np.all(np.diff(one.rows_N) > 0))
        inside = in_order and (not len(one.rows_N) or 0 <= one.rows_N[0] <= one.rows_N[-1] < counts[name])
        if not inside or one.xy_N2.shape != (len(one.rows_N), 2) or not np.all(np.abs(one.xy_N2) <= 1.001):
            raise GenerationDamaged(f"{path} places {name} that are not there: build a new generation.")
    return points
