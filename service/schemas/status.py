"""Health, and what is wrong."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from service.schemas.examples import GENERATION, MODEL, REQUEST_ID, example


class LiveAnswer(BaseModel):
    """The process turns."""

    model_config = example(status="alive")
    status: Literal["alive"] = "alive"


class ReadyAnswer(BaseModel):
    """The whole path from bytes to metadata works; `degraded` says what is wrong all the same, by reason."""

    model_config = example(
        status="ready", generation=GENERATION, model=MODEL, provider="CPUExecutionProvider", degraded={}
    )
    status: Literal["ready", "degraded"]
    generation: str
    model: str
    provider: str
    degraded: dict[str, str]


class ProblemAnswer(BaseModel):
    """RFC 9457: `type` is stable and may be opened, `detail` is one sentence on this very request, and the
    server's log has more under `request_id`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/undecodable-media",
                    "title": "The media cannot be decoded",
                    "status": 422,
                    "detail": "The file ends before its first frame is complete.",
                    "instance": "/v1/search/images",
                    "request_id": REQUEST_ID,
                }
            ]
        }
    )
    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


class ProblemKind(BaseModel):
    """What a problem type means in general."""

    model_config = example(
        type="/problems/undecodable-media",
        title="The media cannot be decoded",
        status=422,
        about="The bytes begin like audio or a picture, but no decoder gets through them to their end.",
    )
    type: str
    title: str
    status: int
    about: str
