"""Hits as files: a folder for each query, a file for each hit, named by rank and id."""

from __future__ import annotations

import re
from pathlib import Path

from indexer.durable import replace_bytes
from service.client import Client, ClientError, MediaFile, Unreachable
from service.schemas import SearchAnswer

_LONGEST_NAME = 80
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


class Saving:
    """Puts media under `folder`; two queries of one name get folders of their own."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._taken: set[str] = set()

    def save(self, query: str, answer: SearchAnswer) -> tuple[list[Path], list[ClientError]]:
        """The files written, best hit first, and why others were not. Raises Unreachable, OSError."""
        folder = self._folder / self._own_name(_plain(Path(query).stem))
        folder.mkdir(parents=True, exist_ok=True)
        digits = len(str(len(answer.hits)))
        saved: list[Path] = []
        faults: list[ClientError] = []
        for hit in answer.hits:
            try:
                media = self._client.media(answer.target, hit.id)
            except Unreachable:
                raise
            except ClientError as fault:
                faults.append(fault)
                continue
            path = folder / f"{hit.rank:0{digits}}-{_plain(hit.id)}{_suffix(media)}"
            replace_bytes(path, media.data)
            saved.append(path)
        return saved, faults

    def _own_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        return name


def _plain(name: str) -> str:
    """A name for a file that any system takes and that leads nowhere else."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:_LONGEST_NAME] or "unnamed"


def _suffix(media: MediaFile) -> str:
    suffix = Path(media.name).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""
