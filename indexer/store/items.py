"""items.sqlite: stable external ids to rows, media locations, metadata and thumbnails.

Written once, in row order, then only read: opened read-only and immutable, by a small pool of connections, so
that any thread may ask, closing is complete, and a generation deleted while it serves keeps answering.
"""

from __future__ import annotations

import json
import queue
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from indexer.collection import COLLECTIONS, CollectionName
from indexer.location import Json, Location
from indexer.store.errors import GenerationClosed, GenerationDamaged

_COLUMNS = "row, id, sha256, mime, path, offset, size_bytes, modified_ns, seconds, width, height, metadata"


@dataclass(frozen=True)
class Item:
    """One indexed media file. `metadata` is the operator's; the rest was found by reading the media."""

    id: str
    row: int
    sha256: str
    mime: str
    location: Location
    modified_ns: int
    seconds: float | None  # captions: length of the source
    width: int | None  # images: of the source, in pixels
    height: int | None
    metadata: dict[str, Json]

    @property
    def size_bytes(self) -> int:
        return self.location.size_bytes


class ItemsWriter:
    """Writes items.sqlite of a generation being built; no journal: a broken build is thrown away whole."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("BEGIN")
        for collection in COLLECTIONS:
            # The thumbnail comes last: SQLite then reads its pages only when it is asked for.
            self._connection.execute(
                f"CREATE TABLE {collection} (row INTEGER PRIMARY KEY, id TEXT NOT NULL, "
                "sha256 BLOB NOT NULL, mime TEXT NOT NULL, path TEXT NOT NULL, offset INTEGER, "
                "size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL, seconds REAL, "
                "width INTEGER, height INTEGER, metadata TEXT NOT NULL, thumbnail BLOB)"
            )

    def add(self, collection: CollectionName, item: Item, root: Path, thumbnail: bytes | None) -> None:
        """Append one item; its path is kept relative to `root`."""
        self._connection.execute(
            f"INSERT INTO {collection} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.row,
                item.id,
                bytes.fromhex(item.sha256),
                item.mime,
                str(item.location.path.relative_to(root)),
                item.location.offset,
                item.location.size_bytes,
                item.modified_ns,
                item.seconds,
                item.width,
                item.height,
                json.dumps(item.metadata, allow_nan=False, separators=(",", ":")),
                thumbnail,
            ),
        )

    def finish(self) -> None:
        """Build the id indices, after the rows because one sort beats many inserts, and close."""
        for collection in COLLECTIONS:
            self._connection.execute(f"CREATE UNIQUE INDEX {collection}_by_id ON {collection} (id)")
        self._connection.execute("COMMIT")
        self._connection.close()

    def abandon(self) -> None:
        """Close without keeping anything."""
        self._connection.close()


class Named(NamedTuple):
    """Of an item what a hit says; `seconds` of a clip, None of a picture."""

    id: str
    metadata: dict[str, Json]
    seconds: float | None


class ItemsReader:
    """Answers from items.sqlite for any number of threads. Every fault of the file is a GenerationDamaged."""

    def __init__(self, path: Path, roots: Mapping[CollectionName, Path], connections: int = 8) -> None:
        self._path = path
        self._roots = roots
        self._size = connections
        self._closing = False
        self._pool: queue.LifoQueue[sqlite3.Connection | None] = queue.LifoQueue()
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            for _ in range(connections):
                self._pool.put(sqlite3.connect(uri, uri=True, check_same_thread=False))
        except sqlite3.Error as error:
            raise GenerationDamaged(f"{path} cannot be opened ({error}).") from error

    def count(self, collection: CollectionName) -> int:
        with self._lease() as connection:
            (count,) = connection.execute(f"SELECT COUNT(*) FROM {collection}").fetchone()
            return int(count)

    def by_id(self, collection: CollectionName, item_id: str, *, from_file: bool = False) -> Item | None:
        """`from_file`: as it lies there now, whatever was read of it before."""
        with self._lease() as connection:
            if from_file:
                connection.execute("PRAGMA shrink_memory")
            asked = f"SELECT {_COLUMNS} FROM {collection} WHERE id = ?"
            found = connection.execute(asked, (item_id,)).fetchone()
            return None if found is None else self._item(collection, found)

    def names(self, collection: CollectionName, rows: list[int]) -> dict[int, Named]:
        """What a hit says of the item in each row."""
        with self._lease() as connection:
            found = connection.execute(
                f"SELECT row, id, metadata, seconds FROM {collection} "
                "WHERE row IN (SELECT value FROM json_each(?))",
                (json.dumps(rows),),
            )
            return {
                row: Named(item_id, json.loads(metadata), seconds)
                for row, item_id, metadata, seconds in found
            }

    def ids(self, collection: CollectionName, rows: list[int]) -> dict[int, str]:
        """The id of each row."""
        with self._lease() as connection:
            asked = f"SELECT row, id FROM {collection} WHERE row IN (SELECT value FROM json_each(?))"
            return dict(connection.execute(asked, (json.dumps(rows),)).fetchall())

    def page(self, collection: CollectionName, after: str | None, limit: int) -> list[Item]:
        """At most `limit` items in the order of their ids, those after the id `after`."""
        with self._lease() as connection:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM {collection} WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit)
            )
            return [self._item(collection, one) for one in found]

    def thumbnail(self, collection: CollectionName, item_id: str) -> bytes | None:
        with self._lease() as connection:
            asked = f"SELECT thumbnail FROM {collection} WHERE id = ?"
            found = connection.execute(asked, (item_id,)).fetchone()
            return None if found is None else found[0]

    def close(self) -> None:
        """Close every connection, waiting for those still answering."""
        # Said first: a queue is not fair, and those who keep asking could keep the connections for minutes.
        self._closing = True
        for _ in range(self._size):
            connection = self._pool.get()
            if connection is not None:
                connection.close()
        self._size = 0
        self._pool.put(None)  # for those who were waiting for one

    @contextmanager
    def _lease(self) -> Iterator[sqlite3.Connection]:
        if self._closing:
            raise self._closed()
        connection = self._pool.get()
        try:
            if connection is None:
                raise self._closed()
            yield connection
        except sqlite3.Error as error:
            raise GenerationDamaged(f"{self._path} cannot be read ({error}).") from error
        finally:
            self._pool.put(connection)

    def _closed(self) -> GenerationClosed:
        return GenerationClosed(f"{self._path.parent.name} was closed; ask the generation open now.")

    def _item(self, collection: CollectionName, found: Sequence[Any]) -> Item:
        row, item_id, sha256, mime, path, offset, size, modified_ns, seconds, width, height, metadata = found
        return Item(
            id=item_id,
            row=row,
            sha256=sha256.hex(),
            mime=mime,
            location=Location(self._roots[collection] / path, offset, size),
            modified_ns=modified_ns,
            seconds=seconds,
            width=width,
            height=height,
            metadata=json.loads(metadata),
        )
