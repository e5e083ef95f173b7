"""What every fault means over HTTP, in ONE table: error -> problem -> status, told as RFC 9457 problem+json,
and as a page to whoever opens the address in a browser.

An error is looked up by its class, then by its parents, so a subclass may say less than its parent only on
purpose. Whatever stands in no table is a fault of ours: 500, logged with its traceback, told without it.
"""

from __future__ import annotations

import logging
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from indexer.ann import AnnError
from indexer.bundle import BundleError
from indexer.encoder import EncoderError
from indexer.media import MediaError, NoRoom
from indexer.milvus import MilvusUnavailable
from indexer.store import (
    BadCursor,
    BuildConflict,
    GenerationClosed,
    GenerationDamaged,
    IndexNotFound,
    MediaGone,
    NoMap,
    NothingToRollBack,
    NoThumbnail,
    StoreError,
    UnknownCollection,
    UnknownGeneration,
    UnknownItem,
)
from service.account import current
from service.admission import Expired, Overloaded
from service.body_limit import BodyTooLarge
from service.byte_range import RangeNotSatisfiable
from service.canary import CanaryFailed
from service.cross_site import OtherOrigin, WrongHost
from service.found import FileRefused
from service.keys import KeyMissing, KeyRefused, OperatorCallsOff
from service.logs import event
from service.parameters import BadParameter, validation_sentence
from service.problem_json import problem_json
from service.problem_page import is_opened, problem_page
from service.problems import PROBLEMS, Problem, UnknownProblem
from service.rate_limit import TooFast
from service.schemas import ProblemAnswer
from service.snapshot import NotReady
from service.swap import GenerationRefused, IndexUnwritable
from service.untold import without_paths
from service.upload import UploadMalformed

log = logging.getLogger(__name__)

RETRY_SECONDS = 2


TABLE: dict[type[Exception], str] = {
    BadParameter: "bad-parameter",
    RequestValidationError: "bad-parameter",
    BadCursor: "bad-parameter",
    UploadMalformed: "bad-upload",
    ClientDisconnect: "client-gone",
    KeyMissing: "key-missing",
    KeyRefused: "key-refused",
    OperatorCallsOff: "operator-calls-off",
    OtherOrigin: "other-origin",
    WrongHost: "wrong-host",
    UnknownItem: "unknown-item",
    UnknownCollection: "unknown-collection",
    UnknownProblem: "unknown-problem",
    UnknownGeneration: "unknown-generation",
    NoThumbnail: "no-thumbnail",
    NoMap: "no-map",
    GenerationRefused: "generation-refused",
    NothingToRollBack: "nothing-to-roll-back",
    BuildConflict: "build-conflict",
    IndexUnwritable: "index-unwritable",
    MediaGone: "media-gone",
    BodyTooLarge: "body-too-large",
    RangeNotSatisfiable: "range-not-satisfiable",
    TooFast: "too-fast",
    Overloaded: "overloaded",
    NoRoom: "overloaded",
    Expired: "out-of-time",
    NotReady: "not-ready",
    CanaryFailed: "not-ready",
    IndexNotFound: "not-ready",
    GenerationClosed: "index-failed",
    GenerationDamaged: "index-failed",
    StoreError: "index-failed",
    AnnError: "index-failed",
    BundleError: "index-failed",
    EncoderError: "encoder-failed",
}

MEDIA_TABLE: dict[str, str] = {
    "unsupported": "unsupported-media",
    "undecodable": "undecodable-media",
    "empty": "empty-media",
    "silent": "silent-media",
    "too_short": "too-short-media",
    "too_large": "media-too-large",
    "too_long": "media-too-long",
}

STATUS_TABLE: dict[int, str] = {404: "no-such-address", 405: "wrong-method"}


def problem_of(error: Exception) -> Problem:
    """The problem that an error is, `internal-error` for what no table knows."""
    if isinstance(error, FileRefused) and isinstance(error.__cause__, Exception):
        return problem_of(error.__cause__)
    if isinstance(error, MediaError):
        return PROBLEMS[MEDIA_TABLE[error.kind]]
    if isinstance(error, HTTPException):
        return PROBLEMS[
            STATUS_TABLE.get(
                error.status_code, "bad-request" if error.status_code < 500 else "internal-error"
            )
        ]
    if isinstance(error, RequestValidationError) and error.errors()[0]["loc"][0] == "path":
        return PROBLEMS["unknown-collection"]  # the only part of a path that takes certain words
    for kind in type(error).__mro__:
        if kind in TABLE:
            return PROBLEMS[TABLE[kind]]
    return PROBLEMS["internal-error"]


def problem_answer(request: Request, error: Exception) -> ProblemAnswer:
    """What `error` is, told to whoever sent the request; as the answer to it, or to one file of several."""
    problem = problem_of(error)
    told = ProblemAnswer(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=_detail(request, error, problem),
        instance=quote(request.scope["path"], safe="/%"),
        request_id=current().id,
    )
    if problem.status == 503 and problem.name != "not-ready" and not _is_told_elsewhere(error):
        log.error("%s: %s", problem.title, told.detail, extra=event("fault", problem=problem.name))
    return told


def problem_response(request: Request, error: Exception) -> Response:
    """The answer to a request that ended in `error`."""
    answer = problem_answer(request, error)
    current().problem = problem_of(error).name
    headers = dict(getattr(error, "headers", None) or {})
    if answer.status == 503 and not _says_when(error):
        headers["Retry-After"] = str(RETRY_SECONDS)
    if is_opened(request) and not isinstance(error, WrongHost):  # where the looks of a page are refused, too
        fine = f"Status {answer.status}, request {answer.request_id}"
        return problem_page(answer.title, answer.detail, fine, answer.status, headers)
    return problem_json(answer.model_dump(), answer.status, headers)


async def answer_refused(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI app that answers what a middleware refused, for the reason in `scope["saysee.refused"]`."""
    # Left there it would hold the request in a circle, by its traceback, until garbage is searched for.
    response = problem_response(Request(scope), scope.pop("saysee.refused"))
    await response(scope, receive, send)


def install(app: FastAPI) -> None:
    """Make every fault of the app a problem+json answer."""
    for kind in (*TABLE, MediaError, FileRefused, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)


def _is_told_elsewhere(error: Exception) -> bool:
    """A mere refusal is no fault; a Milvus that is away is logged by the index, once when it goes."""
    return _says_when(error) or isinstance(error, MilvusUnavailable)


def _says_when(error: Exception) -> bool:
    """Whether it carries its own Retry-After."""
    return "Retry-After" in (getattr(error, "headers", None) or {})


async def _handle(request: Request, error: Exception) -> Response:
    return problem_response(request, error)


def _detail(request: Request, error: Exception, problem: Problem) -> str:
    if isinstance(error, RequestValidationError):
        return validation_sentence(error, request.app.state.service.settings)
    if isinstance(error, IndexNotFound):
        return problem.about  # its message is for the operator: it says where the index should be
    if isinstance(error, FileRefused):
        return f"File {error.position + 1}: {error.__cause__}"
    if isinstance(error, HTTPException) and problem.name != "bad-request":
        return problem.about
    if isinstance(error, HTTPException):
        return str(error.detail)
    if problem.status == 500:
        return problem.about  # the message of an unknown fault may say what is nobody's business
    told = str(error) or problem.about
    return without_paths(told, request.app.state.service.settings.index)
