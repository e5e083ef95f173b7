"""What is said of the index as a whole, and of the limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from indexer.collection import CollectionName as Collection
from service.schemas.examples import GENERATION, MODEL, Modality, example


class ClosenessInfo(BaseModel):
    """What scores mean, as measured when the collection was indexed."""

    model_config = example(
        chance_median=0.06, chance_p99=0.67, nearest_p25=0.85, nearest_p95=0.92, sample=200
    )
    chance_median: Annotated[float, Field(description="Half the pairs drawn at random score less.")]
    chance_p99: Annotated[float, Field(description="99 of 100 pairs drawn at random score less.")]
    nearest_p25: Annotated[
        float,
        Field(
            description="Of indexed items as queries, three in four have a nearest that scores at least this."
        ),
    ]
    nearest_p95: Annotated[float, Field(description="One in twenty has a nearest that scores more.")]
    sample: Annotated[int, Field(description="Queries this was measured on.")]


class CollectionInfo(BaseModel):
    """One collection of the served generation, as measured when it was built."""

    model_config = example(
        count=512,
        skipped={},
        dim=256,
        kind="flat",
        parameters={},
        recall_at_10=1.0,
        recall_sample=100,
        bytes=524333,
        closeness={
            "speech": {
                "chance_median": 0.06,
                "chance_p99": 0.67,
                "nearest_p25": 0.85,
                "nearest_p95": 0.92,
                "sample": 200,
            }
        },
    )
    count: int
    skipped: Annotated[dict[str, int], Field(description="Files left out of the build, by reason.")]
    dim: int
    kind: Annotated[str, Field(description="Kind of the vector index; flat is exact.")]
    parameters: Annotated[dict[str, int], Field(description="Search parameters of that kind.")]
    recall_at_10: Annotated[float, Field(description="Of the index against exact search.")]
    recall_sample: Annotated[int, Field(description="Queries that figure was measured on.")]
    bytes: int
    closeness: Annotated[
        dict[Modality, ClosenessInfo],
        Field(description="By the modality of the query; empty where the build measured none."),
    ]


class IndexAnswer(BaseModel):
    """What is being served."""

    model_config = example(
        generation=GENERATION,
        created="2026-11-21T08:15:02+00:00",
        parent=None,
        model=MODEL,
        fingerprint=MODEL + "0" * 52,
        name="compact",
        system="ilharco2019",
        similarity="cosine",
        dim=256,
        sample_rate_hz=16000,
        max_seconds=8.0,
        provider="CPUExecutionProvider",
        collections={
            "images": {
                "count": 512,
                "skipped": {},
                "dim": 256,
                "kind": "flat",
                "parameters": {},
                "recall_at_10": 1.0,
                "recall_sample": 100,
                "bytes": 524333,
                "closeness": {},
            }
        },
        map={"images": 512, "captions": 2560},
    )
    generation: str
    created: str
    parent: Annotated[
        str | None, Field(description="The generation that was current when this one was built.")
    ]
    model: str
    fingerprint: str
    name: Annotated[str, Field(description="The model bundle's name.")]
    system: str
    similarity: str
    dim: int
    sample_rate_hz: Annotated[int, Field(description="What the model hears; any rate may be sent.")]
    max_seconds: Annotated[float, Field(description="How much of a clip the model hears.")]
    provider: Annotated[str, Field(description="Where the encoder really runs.")]
    collections: dict[Collection, CollectionInfo]
    map: Annotated[
        dict[Collection, int] | None, Field(description="Items on GET /v1/map; null where there is none.")
    ]


class LimitsAnswer(BaseModel):
    """Every limit in force. What goes over one is refused; only max_seconds cuts a clip instead, and a
    connection that is idle, or whose answer is not fetched, is closed without a word.
    """

    model_config = example(
        max_body_bytes=25_000_000,
        max_pixels=50_000_000,
        max_unpacked_bytes=320_000_000,
        max_source_seconds=120.0,
        min_seconds=0.1,
        silence_dbfs=-60.0,
        max_channels=32,
        min_rate_hz=1_000,
        max_rate_hz=768_000,
        max_seconds=8.0,
        default_k=10,
        max_k=200,
        max_page=200,
        max_files=16,
        deadline_seconds=15.0,
        max_waiting=256,
        max_waiting_bytes=500_000_000,
        rate_limit=0.0,
        rate_burst=20,
        longest_wait_seconds=9.0,
        max_head_bytes=65_536,
        max_ahead=32,
        head_seconds=10.0,
        body_seconds=20.0,
        body_bytes_per_second=1_000,
        fetch_seconds=60.0,
        idle_seconds=75.0,
    )
    max_body_bytes: int
    max_pixels: int
    max_unpacked_bytes: Annotated[
        int,
        Field(
            description="Memory that unpacking a picture may take: 16 bytes a pixel for WebP, 4 for PNG and "
            "TIFF, 6 for progressive JPEG, next to none for other JPEG."
        ),
    ]
    max_source_seconds: float
    min_seconds: float
    silence_dbfs: Annotated[float, Field(description="A clip whose peak stays under this is silent.")]
    max_channels: int
    min_rate_hz: int
    max_rate_hz: int
    max_seconds: Annotated[float, Field(description="How much of a clip the served model hears.")]
    default_k: int
    max_k: int
    max_page: int
    max_files: Annotated[int, Field(description="Most files in one embeddings or batch call.")]
    deadline_seconds: Annotated[float, Field(description="What takes longer is given up with 503.")]
    max_waiting: Annotated[int, Field(description="Queries at work at a time; one more gets 503.")]
    max_waiting_bytes: Annotated[int, Field(description="Bodies in memory at a time; one more gets 503.")]
    rate_limit: Annotated[
        float,
        Field(
            description="Queries a second of one key, or one address; one more gets 429. 0: none. Of a call "
            "with several files each is a query."
        ),
    ]
    rate_burst: Annotated[int, Field(description="Queries at once after a pause, where there is a limit.")]
    longest_wait_seconds: Annotated[
        float,
        Field(description="Work, at the pace measured, that may wait; a query that makes it more gets 503."),
    ]
    max_head_bytes: Annotated[int, Field(description="The head of a request; a larger one gets 431.")]
    max_ahead: Annotated[
        int, Field(description="Requests of a connection before the first is answered; more get 400.")
    ]
    head_seconds: Annotated[float, Field(description="For the head of a request to come; then 408.")]
    body_seconds: Annotated[
        float,
        Field(description="For its body to come, and longer while it comes at the rate below; then 408."),
    ]
    body_bytes_per_second: int
    fetch_seconds: Annotated[
        float, Field(description="In which something of an answer has to be fetched, or it is given up.")
    ]
    idle_seconds: Annotated[float, Field(description="A connection is kept between two requests.")]
