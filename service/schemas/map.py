"""The map of the joint space on the wire: ids and places as lists side by side, which is short."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from indexer.collection import CollectionName as Collection
from service.schemas.examples import GENERATION, MODEL, example


class MapPlaces(BaseModel):
    """Items of one collection and their places, each list in the same order."""

    model_config = example(ids=["scene-000123", "scene-000124"], x=[0.1734, -0.8112], y=[0.52, 0.0031])
    ids: list[str]
    x: Annotated[list[float], Field(description="From -1 to 1.")]
    y: Annotated[list[float], Field(description="From -1 to 1.")]


class MapAnswer(BaseModel):
    """The items of a generation on a map of the joint space, or a sample of many."""

    model_config = example(
        generation=GENERATION,
        model=MODEL,
        method="t-sne",
        total={"images": 512},
        places={"images": {"ids": ["scene-000123"], "x": [0.1734], "y": [0.52]}},
    )
    generation: str
    model: str
    method: Annotated[str, Field(description="How places were found, each collection centred first.")]
    total: Annotated[dict[Collection, int], Field(description="Items there are, on the map or not.")]
    places: dict[Collection, MapPlaces]
