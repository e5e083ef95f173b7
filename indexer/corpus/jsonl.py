"""A JSONL file: one object a line with `path` (relative to the file's folder), perhaps `id`, and metadata.

The paths are data from elsewhere: none may lead out of the folder by its text. Links are the operator's.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from indexer.corpus.item import CorpusError, CorpusItem, Skips, Unusable, check_id, find_media
from indexer.corpus.selection import Selection
from indexer.location import Json
from indexer.media.sniff import Modality


class JsonlCorpus:
    """Blank lines mean nothing. Without `id` the path without extension is the id.

    With `only` (key -> values), lines whose metadata say otherwise are left out and counted like any other;
    CorpusError when that leaves none.
    """

    def __init__(self, file: Path, modality: Modality, only: Mapping[str, Collection[str]]) -> None:
        self._file = file
        self._selection = Selection(only)
        self.root = file.absolute().parent
        self.source = str(file)
        self.modality: Modality = modality
        self.skips = Skips()
        if only and (why := self._selection.why_none(self._metadata())):
            raise CorpusError(f"No line of {file} {why}.")

    def count_hint(self) -> int | None:
        return sum(1 for _ in self._lines())

    def __iter__(self) -> Iterator[CorpusItem]:
        seen: set[str] = set()
        for where, line in self._lines():
            try:
                item = self._item(line, where)
                if item.id in seen:
                    raise Unusable("duplicate id", f"{where}: {item.id}")
            except Unusable as unusable:
                self.skips.add(unusable.reason, unusable.what)
                continue
            seen.add(item.id)
            yield item

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        with self._file.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"line {number}", line

    def _metadata(self) -> Iterator[dict[str, Json]]:
        """Of every line that can be read."""
        for where, line in self._lines():
            try:
                record = _parse(line, where)
            except Unusable:
                continue
            yield {key: value for key, value in record.items() if key not in ("id", "path")}

    def _item(self, line: bytes, where: str) -> CorpusItem:
        metadata = _parse(line, where)
        path, item_id = metadata.pop("path", None), metadata.pop("id", None)
        if unmet := self._selection.unmet(metadata):
            raise Unusable(f"not {unmet}", where)
        if not isinstance(path, str) or not path:
            raise Unusable("bad line", f"{where}: no path")
        shown = f"{where}: {path[:200]}"
        found = Path(os.path.normpath(self.root / path))
        if not found.is_relative_to(self.root):
            raise Unusable("outside the folder", shown)
        location, modified_ns = find_media(found, self.modality, shown)
        if item_id is None:
            item_id = PurePosixPath(found.relative_to(self.root)).with_suffix("").as_posix()
        elif isinstance(item_id, int) and not isinstance(item_id, bool):
            item_id = str(item_id)
        elif not isinstance(item_id, str):
            raise Unusable("unusable id", shown)
        check_id(item_id, shown)
        return CorpusItem(item_id, self.modality, location, modified_ns, metadata)


def _parse(line: bytes, where: str) -> dict[str, Json]:
    try:
        # NaN and infinity are no JSON: an answer that carried them on could be read by nobody.
        parsed: Any = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Unusable("bad line", f"{where}: {error}") from error
    if not isinstance(parsed, dict):
        raise Unusable("bad line", f"{where}: not an object")
    return parsed


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value
