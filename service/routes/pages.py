"""What people open: the web page, the OpenAPI page, the meaning of a problem type. All from this host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.problem_page import is_opened, problem_page
from service.problems import PROBLEMS, UnknownProblem
from service.schemas import ProblemKind
from service.security import DOCS_POLICY

PAGE = Path(__file__).parent.parent / "page"
OPENAPI_URL = "/openapi.json"

router = APIRouter(tags=["problems"])

_DOCS = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SaySee API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
<div id="page"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = f"""const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
SwaggerUIBundle({{
  url: "{OPENAPI_URL}", dom_id: "#page", deepLinking: true, validatorUrl: null, displayRequestDuration: true,
}});
"""


class _Revalidated(StaticFiles):
    """Static files that browsers ask for again, cheaply by ETag, so that a new release shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


@router.get("/problems/{name}", response_model=ProblemKind, summary="What a problem type means")
async def problem(request: Request, name: str) -> ProblemKind | Response:
    """The `type` of every error answer is the address of such an explanation."""
    if name not in PROBLEMS:
        raise UnknownProblem(name)
    known = PROBLEMS[name]
    if is_opened(request):
        return problem_page(known.title, known.about, f"Status {known.status}, {known.type}", 200)
    return ProblemKind(type=known.type, title=known.title, status=known.status, about=known.about)


def _moved(to: str) -> Callable[[Request], Awaitable[Response]]:
    """For an address with a slash too many: nothing of what was asked goes into where it leads."""

    async def moved(request: Request) -> Response:
        return RedirectResponse(to, 308)

    return moved


def install(app: FastAPI, page: Path = PAGE) -> None:
    """Serve the page at / and /page/, the operator's at /operator, and Swagger UI at /docs from assets that
    fastapi-offline carries.
    """
    static = _Revalidated(directory=page, html=True)

    async def front(request: Request) -> Response:
        return await static.get_response("index.html", request.scope)

    async def operator(request: Request) -> Response:
        return await static.get_response("operator.html", request.scope)

    async def docs(request: Request) -> Response:
        return HTMLResponse(
            _DOCS, headers={"Content-Security-Policy": DOCS_POLICY, "Cache-Control": "no-cache"}
        )

    async def start(request: Request) -> Response:
        return Response(_START, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    app.add_route("/", front, include_in_schema=False)
    app.add_route("/operator", operator, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route("/docs/start.js", start, include_in_schema=False)
    for page_address in ("/operator", "/docs"):
        app.add_route(f"{page_address}/", _moved(page_address), include_in_schema=False)
    assets = Path(str(files("fastapi_offline") / "static"))
    app.mount("/docs/assets", StaticFiles(directory=assets))
    app.mount("/page", static)
