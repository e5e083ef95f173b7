"""The map of the joint space: where items lie in a plane, as the build placed them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.caching import caching, unchanged
from service.schemas import MapAnswer, MapPlaces
from service.wiring import Wired

router = APIRouter(prefix="/v1", tags=["index"])

_DIGITS = 4  # a ten-thousandth of the square: a pixel of a map far larger than any screen


@router.get(
    "/map",
    summary="The items on a map",
    response_model=MapAnswer,
    responses={304: {"description": "Not modified"}},
)
def item_map(request: Request, response: Response, service: Wired) -> MapAnswer | Response:
    """Items that mean alike lie near each other, pictures among spoken captions; at most 4,000, a sample of
    more. Made when the index is built; 404 where it was built without one.
    """
    with service.keeper.holder.borrow() as snapshot:
        headers = caching(f"{snapshot.id}-map", immutable=False, public=service.keys.reading_is_open)
        made = snapshot.generation.manifest.map
        if made is not None and unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        places = {
            name: MapPlaces(
                ids=[place.id for place in placed],
                x=[round(place.x, _DIGITS) for place in placed],
                y=[round(place.y, _DIGITS) for place in placed],
            )
            for name, placed in snapshot.generation.map().items()
        }
        response.headers.update(headers)
        return MapAnswer(
            generation=snapshot.id,
            model=snapshot.model,
            method=made.method if made else "",
            total={name: part.count for name, part in snapshot.generation.manifest.collections.items()},
            places=places,
        )
