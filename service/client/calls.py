"""The calls of the service as values: what each sends, and how its answer is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from indexer.collection import CollectionName as Collection
from service.client.errors import NotUnderstood, WrongUse
from service.client.media import MediaFile
from service.client.message import Call, Reply, Request
from service.item_path import ITEMS, item_url
from service.schemas import (
    BatchAnswer,
    EmbeddingsAnswer,
    GenerationsAnswer,
    IndexAnswer,
    ItemAnswer,
    ItemsPage,
    LimitsAnswer,
    MapAnswer,
    SearchAnswer,
    SwapAnswer,
)

SWAP_TIMEOUT_S = 600.0  # the server loads, verifies and warms a generation before it answers

_A = TypeVar("_A")
_NAMED = re.compile(r"filename\*=UTF-8''([^;]+)")


def search(data: bytes, target: Collection, k: int | None) -> Call[SearchAnswer]:
    request = Request("POST", _search(target), _query(k=k), body=data)
    return Call(request, _as(SearchAnswer))


def search_batch(
    files: Sequence[bytes], target: Collection, k: int | None, final: frozenset[str] = frozenset()
) -> Call[BatchAnswer]:
    request = Request("POST", f"{_search(target)}/batch", _query(k=k), files=_some(files))

    def read(reply: Reply) -> BatchAnswer:
        answer = _as(BatchAnswer)(reply)
        if len(answer.results) != len(files):
            raise NotUnderstood(f"{len(files)} files were sent and {len(answer.results)} answers came.")
        return answer

    return Call(request, read, final=final)


def embeddings(files: Sequence[bytes]) -> Call[EmbeddingsAnswer]:
    return Call(Request("POST", "/v1/embeddings", files=_some(files)), _as(EmbeddingsAnswer))


def neighbours(
    collection: Collection, item_id: str, target: Collection | None, k: int | None
) -> Call[SearchAnswer]:
    path = item_url(collection, item_id, "neighbours")
    return Call(Request("GET", path, _query(target=target, k=k)), _as(SearchAnswer))


def items(collection: Collection, limit: int | None, cursor: str | None) -> Call[ItemsPage]:
    return Call(Request("GET", f"{ITEMS}{collection}", _query(limit=limit, cursor=cursor)), _as(ItemsPage))


def item(collection: Collection, item_id: str) -> Call[ItemAnswer]:
    return Call(Request("GET", item_url(collection, item_id)), _as(ItemAnswer))


def media(collection: Collection, item_id: str) -> Call[MediaFile]:
    return Call(Request("GET", item_url(collection, item_id, "media")), _media_file)


def index() -> Call[IndexAnswer]:
    return Call(Request("GET", "/v1/index"), _as(IndexAnswer))


def limits() -> Call[LimitsAnswer]:
    return Call(Request("GET", "/v1/limits"), _as(LimitsAnswer))


def map_() -> Call[MapAnswer]:
    return Call(Request("GET", "/v1/map"), _as(MapAnswer))


def generations() -> Call[GenerationsAnswer]:
    return Call(Request("GET", "/v1/index/generations"), _as(GenerationsAnswer))


def promote(generation: str, timeout_s: float) -> Call[SwapAnswer]:
    request = Request("POST", "/v1/index/promote", _query(generation=generation), timeout_s=timeout_s)
    return Call(request, _as(SwapAnswer), repeatable=False)


def rollback(timeout_s: float) -> Call[SwapAnswer]:
    """Not repeatable: done twice it goes back two steps."""
    request = Request("POST", "/v1/index/rollback", timeout_s=timeout_s)
    return Call(request, _as(SwapAnswer), repeatable=False)


def _search(target: Collection) -> str:
    if target not in get_args(Collection):
        raise WrongUse(
            f"There is no collection {target!r} to search: there are {' and '.join(get_args(Collection))}."
        )
    return f"/v1/search/{target}"


def _query(**given: str | int | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in given.items() if value is not None)


def _some(files: Sequence[bytes]) -> tuple[bytes, ...]:
    if not files:
        raise WrongUse("There is no file to send: give at least one.")
    return tuple(files)


def _as(model: type[_A]) -> Callable[[Reply], _A]:
    def read(reply: Reply) -> _A:
        try:
            adapter = _adapter(model)  # type: ignore[arg-type]  # no Hashable to mypy, see below
            answer: _A = adapter.validate_json(reply.body, extra="ignore")  # a newer server may say more
            return answer
        except ValidationError as error:
            raise NotUnderstood(
                f"The answer is no {model.__name__} of this service ({error.error_count()} faults): is there "
                "another program at that address, or another version of this one?"
            ) from error

    return read


@cache  # to which mypy gives no type[_A], although classes are hashable
def _adapter(model: type) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _media_file(reply: Reply) -> MediaFile:
    named = _NAMED.search(reply.headers.get("content-disposition", ""))
    media_type = reply.headers.get("content-type", "application/octet-stream")
    return MediaFile(reply.body, media_type, unquote(named[1]) if named else "media")
