"""Query and path parameters: those that calls share, and the one place that says what is wrong with any.

A query string that says something the call would not heed is refused: a misspelt `k` would give ten hits
without a word.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from service.item_path import decode_id
from service.settings import Settings

_SHOWN_CHARACTERS = 60


class BadParameter(ValueError):
    """A parameter that the call does not take, or not so; the message names it and says what is taken."""


K = Annotated[
    int | None,
    Query(
        ge=1,
        description="How many neighbours, from 1 to max_k; default_k where it is not said.",
        examples=[10],
    ),
]
Limit = Annotated[
    int | None, Query(ge=1, description="How many items on the page, from 1 to max_page.", examples=[50])
]
Cursor = Annotated[str | None, Query(max_length=4096, description="next_cursor of the page before.")]
ItemId = Annotated[
    str, Path(description="The item's id; a '/' in it may be sent as %2F.", examples=["scene-000123"])
]


def chosen_k(k: int | None, settings: Settings) -> int:
    """The number of neighbours to give. Raises BadParameter over the limit."""
    if k is not None and k > settings.max_k:
        raise BadParameter(_wrong_value("k", str(k), settings))
    return settings.default_k if k is None else k


def chosen_limit(limit: int | None, settings: Settings) -> int:
    """The length of a page. Raises BadParameter over the limit."""
    if limit is not None and limit > settings.max_page:
        raise BadParameter(_wrong_value("limit", str(limit), settings))
    return min(50, settings.max_page) if limit is None else limit


async def item_id(id: ItemId) -> str:  # not `def`, for which a thread would be woken
    """The id in the path, decoded."""
    return decode_id(id)


async def refuse_unheeded(request: Request) -> None:
    """A dependency of every call: raises BadParameter for a name it does not take, or that comes twice."""
    known = _names(request.scope["route"].dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            taken = " and ".join(map(repr, sorted(known))) or "none"
            raise BadParameter(f"There is no parameter {shown(name)} here; this call takes {taken}.")
        if given.count(name) > 1:
            raise BadParameter(
                f"The parameter {name!r} is given {given.count(name)} times; it is taken once."
            )


def validation_sentence(error: RequestValidationError, settings: Settings) -> str:
    """The first fault that FastAPI found with the parameters, in one sentence."""
    first = error.errors()[0]
    place, name = first["loc"]
    if place == "path":  # of all that stands in paths only the collection takes certain words
        return f"There is no collection {shown(first['input'])}; there are images and captions."
    if first["type"] == "missing":
        return f"The parameter {name!r} is missing; it takes {taken_values(settings)[name]}."
    return _wrong_value(name, first["input"], settings)


def taken_values(settings: Settings) -> dict[str, str]:
    """What each query parameter takes, as a sentence about it ends."""
    return {
        "k": f"a whole number from 1 to {settings.max_k}",
        "limit": f"a whole number from 1 to {settings.max_page}",
        "cursor": "the next_cursor of the page before",
        "target": "images or captions",
        "generation": "the id of a generation, as `python -m indexer list` gives it, or newest or current",
        "v": "the id of a generation",
    }


def _wrong_value(name: str, given: str, settings: Settings) -> str:
    said = shown(given) if given else "empty"
    return f"The parameter {name!r} is {said}; it takes {taken_values(settings)[name]}."


def shown(given: str) -> str:
    """What a client sent, quoted, and cut where it is long."""
    return repr(given) if len(given) <= _SHOWN_CHARACTERS else repr(given[:_SHOWN_CHARACTERS]) + "..."


def _names(dependant: Dependant) -> set[str]:
    """The query parameters of a call and of what it depends on."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_names(inner) for inner in dependant.dependencies))
