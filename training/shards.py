"""Tar shards as WebDataset has them, read in place and written so that equal samples give equal bytes.

The files of one sample stand next to each other and are named KEY.EXTENSION; the key ends at the first dot of
the base name. What is no such file is passed over. No torch here.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "tif", "tiff")
RECORDINGS = ("flac", "wav", "mp3", "ogg", "opus", "m4a", "webm")
END = bytes(2 * tarfile.BLOCKSIZE)
"""Two blocks of zeros: what a tar file ends with."""

_NAME = re.compile(r"((?:.*/|)[^./][^.]*)[.]([^/]*)")


class ShardDamaged(ValueError):
    """A shard that is no tar file, is cut short, or names one file twice."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some bytes of a larger file; small and picklable."""

    path: Path
    offset: int
    size_bytes: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size_bytes)


@dataclass(frozen=True)
class Sample:
    """What stands under one key: extension, in lower case, -> where its bytes are."""

    key: str
    files: dict[str, Slice] = field(default_factory=dict)

    def first(self, extensions: tuple[str, ...]) -> tuple[str, Slice] | None:
        """The first of `extensions` there is, with its bytes' place."""
        return next(((end, self.files[end]) for end in extensions if end in self.files), None)


def find_shards(folder: Path) -> list[Path]:
    """The tar files of a folder, by name."""
    return sorted(path for path in folder.glob("*.tar") if path.name[0] != ".")


def read_samples(shard: Path) -> Iterator[Sample]:
    """The samples of one shard, in its order; only headers are read. Raises ShardDamaged."""
    sample = Sample("")
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                match = _NAME.fullmatch(member.name)
                if match is None or not member.isfile():
                    continue
                key, extension = match[1], match[2].lower()
                if key != sample.key:
                    if sample.files:
                        yield sample
                    sample = Sample(key)
                if extension in sample.files:
                    raise ShardDamaged(f"{shard} holds {member.name} twice in one sample")
                sample.files[extension] = Slice(shard, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise ShardDamaged(f"{shard} is not a whole tar file ({error}); make or fetch it again") from error
    if sample.files:
        yield sample


def tar_member(name: str, data: bytes) -> bytes:
    """One file as it stands in a tar: header, data, padding. Without owner and time: always the same."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    header.mode = 0o644
    return header.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def shard_key(name: str) -> str:
    """`name` as a key: its dots would end it early."""
    return name.replace(".", "%2E")
