"""What the operator is told: the generations there are, and what a swap did."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from indexer.collection import CollectionName as Collection
from service.schemas.examples import GENERATION, MODEL, example


class GenerationInfo(BaseModel):
    """One generation of the index, and whether it could serve."""

    model_config = example(
        id=GENERATION,
        created="2026-11-21T08:15:02+00:00",
        parent=None,
        model=MODEL,
        name="compact",
        counts={"images": 512, "captions": 2560},
        skipped={},
        map=True,
        bytes=24_501_331,
        serving=True,
        current=True,
        problem=None,
    )
    id: str
    created: Annotated[
        str | None, Field(description="Null, as all that follows, where its manifest is damaged.")
    ] = None
    parent: str | None = None
    model: str | None = None
    name: Annotated[str | None, Field(description="The model bundle's name.")] = None
    counts: dict[Collection, int] = {}
    skipped: Annotated[
        dict[Collection, int], Field(description="Files left out of the build, where there were any.")
    ] = {}
    map: bool = False
    bytes: int = 0
    serving: Annotated[bool, Field(description="It answers queries at this moment.")]
    current: Annotated[bool, Field(description="CURRENT names it: it was promoted last.")]
    problem: Annotated[
        str | None,
        Field(description="Why it cannot be read, or why this process refused it when it was tried last."),
    ]


class GenerationsAnswer(BaseModel):
    """Every generation of the index, newest first."""

    model_config = example(
        serving=GENERATION,
        rollback="20261120T190044-13aa90",
        degraded={},
        generations=[
            {
                "id": GENERATION,
                "created": "2026-11-21T08:15:02+00:00",
                "parent": None,
                "model": MODEL,
                "name": "compact",
                "counts": {"images": 512, "captions": 2560},
                "skipped": {},
                "map": True,
                "bytes": 24_501_331,
                "serving": True,
                "current": True,
                "problem": None,
            }
        ],
    )
    serving: str
    rollback: Annotated[str | None, Field(description="What a rollback would serve; null where nothing.")]
    degraded: Annotated[
        dict[str, str], Field(description="What is wrong while it serves all the same, by reason.")
    ]
    generations: list[GenerationInfo]


class SwapAnswer(BaseModel):
    """What a promote or rollback did."""

    model_config = example(generation=GENERATION, previous="20261120T190044-13aa90", model=MODEL)
    generation: Annotated[str, Field(description="Served from now on.")]
    previous: Annotated[str, Field(description="Served until now.")]
    model: str
