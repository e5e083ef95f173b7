"""Text files a line each, as corpora come: UTF-8, a byte order mark or blank lines here and there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.datasets.pairs import DatasetError


def lines_of(path: Path, skipped: Counter[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; blank ones passed over, those that are not UTF-8 counted."""
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                skipped["line not UTF-8"] += 1
                continue
            if line.strip():
                yield number, line


def read_json(path: Path) -> Any:
    """A whole JSON file. Raises DatasetError where it is none."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{path} is not a whole JSON file; fetch it again") from error


def read_listed(path: Path, key: str) -> list[dict[str, Any]]:
    """The records listed under `key` of a JSON file. Raises DatasetError where there is no such list."""
    document = read_json(path)
    listed = document.get(key) if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(record, dict) for record in listed):
        raise DatasetError(f'{path} is no list of records under "{key}", which this corpus has there')
    return listed
