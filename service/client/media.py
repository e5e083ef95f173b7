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
        data = media.read()
        if not isinstance(data, bytes):
            raise WrongUse(f"{name_of(media, 1)} gives text: open it in binary mode, 'rb'.")
    _check_size(name_of(media, 1), len(data), max_bytes)
    return data


def name_of(media: Media, number: int) -> str:
    """What to call it in front of people; `number` counts those that have no name."""
    if isinstance(media, str | os.PathLike):
        return os.fspath(media)
    name = getattr(media, "name", None)
    return name if isinstance(name, str) else f"file {number}"


def _read_file(path: Path, max_bytes: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            _check_size(str(path), os.fstat(file.fileno()).st_size, max_bytes)  # before it fills the memory
            return file.read()
    except OSError as error:
        raise FileUnusable(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_size(name: str, size_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size_bytes > max_bytes:
        raise FileUnusable(f"{name} has {size_bytes:,} bytes, and the server takes {max_bytes:,} at most.")
