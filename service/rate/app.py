"""The rating page over HTTP: the next pair, a rating, a rating taken back, the pair's picture and clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from indexer.durable import DiskFull
from service.rate.desk import Desk, NameRefused, RatingRefused, Turn
from service.rate.ledger import Verdict
from service.security import SecurityHeaders

PAGE = Path(__file__).parent / "page"
SHARED = Path(__file__).parents[1] / "page"  # colours and type are those of the search page

Rater = Annotated[str, Query(description="The rater's name.")]


class NoSuchPair(Exception):
    """No pair of that id, or no clip for it."""


_STATUS: dict[type[Exception], int] = {
    NoSuchPair: 404,
    RatingRefused: 409,
    NameRefused: 400,
    RequestValidationError: 400,
    DiskFull: 507,
}


def create_app(desk: Desk, folder: Path) -> FastAPI:
    """The app over an open desk; media are read below `folder`, where the tasks file lies."""
    app = FastAPI(title="SaySee ratings", docs_url=None, redoc_url=None, openapi_url=None)
    for kind in _STATUS:
        app.add_exception_handler(kind, _problem)
    app.add_middleware(SecurityHeaders)

    @app.get("/v1/turn")
    def turn(rater: Rater) -> JSONResponse:
        return _told(desk, desk.turn(rater))

    @app.post("/v1/ratings")
    def rate(rater: Rater, pair: str, verdict: Verdict) -> JSONResponse:
        return _told(desk, desk.rate(rater, pair, verdict))

    @app.post("/v1/ratings/withdraw")
    def take_back(rater: Rater) -> JSONResponse:
        return _told(desk, desk.take_back(rater))

    @app.get("/v1/pairs/{pair}/{medium}")
    def media(pair: str, medium: str) -> FileResponse:
        found = desk.pair(pair)
        name = getattr(found, medium, None) if medium in ("image", "speech") else None
        if not isinstance(name, str):
            raise NoSuchPair(f"there is no {medium} of a pair {pair!r}")
        # The file's own name may tell what belongs together; neither address nor header repeats it.
        return FileResponse(folder / name, headers={"Cache-Control": "max-age=3600"})

    @app.get("/")
    def front() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/rate", StaticFiles(directory=PAGE))
    app.mount("/page", StaticFiles(directory=SHARED))
    return app


def _told(desk: Desk, turn: Turn) -> JSONResponse:
    shown: dict[str, Any] | None = None
    if turn.pair is not None:
        base = f"/v1/pairs/{turn.pair.id}"
        shown = {"id": turn.pair.id, "text": turn.pair.text, "image_url": f"{base}/image"}
        shown["speech_url"] = f"{base}/speech" if turn.pair.speech else None
    body = {
        "question": desk.tasks.question,
        "pair": shown,
        "rated": turn.rated,
        "of": turn.of,
        "ratings": turn.ratings,
        "ratings_wanted": turn.ratings_wanted,
        "can_take_back": turn.can_take_back,
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _problem(request: Request, error: Exception) -> Response:
    status = _STATUS[type(error)]
    detail = (
        "A parameter is missing or not valid." if isinstance(error, RequestValidationError) else str(error)
    )
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")
