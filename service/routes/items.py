"""What is indexed: pages of items, one item, its bytes, its thumbnail, its neighbours."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from indexer.store import CollectionName as Collection
from indexer.store import Item
from service.account import current
from service.byte_range import stream_slice, wanted_range
from service.caching import caching, unchanged
from service.hang_up import while_connected
from service.item_path import item_url
from service.parameters import Cursor, K, Limit, chosen_k, chosen_limit, item_id
from service.routes.queries import phrase
from service.schemas import MODALITY, ItemAnswer, ItemsPage, ItemSummary, SearchAnswer
from service.wiring import Wired

router = APIRouter(prefix="/v1/items", tags=["items"])

Id = Annotated[str, Depends(item_id)]
Version = Annotated[
    str | None,
    Query(
        alias="v", description="A generation; while it is the one served, the answer may be cached for good."
    ),
]
_EXTENSIONS = {"audio/mpeg": ".mp3", "audio/mp4": ".m4a", "image/jpeg": ".jpg", "image/tiff": ".tif"}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_BYTES = {"content": {"audio/*": _FILE, "image/*": _FILE}}


@router.get(
    "/{collection}", summary="A page of items", response_description="Items in the order of their ids"
)
def list_items(
    collection: Collection, service: Wired, limit: Limit = None, cursor: Cursor = None
) -> ItemsPage:
    """Hand `next_cursor` back as `cursor` for the next page. It stays good when the index is rebuilt."""
    length = chosen_limit(limit, service.settings)
    with service.keeper.holder.borrow() as snapshot:
        items, next_cursor = snapshot.generation.items(collection, length, cursor)
        return ItemsPage(
            collection=collection,
            generation=snapshot.id,
            total=snapshot.generation.manifest.collections[collection].count,
            items=[_summary(collection, item, snapshot.id) for item in items],
            next_cursor=next_cursor,
        )


# The calls on one item come before the item itself: its path takes any id, also one with slashes.


@router.get(
    "/{collection}/{id:path}/media",
    summary="The bytes of an item",
    response_class=Response,
    responses={
        200: _BYTES,
        206: {"description": "The range asked for", **_BYTES},
        304: {"description": "Not modified"},
    },
)
@router.head("/{collection}/{id:path}/media", include_in_schema=False)
def item_media(
    request: Request, collection: Collection, id: Id, service: Wired, v: Version = None
) -> Response:
    """The file that was indexed, with its type as found in its bytes. One range at a time; ETag is its
    digest.
    """
    with service.keeper.holder.borrow() as snapshot:
        item = snapshot.generation.item(collection, id)
        media = snapshot.generation.media(collection, id)
        headers = caching(item.sha256, immutable=v == snapshot.id, public=service.keys.reading_is_open)
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Disposition"] = _disposition(id, media.mime)
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    # Ranges are for GET alone (RFC 9110, 14.2), and for the very file that the client has a part of.
    whole = request.method == "HEAD" or request.headers.get("if-range") not in (None, headers["ETag"])
    asked = None if whole else request.headers.get("range")
    part = wanted_range(asked, media.size_bytes)
    first, length = (part.first, part.length) if part else (0, media.size_bytes)
    headers["Content-Length"] = str(length)
    if part:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{media.size_bytes}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media.mime)
    body = stream_slice(media.path, media.offset + first, length)
    return StreamingResponse(body, status, headers, media.mime)


@router.get(
    "/{collection}/{id:path}/thumbnail",
    summary="A small picture of an item",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}, 304: {"description": "Not modified"}},
)
def item_thumbnail(
    request: Request, collection: Collection, id: Id, service: Wired, v: Version = None
) -> Response:
    """A WebP made at build: the picture made small, or the waveform of the clip."""
    with service.keeper.holder.borrow() as snapshot:
        item = snapshot.generation.item(collection, id)
        data, mime = snapshot.generation.thumbnail(collection, id)
        headers = caching(
            f"{snapshot.id}-{item.row}", immutable=v == snapshot.id, public=service.keys.reading_is_open
        )
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=mime)


@router.get(
    "/{collection}/{id:path}/neighbours",
    response_model=SearchAnswer,
    summary="Search by item",
    response_description="The nearest, best first",
)
async def item_neighbours(
    request: Request,
    collection: Collection,
    id: Id,
    service: Wired,
    target: Annotated[
        Collection | None, Query(description="Where to look; the other collection if not said.")
    ] = None,
    k: K = None,
) -> Response:
    """The items of `target` nearest to this one; in its own collection an item is never its own neighbour."""
    other: Collection = "captions" if collection == "images" else "images"
    wanted = chosen_k(k, service.settings)
    current().modalities.add(MODALITY[collection])
    async with while_connected(request):
        found = await service.searcher.neighbours(collection, id, target or other, wanted)
    return phrase(found)


@router.get("/{collection}/{id:path}", summary="One item", response_description="What is known of it")
def one_item(collection: Collection, id: Id, service: Wired) -> ItemAnswer:
    """What the operator said of the item, and what was found in its bytes."""
    with service.keeper.holder.borrow() as snapshot:
        item = snapshot.generation.item(collection, id)
        summary = _summary(collection, item, snapshot.id)
        return ItemAnswer(**summary.model_dump(), collection=collection, generation=snapshot.id)


def _summary(collection: Collection, item: Item, generation: str) -> ItemSummary:
    return ItemSummary(
        id=item.id,
        modality=MODALITY[collection],
        media_type=item.mime,
        bytes=item.size_bytes,
        seconds=item.seconds,
        width=item.width,
        height=item.height,
        media_url=item_url(collection, item.id, "media"),
        thumbnail_url=f"{item_url(collection, item.id, 'thumbnail')}?v={generation}",
        metadata=item.metadata,
    )


def _disposition(item_id: str, mime: str) -> str:
    """Shown in place, and saved under the last part of the id."""
    name = item_id.rsplit("/", 1)[-1] + _EXTENSIONS.get(mime, "." + mime.partition("/")[2])
    return f"inline; filename*=UTF-8''{quote(name, safe='')}"
