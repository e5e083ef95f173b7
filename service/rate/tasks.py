"""tasks.json as far as raters are concerned: pairs of a picture and a caption, and how many people each.

What a pair was retrieved for, and whether it belongs together, is in the file as well and never read here, so
no rater can be told.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION = 1


class TasksUnreadable(Exception):
    """The tasks file is not there or not one."""


class Pair(BaseModel):
    """`image` and `speech` are paths relative to the tasks file."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1)
    text: str
    image: str
    speech: str | None = None


class Tasks(BaseModel):
    """Pairs in the order in which they are handed out."""

    model_config = ConfigDict(frozen=True)

    schema_version: int
    id: str = Field(min_length=1)
    question: str
    raters: int = Field(ge=1)
    pairs: tuple[Pair, ...] = Field(min_length=1)


def read_tasks(path: Path) -> Tasks:
    """Raises TasksUnreadable in one sentence; media that lie outside the file's folder are refused."""
    try:
        tasks = Tasks.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TasksUnreadable(
            f"{path} cannot be read ({error.strerror}); make tasks with: python -m training rating-tasks"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise TasksUnreadable(f"{path} is no tasks file: {place}: {first['msg']}") from error
    if tasks.schema_version != SCHEMA_VERSION:
        raise TasksUnreadable(
            f"{path} is of schema {tasks.schema_version}; this version reads {SCHEMA_VERSION}"
        )
    folder = path.resolve().parent
    seen: set[str] = set()
    for pair in tasks.pairs:
        if pair.id in seen:
            raise TasksUnreadable(f"{path} holds the pair {pair.id!r} twice; ids are unique")
        seen.add(pair.id)
        for name in filter(None, (pair.image, pair.speech)):
            media = (folder / name).resolve()
            if not media.is_relative_to(folder) or not media.is_file():
                raise TasksUnreadable(f"{path}, pair {pair.id!r}: {name!r} is no file beside it")
    return tasks
