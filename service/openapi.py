"""The OpenAPI document: FastAPI's, with the schema and media type of every fault, and the keys calls take."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.door import READING
from service.schemas import ProblemAnswer

_REF = {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}
PROBLEM_RESPONSE: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, as RFC 9457 says it; `type` can be opened",
        # Not `model=`: that would promise application/json as well.
        "content": {"application/problem+json": {"schema": _REF}},
    }
}
_READ_KEY = {"type": "http", "scheme": "bearer", "description": "A read or operator key of the server."}


def describe(app: FastAPI, *, reading_is_open: bool) -> None:
    """Make the app give this document, made once: before serving begins, or when it is first asked for.

    Where reading is open a key may be sent and none is needed; OpenAPI says so by an empty requirement.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            components = document["components"]
            components["schemas"][ProblemAnswer.__name__] = ProblemAnswer.model_json_schema()
            components["securitySchemes"]["readKey"] = _READ_KEY
            taken: list[dict[str, list[str]]] = (
                [{}, {"readKey": []}] if reading_is_open else [{"readKey": []}]
            )
            for path, calls in document["paths"].items():
                for call in calls.values() if READING.match(path) else ():
                    call.setdefault("security", taken)  # promote and rollback have said what they take
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI has it done
