"""What is to be indexed, seen alike whatever it came from: items, and the ones left out with the reason."""

from __future__ import annotations

import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from indexer.location import Json, Location
from indexer.media import MediaError, sniff
from indexer.media.sniff import Modality

_HEAD_BYTES = 1 << 16
"""Enough to tell every format by its first bytes, a tag before them included."""

_EXAMPLES = 5
_LONGEST_ID = 512


class CorpusError(Exception):
    """The source as a whole cannot be read: it is not there, or of no kind that is known."""


class Unusable(Exception):
    """One item cannot be indexed; `reason` is one of a few phrases that are counted."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason
        self.what = what


@dataclass(frozen=True)
class CorpusItem:
    """One media file to be indexed. `modified_ns` is the file's time when it was found."""

    id: str
    modality: Modality
    location: Location
    modified_ns: int
    metadata: dict[str, Json]

    def read(self) -> bytes:
        """The media bytes; OSError or EOFError when the file is no longer what was found."""
        return self.location.read()


@dataclass
class Skips:
    """How many items were left out, by reason, with the first few of each by name."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, what: str) -> None:
        self.counts[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < _EXAMPLES:
            # A name that is not valid Unicode could not be written down, and one may steer a terminal.
            shown.append("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in what))

    @property
    def total(self) -> int:
        return self.counts.total()


class Corpus(Protocol):
    """A source of items. Iterating streams them in a fixed order and counts in `skips` what it leaves out."""

    modality: Modality
    source: str
    root: Path
    skips: Skips

    def __iter__(self) -> Iterator[CorpusItem]: ...

    def count_hint(self) -> int | None:
        """Items and skips to come, for a progress bar; None when finding out would take too long."""


def find_media(path: Path, modality: Modality, shown: str) -> tuple[Location, int]:
    """Where the file's bytes are, and its time, once its first bytes show the modality; or Unusable.

    The name's extension is never asked.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise Unusable("not a file", shown)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a null character
        raise Unusable("missing file", shown) from error
    except OSError as error:
        raise Unusable("unreadable file", f"{shown} ({error.strerror})") from error
    if not head:
        raise Unusable("empty file", shown)
    wanted = "not an image" if modality == "image" else "not a recording"
    try:
        found = sniff(head)
    except MediaError as error:
        raise Unusable(wanted, shown) from error
    if found.modality != modality:
        raise Unusable(wanted, f"{shown} ({found.mime})")
    return Location(path, None, status.st_size), status.st_mtime_ns


def check_id(item_id: str, shown: str) -> None:
    """Unusable for an id that could not be stored, printed or put into a URL."""
    # Cc are control characters, Cs halves of surrogate pairs, which no encoding can hold.
    if not 0 < len(item_id) <= _LONGEST_ID or any(unicodedata.category(c) in ("Cc", "Cs") for c in item_id):
        raise Unusable("unusable id", shown)
