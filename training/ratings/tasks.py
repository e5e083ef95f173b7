"""tasks.json: which pairs people judge, which query each was retrieved for, and which belong together.

The format is section 10 of docs/architecture.md. A pair retrieved both ways is judged once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

SCHEMA_VERSION = 1
Way = Literal["speech_to_image", "image_to_speech"]


class RatingsError(Exception):
    """Tasks or ratings that are not there, not well-formed, or do not belong together."""


@dataclass(frozen=True)
class Pair:
    """A picture and a caption; `image` and `speech` are files beside tasks.json."""

    id: str
    image_id: str
    caption_id: str
    text: str
    image: str
    speech: str | None


@dataclass(frozen=True)
class Query:
    """What was asked, and the pairs of the first hits, best first; `right` where the two belong together."""

    way: Way
    id: str
    pairs: tuple[str, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class Tasks:
    """`own`: pairs that belong together, judged for table 3 whether retrieved or not. `view`: see `make`."""

    schema_version: int
    id: str
    run: str
    data: str
    split: str
    seed: int
    view: Literal["whole", "model"]
    question: str
    raters: int
    pairs: tuple[Pair, ...]
    queries: tuple[Query, ...]
    own: tuple[str, ...]


def tasks_text(tasks: Tasks) -> str:
    """The file's content; its id is a digest of all else, so ratings never go to tasks made anew."""
    content = asdict(tasks) | {"id": ""}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps(content | {"id": digest}, indent=1, ensure_ascii=False) + "\n"


def read_tasks(path: Path) -> Tasks:
    """Raises RatingsError in one sentence."""
    try:
        tasks = TypeAdapter(Tasks).validate_json(path.read_bytes())
    except OSError as error:
        raise RatingsError(
            f"{path} cannot be read ({error.strerror}); make tasks with: python -m training rating-tasks"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise RatingsError(f"{path} is no tasks file: {place}: {first['msg']}") from error
    if tasks.schema_version != SCHEMA_VERSION:
        raise RatingsError(f"{path} is of schema {tasks.schema_version}; this version reads {SCHEMA_VERSION}")
    unknown = {one for query in tasks.queries for one in query.pairs} | set(tasks.own)
    unknown -= {pair.id for pair in tasks.pairs}
    if unknown:
        raise RatingsError(f"{path} speaks of the pair {min(unknown)!r}, which it does not hold")
    return tasks
