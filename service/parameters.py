"""Query and path parameters that several calls share, checked against the limits in force."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from service.item_path import decode_id
from service.settings import Settings


class BadParameter(ValueError):
    """A parameter has a value the call does not take; the message names both and says what it takes."""


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
        raise BadParameter(f"The parameter 'k' is {k}: at most {settings.max_k} neighbours are given.")
    return settings.default_k if k is None else k


def chosen_limit(limit: int | None, settings: Settings) -> int:
    """The length of a page. Raises BadParameter over the limit."""
    if limit is not None and limit > settings.max_page:
        raise BadParameter(f"The parameter 'limit' is {limit}: a page has at most {settings.max_page} items.")
    return min(50, settings.max_page) if limit is None else limit


def item_id(id: ItemId) -> str:
    """The id in the path, decoded."""
    return decode_id(id)
