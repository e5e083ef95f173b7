"""One byte range of a file or of a slice of one (an item in a shard), as RFC 9110 section 14 wants it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
_CHUNK_BYTES = 64 * 1024
_MAX_DIGITS = 18  # more would be no size of any file


class RangeNotSatisfiable(Exception):
    """The range lies outside the file; the answer must say how long the file is."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The range asked for lies outside the file, which has {size:,} bytes.")
        self.headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` up to and with `last`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def wanted_range(header: str | None, size: int) -> ByteRange | None:
    """The range to send, None for the whole file.

    Other units, several ranges and broken syntax are ignored, as the RFC allows; RangeNotSatisfiable is for a
    well formed range that no byte of the file is in.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or not any(match.groups()) or max(map(len, match.groups())) > _MAX_DIGITS:
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        if int(last) == 0 or size == 0:
            raise RangeNotSatisfiable(size)
        return ByteRange(max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


async def stream_slice(path: Path, offset: int, length: int) -> AsyncIterator[bytes]:
    """`length` bytes of the file from `offset` on, read on a worker thread."""
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(offset)
        while length > 0 and (chunk := await file.read(min(_CHUNK_BYTES, length))):
            length -= len(chunk)
            yield chunk
