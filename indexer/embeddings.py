"""Vectors already computed, found again by the SHA-256 of the media bytes: what makes a build resumable.

One SQLite file a modality under embeddings/<fingerprint>/, so vectors of two models never meet. What
`add` returned from survives a killed process; a record whose checksum does not match counts as unknown.
Nothing here is the only copy of anything: a damaged file is begun anew, and deleting the folder only costs
time. Media that could not be decoded are not remembered: failing again is quick, and a better decoder gets
its chance.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer.media.sniff import Modality

_FORMAT = 1
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_COLUMNS = "vector, mime, seconds, width, height, thumbnail, checksum"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Embedding:
    """What one media file gave: its vector float32 [D], and what an item shows of it."""

    vector_D: NDArray[np.float32]
    mime: str
    seconds: float | None  # speech: length of the source
    width: int | None  # image: of the source, in pixels
    height: int | None
    thumbnail: bytes | None


class Embeddings:
    """The embeddings of one modality by one bundle, for all threads of the one process that builds."""

    def __init__(self, folder: Path, modality: Modality, dim: int) -> None:
        """Open or begin the file in `folder`, which is named after the bundle's fingerprint."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{modality}.sqlite"
        self._dim = dim
        self._lock = threading.Lock()
        try:
            self._connection = _open(self._path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
            self._connection = _begin_anew(self._path, error)

    def __enter__(self) -> Embeddings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, sha256: str) -> Embedding | None:
        """The embedding of the media with this digest; None where it is unknown or its record damaged."""
        asked = f"SELECT {_COLUMNS} FROM embeddings WHERE sha256 = ?"
        with self._lock:
            try:
                found = self._connection.execute(asked, (bytes.fromhex(sha256),)).fetchone()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                    raise
                self._connection.close()
                self._connection = _begin_anew(self._path, error)
                return None
        if found is None:
            return None
        vector, mime, seconds, width, height, thumbnail, checksum = found
        if len(vector) != 4 * self._dim or checksum != _checksum(sha256, vector, thumbnail):
            return None
        vector_D = np.frombuffer(vector, dtype="<f4").astype(np.float32, copy=False)
        return Embedding(vector_D, mime, seconds, width, height, thumbnail)

    def add(self, embeddings: Iterable[tuple[str, Embedding]]) -> None:
        """Keep these: all or, when the process dies meanwhile, none. On return they are on disk."""
        records = []
        for sha256, one in embeddings:
            vector = one.vector_D.astype("<f4").tobytes()
            checksum = _checksum(sha256, vector, one.thumbnail)
            told = (one.mime, one.seconds, one.width, one.height, one.thumbnail)
            records.append((bytes.fromhex(sha256), vector, *told, checksum))
        insert = f"INSERT OR REPLACE INTO embeddings (sha256, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        with self._lock, self._connection:
            self._connection.executemany(insert, records)

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT COUNT(*) FROM embeddings").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    # Its rollback journal, and a flush before and after each transaction, are what survives a kill.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _FORMAT):
            raise _damaged(f"its format is {version}, not {_FORMAT}")
        with connection:
            # Rows lie in the order they came, which is the order they are asked for.
            connection.execute(
                "CREATE TABLE IF NOT EXISTS embeddings (sha256 BLOB NOT NULL UNIQUE, "
                "vector BLOB NOT NULL, mime TEXT NOT NULL, seconds REAL, width INTEGER, "
                "height INTEGER, thumbnail BLOB, checksum BLOB NOT NULL)"
            )
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_anew(path: Path, error: sqlite3.DatabaseError) -> sqlite3.Connection:
    _log.warning("%s cannot be used (%s): its vectors are computed again.", path, error)
    for file in (path, path.with_name(f"{path.name}-journal")):
        file.unlink(missing_ok=True)
    return _open(path)


def _damaged(reason: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _checksum(sha256: str, vector: bytes, thumbnail: bytes | None) -> bytes:
    digest = hashlib.blake2b(bytes.fromhex(sha256), digest_size=8)
    digest.update(vector)
    digest.update(thumbnail or b"")
    return digest.digest()
