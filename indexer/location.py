"""Where the bytes of one media file lie: a whole file, or a slice of a larger one such as a shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True)
class Location:
    """`size_bytes` bytes of the file `path`: all of it where `offset` is None, else those from there on."""

    path: Path
    offset: int | None
    size_bytes: int

    def read(self) -> bytes:
        """Return the bytes; OSError when the file cannot be opened, EOFError when its size changed."""
        with self.path.open("rb") as file:
            file.seek(self.offset or 0)
            # One byte more than expected tells a whole file that grew.
            data = file.read(self.size_bytes + (self.offset is None))
        if len(data) != self.size_bytes:
            raise EOFError(
                f"{self.path} gives {len(data)} bytes from offset {self.offset or 0}; "
                f"{self.size_bytes} were expected."
            )
        return data
