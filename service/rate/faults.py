"""What every fault of the rating page means over HTTP, in one table: error -> problem.

`service.errors` has the service's own, which needs all of an index and a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from indexer.durable import DiskFull
from service.cross_site import OtherOrigin, WrongHost
from service.keys import KeyMissing, KeyRefused
from service.parameters import BadParameter
from service.problem_json import problem_json
from service.problems import PROBLEMS, Problem, UnknownProblem
from service.rate.desk import NameRefused, RatingRefused

_TAKEN = {"rater": "a name", "pair": "the id of a pair", "verdict": "good or bad"}


class NoSuchPair(Exception):
    """No pair of that id, or no such medium of it."""


RATING_PROBLEMS = PROBLEMS | {
    problem.name: problem
    for problem in (
        Problem(
            404, "no-such-pair", "There is no such pair", "The tasks have no such pair, picture or clip."
        ),
        Problem(
            409,
            "rating-refused",
            "The rating cannot be kept",
            "The pair has its ratings, or this rater's, or there is nothing to take back.",
        ),
        Problem(507, "disk-full", "There is no room", "The rating was not kept, because the disk is full."),
    )
}
RATING_TABLE: dict[type[Exception], str] = {
    BadParameter: "bad-parameter",
    RequestValidationError: "bad-parameter",
    NameRefused: "bad-parameter",
    KeyMissing: "key-missing",
    KeyRefused: "key-refused",
    OtherOrigin: "other-origin",
    WrongHost: "wrong-host",
    NoSuchPair: "no-such-pair",
    UnknownProblem: "unknown-problem",
    RatingRefused: "rating-refused",
    DiskFull: "disk-full",
    Exception: "internal-error",
}
_STATUS = {404: "no-such-address", 405: "wrong-method"}


def install(app: FastAPI) -> None:
    """Make every fault of the app a problem+json answer."""
    for kind in (*RATING_TABLE, HTTPException):
        app.add_exception_handler(kind, _handle)


async def answer_refused(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI app that answers what a middleware refused, for the reason in `scope["saysee.refused"]`."""
    request = Request(scope)
    response = await _handle(request, scope.pop("saysee.refused"))
    await response(scope, receive, send)


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        problem = RATING_PROBLEMS[_STATUS.get(error.status_code, "bad-request")]
        return _told(request, problem, problem.about, error.headers)
    problem = next(
        RATING_PROBLEMS[RATING_TABLE[kind]] for kind in type(error).__mro__ if kind in RATING_TABLE
    )
    if isinstance(error, RequestValidationError):
        parameter = str(error.errors()[0]["loc"][-1])
        detail = f"The parameter {parameter!r} is missing or wrong; it takes {_TAKEN[parameter]}."
    else:  # the message of an unknown fault may say what is nobody's business
        detail = problem.about if problem.status == 500 else str(error)
    return _told(request, problem, detail, getattr(error, "headers", None))


def _told(request: Request, problem: Problem, detail: str, headers: Mapping[str, str] | None) -> Response:
    told = {"type": problem.type, "title": problem.title, "status": problem.status, "detail": detail}
    return problem_json(told | {"instance": quote(request.url.path, safe="/%")}, problem.status, headers)
