"""The rating page over HTTP: the next pair, a rating, a rating taken back, the pair's picture and clip."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from indexer.media import MediaError, sniff
from service.cross_site import RefuseCrossSite
from service.keys import Keys
from service.parameters import refuse_unheeded, shown
from service.problems import UnknownProblem
from service.rate import faults
from service.rate.desk import Desk, Turn
from service.rate.faults import RATING_PROBLEMS, NoSuchPair
from service.rate.ledger import Verdict
from service.security import SecurityHeaders

PAGE = Path(__file__).parent / "page"
SHARED = Path(__file__).parents[1] / "page"  # colours and type are those of the search page

Rater = Annotated[str, Query(description="The rater's name.")]
_HEAD_BYTES = 1 << 20  # tags may stand before what tells the type


def create_app(desk: Desk, folder: Path, keys: Keys, names: Collection[str] | None) -> FastAPI:
    """The app over an open desk; media are read below `folder`, where the tasks file lies.

    `keys` say who may rate, `names` under which host names, as `service.cross_site` takes them.
    """

    async def known(request: Request) -> None:
        keys.reader(request.headers.get("authorization", ""), request.headers.get("cookie", ""))

    app = FastAPI(title="SaySee ratings", docs_url=None, redoc_url=None, openapi_url=None)
    faults.install(app)
    app.add_middleware(RefuseCrossSite, names=names, refuse=faults.answer_refused)
    app.add_middleware(SecurityHeaders)
    calls = APIRouter(prefix="/v1", dependencies=[Depends(known), Depends(refuse_unheeded)])

    @calls.post("/turn")  # what is handed out is held for its rater, so this is no mere look
    def turn(rater: Rater) -> JSONResponse:
        return _told(desk, desk.turn(rater))

    @calls.post("/ratings")
    def rate(rater: Rater, pair: str, verdict: Verdict) -> JSONResponse:
        return _told(desk, desk.rate(rater, pair, verdict))

    @calls.post("/ratings/withdraw")
    def take_back(rater: Rater) -> JSONResponse:
        return _told(desk, desk.take_back(rater))

    @calls.get("/pairs/{pair}/{medium}")
    def media(pair: str, medium: str) -> FileResponse:
        found = desk.pair(pair)
        name = {"image": found.image, "speech": found.speech}.get(medium) if found else None
        if name is None:
            raise NoSuchPair(f"There is no {shown(medium)} of a pair {shown(pair)}.")
        # The file's own name may tell what belongs together; neither address nor header repeats it.
        return FileResponse(
            folder / name,
            media_type=_type_of(folder / name, medium),
            headers={"Cache-Control": "private, max-age=3600"},
        )

    @app.get("/problems/{name}")
    async def problem(name: str) -> JSONResponse:
        if name not in RATING_PROBLEMS:
            raise UnknownProblem(name)
        known = RATING_PROBLEMS[name]
        return JSONResponse(
            {"type": known.type, "title": known.title, "status": known.status, "about": known.about}
        )

    async def front(request: Request) -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.include_router(calls)
    app.add_route("/", front)
    app.mount("/rate", StaticFiles(directory=PAGE))
    app.mount("/page", StaticFiles(directory=SHARED))
    return app


def _told(desk: Desk, turn: Turn) -> JSONResponse:
    shown: dict[str, Any] | None = None
    if turn.pair is not None:
        base = f"/v1/pairs/{quote(turn.pair.id, safe='')}"
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


def _type_of(path: Path, medium: str) -> str:
    """By the file's bytes: by its name a browser would take what may be a page or a script."""
    try:
        with path.open("rb") as file:
            found = sniff(file.read(_HEAD_BYTES))
    except OSError as error:
        raise NoSuchPair(f"The {medium} of this pair cannot be read any more.") from error
    except MediaError as error:
        raise NoSuchPair(f"The {medium} of this pair is no such thing: {error}") from error
    if found.modality != medium:
        raise NoSuchPair(f"The {medium} of this pair is no such thing but {found.name}.")
    return found.mime
