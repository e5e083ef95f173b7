"""The OpenAPI document: FastAPI's, with the one schema that every fault answers in and its own media type."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.schemas import ProblemAnswer

_REF = {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}
PROBLEM_RESPONSE: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, as RFC 9457 says it; `type` can be opened",
        # Not `model=`: that would promise application/json as well.
        "content": {"application/problem+json": {"schema": _REF}},
    }
}


def describe(app: FastAPI) -> None:
    """Make the app give this document, made once when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas[ProblemAnswer.__name__] = ProblemAnswer.model_json_schema()
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
