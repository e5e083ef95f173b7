"""Files that survive a killed process and a full disk: written aside, flushed, renamed into place.

Promise: whoever opens the final name sees either the old content or the whole new content, never a part.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFull(Exception):
    """The device, the quota or the file size limit has no room for what had to be written."""


def fsync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable: a rename is on the device only after this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make the content of `path`, written by someone who does not flush, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_text(path: Path, text: str) -> None:
    """Give `path` the content `text` in one step that no reader and no crash can see the middle of."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, data: bytes) -> None:
    """The same for `data` as it is."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    fsync_folder(path.parent)


def sha256_file(path: Path) -> str:
    """SHA-256 of the whole file, as 64 hexadecimal digits; reads in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Translate every way the operating system and SQLite say "no room" into one DiskFull sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFull(_full_sentence(folder, os.strerror(error.errno or 0))) from error
    except sqlite3.OperationalError as error:
        # SQLITE_FULL is ENOSPC alone; a quota or a limit on file sizes comes as a write that failed.
        if error.sqlite_errorcode not in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}:
            raise
        raise DiskFull(_full_sentence(folder, str(error))) from error


def _full_sentence(folder: Path, reason: str) -> str:
    return (
        f"Nothing more can be written under {folder} ({reason}): what is served was not touched; "
        "make room there and run the same command again, and it goes on from where it stopped."
    )
