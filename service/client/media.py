"""What may be sent, and its bytes: a path, bytes, or an open file. And what comes back of an item."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.client.errors import FileUnusable, WrongUse

Media = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A clip or a picture; a `str` is a path."""


@dataclass(frozen=True)
class MediaFile:
    """The bytes of an indexed item, their type as found in them, and a name to save them under."""

    data: bytes
    media_type: str
    name: str


def read_media(media: Media, max_bytes: int | None = None) -> bytes:
    """All its bytes. Raises FileUnusable, also where there are more than `max_bytes`."""
    if isinstance(media, bytes | bytearray | memoryview):
        data = bytes(media)
    elif isinstance(media, str | os.PathLike):
        data = _read_file(Path(media), max_bytes)
    else:
        data = _read_open(media)
    _check_size(name_of(media, 1), len(data), max_bytes)
    return data


def name_of(media: Media, number: int) -> str:
    """What to call it in front of people; `number` counts those that have no name."""
    if isinstance(media, str | os.PathLike):
        return os.fspath(media)
    name = getattr(media, "name", None)
    return name if isinstance(name, str) else f"file {number}"


def _read_file(path: Path, max_bytes: int | None) -> bytes:
    """No more than one byte beyond the limit: a device may go on for ever."""
    try:
        with path.open("rb") as file:
            return file.read(-1 if max_bytes is None else max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        raise _unreadable(str(path), error) from error


def _read_open(file: BinaryIO) -> bytes:
    if not hasattr(file, "read"):
        raise WrongUse(
            f"What is of type {type(file).__name__} cannot be sent: give a path, bytes, or a file opened in "
            "binary mode, 'rb'."
        )
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _unreadable(name_of(file, 1), error) from error
    if not isinstance(data, bytes):
        raise WrongUse(f"{name_of(file, 1)} gives text: open it in binary mode, 'rb'.")
    return data


def _unreadable(name: str, error: OSError | ValueError) -> FileUnusable:
    return FileUnusable(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.")


def _check_size(name: str, size_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size_bytes > max_bytes:
        raise FileUnusable(f"{name} is larger than the {max_bytes:,} bytes that the server takes of a file.")
