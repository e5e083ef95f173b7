"""What the examples on the OpenAPI page are made of, and the words that several answers share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, JsonValue

from indexer.collection import CollectionName as Collection

Modality = Literal["speech", "image"]
Metadata = dict[str, JsonValue]
MODALITY: dict[Collection, Modality] = {"images": "image", "captions": "speech"}

GENERATION = "20261121T081502-5f0c2a"
MODEL = "9f2b61c07d3e"
REQUEST_ID = "5b0f6c4e7f0e4f3d9c53a5e0c6c1a7d2"
TIMINGS = {"decode": 1.9, "queue": 0.1, "encode": 8.4, "search": 0.3}


def example(**fields: Any) -> ConfigDict:
    """The configuration of an answer that shows this example and carries nothing it does not name."""
    return ConfigDict(json_schema_extra={"examples": [fields]}, extra="forbid")
