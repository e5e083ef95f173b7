"""What is said of indexed items."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from indexer.collection import CollectionName as Collection
from service.schemas.examples import GENERATION, Metadata, Modality, example

ITEM = {
    "id": "scene-000123_0",
    "modality": "speech",
    "media_type": "audio/flac",
    "bytes": 60812,
    "seconds": 3.2,
    "width": None,
    "height": None,
    "media_url": "/v1/items/captions/scene-000123_0/media",
    "thumbnail_url": f"/v1/items/captions/scene-000123_0/thumbnail?v={GENERATION}",
    "metadata": {"text": "a red ball beside a small dog", "image_id": "scene-000123"},
}


class ItemSummary(BaseModel):
    """One indexed picture or spoken caption. `metadata` is the operator's, as it was in the corpus."""

    model_config = example(**ITEM)
    id: str
    modality: Modality
    media_type: str
    bytes: int
    seconds: Annotated[float | None, Field(description="Length of a clip.")]
    width: Annotated[int | None, Field(description="Width of a picture, pixels.")]
    height: int | None
    media_url: str
    thumbnail_url: Annotated[str, Field(description="A small WebP: the picture, or the clip's waveform.")]
    metadata: Metadata


class ItemAnswer(ItemSummary):
    """One item, and the generation that holds it."""

    model_config = example(**ITEM, collection="captions", generation=GENERATION)
    collection: Collection
    generation: str


class ItemsPage(BaseModel):
    """A page of items in a stable order; hand `next_cursor` back for the next page, null ends the list."""

    model_config = example(
        collection="captions", generation=GENERATION, total=2560, items=[ITEM], next_cursor="MTA"
    )
    collection: Collection
    generation: str
    total: int
    items: list[ItemSummary]
    next_cursor: str | None
