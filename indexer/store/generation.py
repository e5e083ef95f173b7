"""One generation, opened: the model and the index it made, as one unit that never changes while it is held.

Any number of threads may ask it at once. Letters of shapes: Q queries, D dimensions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer import ann
from indexer.collection import CollectionName
from indexer.location import Json
from indexer.store.cursor import read_cursor, write_cursor
from indexer.store.errors import (
    GenerationDamaged,
    MediaGone,
    NoMap,
    NoThumbnail,
    UnknownCollection,
    UnknownItem,
)
from indexer.store.items import Item, ItemsReader
from indexer.store.layout import ITEMS_FILE, MAP_FILE
from indexer.store.manifest import CollectionManifest
from indexer.store.map import read_map
from indexer.store.soundness import check_generation
from indexer.store.vectors import open_vectors

THUMBNAIL_MIME = "image/webp"


@dataclass(frozen=True)
class Hit:
    """One neighbour: `score` is the inner product with the query, larger is nearer."""

    id: str
    score: float
    row: int
    metadata: dict[str, Json]
    seconds: float | None = None  # length of a clip


class MediaFile(NamedTuple):
    """The bytes of an item: `size_bytes` of the file `path` from `offset` on."""

    path: Path
    offset: int
    size_bytes: int
    mime: str


class Place(NamedTuple):
    """Where an item lies on the map, each coordinate from -1 to 1."""

    id: str
    x: float
    y: float


class Generation:
    """What one generation answers. `degraded` says why it serves in place of a newer one, or is None."""

    def __init__(
        self,
        folder: Path,
        *,
        device: ann.Device = "cpu",
        threads: int | None = None,
        verify: bool = True,
        mapped: bool = False,
    ) -> None:
        """Open the generation in `folder`; GenerationDamaged or FingerprintMismatch when it is not sound,
        VectorsUnreachable when its vectors live in a Milvus that cannot be used now.

        `verify=False` skips the digests, for a caller that has just checked them. `mapped` leaves the vectors
        in their files, so that processes share them.
        """
        self.folder = folder
        self.manifest, self.bundle = check_generation(folder, digests=verify)
        self.id = self.manifest.id
        self.degraded: str | None = None
        self._checked_media: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._indices: dict[str, ann.VectorIndex] = {}
        roots = {name: _root(folder, part) for name, part in self.manifest.collections.items()}
        counts = {name: part.count for name, part in self.manifest.collections.items()}
        # Read now: a generation deleted while it serves keeps answering.
        self._map = None if self.manifest.map is None else read_map(folder / MAP_FILE, counts)
        self._items = ItemsReader(folder / ITEMS_FILE, roots)
        try:
            for name, part in self.manifest.collections.items():
                self._indices[name] = open_vectors(
                    folder, self.manifest, name, device=device, threads=threads, mapped=mapped
                )
                self._check_counts(name, part)
        except ann.NoGpu:
            self.close()
            raise
        except ann.AnnError as error:
            self.close()
            raise GenerationDamaged(f"Generation {self.id} is damaged: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def fingerprint(self) -> str:
        """Of the bundle that made the vectors, 64 hexadecimal digits."""
        return self.manifest.fingerprint

    def search(self, collection: str, vectors_QD: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """The k nearest items of the collection to each query, nearest first; fewer where there are fewer.

        UnknownCollection; AnnError when k < 1, the width is not the bundle's, or a value is not finite.
        """
        name = self._collection(collection)
        scores_QK, rows_QK = self._indices[name].search(vectors_QD, k)
        rows = np.unique(rows_QK).tolist()
        named = self._items.names(name, rows)
        if len(named) < len(rows):  # FAISS says -1 where it finds nothing: for vectors that are none
            raise GenerationDamaged(
                f"Generation {self.id} is damaged: a search of its {name} ends at rows that are no items."
            )
        return [
            [
                Hit(named[row].id, score, row, named[row].metadata, named[row].seconds)
                for score, row in zip(scores, rows, strict=True)
            ]
            for scores, rows in zip(scores_QK.tolist(), rows_QK.tolist(), strict=True)
        ]

    def item(self, collection: str, item_id: str, *, from_file: bool = False) -> Item:
        """The item of that id; UnknownCollection or UnknownItem. `from_file`: as it lies there now, whatever
        was read of it before.
        """
        name = self._collection(collection)
        item = self._items.by_id(name, item_id, from_file=from_file) if _storable(item_id) else None
        if item is None:
            raise UnknownItem(f"There is no item {_short(item_id)} among the {name} of generation {self.id}.")
        return item

    def items(self, collection: str, limit: int, cursor: str | None = None) -> tuple[list[Item], str | None]:
        """A page of at most `limit` items in the order of their ids, and the next cursor or None.

        A cursor names the last id given, so it goes on rightly in another generation too; or BadCursor.
        """
        name = self._collection(collection)
        after = None if cursor is None else read_cursor(cursor)
        # One more than asked tells whether there is a next page.
        page = self._items.page(name, after, max(1, limit) + 1)
        if len(page) <= max(1, limit):
            return page, None
        return page[:-1], write_cursor(page[-2].id)

    def media(self, collection: str, item_id: str) -> MediaFile:
        """Where the bytes of the item are; MediaGone when they are not those indexed.

        They are hashed again only when the file's time is not the one seen at build: a copy, or a change.
        """
        item = self.item(collection, item_id)
        location = item.location
        try:
            status = location.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            fits = location.offset is not None or status.st_size == location.size_bytes
            same = fits and (
                status.st_mtime_ns == item.modified_ns
                or self._checked_media.get((collection, item_id)) == seen
                or hashlib.sha256(location.read()).hexdigest() == item.sha256
            )
        except (OSError, EOFError) as error:
            raise MediaGone(
                f"The media of {_short(item_id)} can no longer be read: put the file back or build again."
            ) from error
        if not same:
            raise MediaGone(
                f"The media of {_short(item_id)} was changed after it was indexed: build the index again."
            )
        if status.st_mtime_ns != item.modified_ns:
            self._checked_media[collection, item_id] = seen
        return MediaFile(location.path, location.offset or 0, location.size_bytes, item.mime)

    def thumbnail(self, collection: str, item_id: str) -> tuple[bytes, str]:
        """The item's small picture (or drawn waveform) and its MIME type; NoThumbnail where there is none."""
        item = self.item(collection, item_id)
        data = self._items.thumbnail(self._collection(collection), item.id)
        if data is None:
            raise NoThumbnail(f"The item {_short(item_id)} has no thumbnail.")
        return data, THUMBNAIL_MIME

    def vector(self, collection: str, item_id: str) -> NDArray[np.float32]:
        """The embedding of the item as the index keeps it, float32 [D]."""
        item = self.item(collection, item_id)
        return self._indices[collection].vector(item.row)

    def map(self) -> dict[CollectionName, list[Place]]:
        """The items on the map of the joint space, by collection, in the order of their rows; or NoMap."""
        if self._map is None:
            raise NoMap(
                f"Generation {self.id} was built without a map: build one with scikit-learn installed "
                "(`pip install 'saysee[map]'`) and without --no-map."
            )
        places: dict[CollectionName, list[Place]] = {}
        for name, points in self._map.items():
            rows = points.rows_N.tolist()
            ids = self._items.ids(name, rows)
            xy = points.xy_N2.tolist()
            places[name] = [Place(ids[row], x, y) for row, (x, y) in zip(rows, xy, strict=True)]
        return places

    def close(self) -> None:
        """Free the indices and close the files; questions asked later raise GenerationClosed or AnnError."""
        for index in self._indices.values():
            index.close()
        self._items.close()

    def _collection(self, collection: str) -> CollectionName:
        for name in self.manifest.collections:
            if name == collection:
                return name
        there = " and ".join(self.manifest.collections)
        raise UnknownCollection(f"Generation {self.id} has no {_short(collection)}: it has {there}.")

    def _check_counts(self, name: CollectionName, part: CollectionManifest) -> None:
        index = self._indices[name]
        counts = {"manifest": part.count, "index": index.count, "items": self._items.count(name)}
        dims = {"manifest": part.dim, "index": index.dim, "bundle": self.bundle.manifest.dim}
        for what, values in (("items", counts), ("dimensions", dims)):
            if len(set(values.values())) != 1:
                told = ", ".join(f"{value} by its {source}" for source, value in values.items())
                raise GenerationDamaged(
                    f"Generation {self.id} is damaged: its {name} have {told} ({what}): build a new one."
                )


def _root(folder: Path, part: CollectionManifest) -> Path:
    """Where the media lie: where they were at build, else at the same place seen from the index."""
    root = Path(part.root)
    return root if root.is_dir() else folder.parent.parent / part.root_from_index


def _storable(item_id: str) -> bool:
    """False for text that is no valid Unicode, which SQLite could not even be asked about."""
    try:
        item_id.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
