"""A client of the service: `Client`, `AsyncClient`, what they give and what they raise. Light to import."""

from service.client.asynchronous import AsyncClient
from service.client.batches import Outcome
from service.client.blocking import Client
from service.client.errors import (
    ClientError,
    FileUnusable,
    NoAnswer,
    NotUnderstood,
    Refused,
    Unreachable,
    WrongUse,
)
from service.client.exchange import Retries
from service.client.media import Media, MediaFile

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "FileUnusable",
    "Media",
    "MediaFile",
    "NoAnswer",
    "NotUnderstood",
    "Outcome",
    "Refused",
    "Retries",
    "Unreachable",
    "WrongUse",
]
