"""A connection to one Milvus: collections made, filled once, described and dropped.

pymilvus comes in when a Milvus is asked for, never before. Every call has its time, and a fault of the server
is a MilvusUnavailable. Vectors are checked on this side: Milvus takes NaN as it is.
Letters of shapes: N indexed vectors, B vectors of a block, D dimensions.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.ann import AnnError, checked_vectors

if TYPE_CHECKING:
    from pymilvus import MilvusClient

TOKEN_VARIABLE = "SAYSEE_MILVUS_TOKEN"
"""The environment variable that holds `user:password` or an API key, where Milvus asks for one."""

METRIC = "IP"
INDEX_TYPES = {"flat": "FLAT"}
"""Our kinds of index, and what Milvus calls them."""

MAX_K = 16_384
"""Milvus gives no more neighbours, or rows, than this at once."""

CONNECT_SECONDS = 5.0
ASK_SECONDS = 5.0
"""For a search, or a question about a collection."""
WORK_SECONDS = 120.0
"""For what grows with the vectors: a block inserted, a flush, an index made, a collection loaded."""

BLOCK_BYTES = 4 << 20
"""Vectors sent or fetched at once; Milvus takes messages of 64 MB."""

_URI = re.compile(r"milvus(?:\+https)?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})/?")
_GRPC = {
    # By itself gRPC waits up to two minutes before it tries again to reach a server that was away.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    # pymilvus asks an idle server for a sign of life every ten seconds; some end the connection over that.
    "grpc.keepalive_permit_without_calls": 0,
}

_NOT_THERE = 100  # Milvus's own code
_CONNECT_FAILED = 2  # pymilvus's
_SILENT = {"UNAVAILABLE": "no connection", "DEADLINE_EXCEEDED": "no answer"}  # gRPC's words, and ours


class MilvusUnavailable(AnnError):
    """Milvus cannot be used now: it does not answer, answers with an error, or pymilvus is not installed."""


class MilvusSilent(MilvusUnavailable):
    """There is no connection to it, or it does not answer in time."""


def checked_uri(text: str) -> str:
    """The address as a manifest keeps it, `milvus://HOST:PORT` or `milvus+https://HOST:PORT`; or AnnError."""
    found = _URI.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        told = "an address with a secret in it" if "@" in text else repr(text)
        raise AnnError(
            f"Vectors can live in files (faiss) or in milvus://HOST:PORT, with TLS milvus+https://HOST:PORT, "
            f"and not in {told}; a token goes into {TOKEN_VARIABLE}."
        )
    return text.rstrip("/")


class Milvus:
    """A connection to one Milvus, which any number of threads may use."""

    def __init__(self, uri: str) -> None:
        """Connect to `milvus://HOST:PORT`. AnnError for another form, MilvusUnavailable."""
        self.uri = checked_uri(uri)
        client = _client_class()
        scheme = "https" if self.uri.startswith("milvus+https") else "http"
        address = f"{scheme}://{self.uri.partition('://')[2]}"
        token = os.environ.get(TOKEN_VARIABLE, "")
        with self.told("connect", CONNECT_SECONDS):
            self.client: MilvusClient = client(
                uri=address,
                token=token,
                timeout=CONNECT_SECONDS,
                dedicated=True,
                grpc_options=_GRPC,
            )

    def fill(self, name: str, vectors_ND: NDArray[np.float32], kind: str) -> str:
        """Make a collection of all vectors, vector i as row i, flushed and indexed.

        The SHA-256 of their bytes (float32, by row). AnnError names a vector that is not finite.
        """
        from pymilvus import DataType

        count, dim = vectors_ND.shape
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        with self.told("create a collection", WORK_SECONDS):
            self.client.create_collection(name, schema=schema, timeout=WORK_SECONDS)
        digest = hashlib.sha256()
        for start, stop in blocks(count, dim):
            block_BD = checked_vectors(vectors_ND[start:stop], dim)
            digest.update(block_BD.tobytes())
            rows = [{"row": start + i, "vector": vector_D} for i, vector_D in enumerate(block_BD)]
            with self.told("take vectors", WORK_SECONDS):
                self.client.insert(name, rows, timeout=WORK_SECONDS)
        with self.told("flush", WORK_SECONDS):
            self.client.flush(name, timeout=WORK_SECONDS)
        index = self.client.prepare_index_params()
        index.add_index("vector", index_type=INDEX_TYPES[kind], metric_type=METRIC)
        with self.told("index", WORK_SECONDS):
            self.client.create_index(name, index, timeout=WORK_SECONDS)
        return digest.hexdigest()

    def shape(self, name: str) -> tuple[int, int]:
        """How many vectors a collection is said to hold, and their dimensions, without loading it.

        AnnError where there is no such collection.
        """
        with self.told("describe a collection", ASK_SECONDS, name):
            fields = self.client.describe_collection(name, timeout=ASK_SECONDS)["fields"]
            count = self.client.get_collection_stats(name, timeout=ASK_SECONDS)["row_count"]
        dims = [int(one["params"]["dim"]) for one in fields if one["name"] == "vector"]
        return int(count), dims[0] if dims else 0

    def names(self) -> list[str]:
        """All collections there, ours and others'."""
        with self.told("list its collections", ASK_SECONDS):
            return [str(name) for name in self.client.list_collections(timeout=ASK_SECONDS)]

    def drop(self, name: str) -> None:
        """Delete a collection; one that is not there is no fault."""
        with self.told("drop a collection", ASK_SECONDS):
            self.client.drop_collection(name, timeout=ASK_SECONDS)

    def close(self) -> None:
        """End the connection; calls after it raise MilvusUnavailable."""
        self.client.close()

    @contextmanager
    def told(self, what: str, seconds: float, name: str = "") -> Iterator[None]:
        """Turn what pymilvus raises into ours: it failed to do `what`, in so many seconds."""
        from grpc import RpcError  # type: ignore[import-untyped]  # ships no annotations
        from pymilvus import MilvusException

        began = time.monotonic()
        try:
            yield
        except MilvusException as error:
            if error.code == _NOT_THERE and name:
                raise AnnError(f"Milvus has no collection {name}.") from error
            cause = error.__cause__
            if isinstance(cause, RpcError):
                reason = _code(cause)
            elif error.code == _CONNECT_FAILED:
                reason = _SILENT["UNAVAILABLE"]
            elif time.monotonic() - began >= seconds:  # pymilvus tried again and again, and then gave up
                reason = _SILENT["DEADLINE_EXCEEDED"]
            else:
                reason = str(error.message)
            raise self._fault(what, seconds, reason) from error
        except RpcError as error:
            raise self._fault(what, seconds, _code(error)) from error

    def _fault(self, what: str, seconds: float, reason: str) -> MilvusUnavailable:
        told = (reason.splitlines() or ["no reason given"])[0][:160]
        kind = MilvusSilent if reason in _SILENT.values() else MilvusUnavailable
        return kind(
            f"Milvus at {self.uri} did not {what} within {seconds:g} s ({told}): see that it runs and can be "
            f"reached from here, and that {TOKEN_VARIABLE} holds its token if it asks for one."
        )


def _code(error: Any) -> str:
    """What gRPC says of a call that failed, in words."""
    name = str(error.code().name)
    return _SILENT.get(name, name.lower().replace("_", " "))


def blocks(count: int, dim: int) -> Iterator[tuple[int, int]]:
    """Rows 0 to `count` in blocks of at most BLOCK_BYTES of vectors, each as (start, stop)."""
    size = max(1, min(MAX_K, BLOCK_BYTES // (4 * dim)))
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _client_class() -> Any:
    """pymilvus's client; by itself it reads a file `.env` and prints each fault with its traceback."""
    before = os.environ.get("PYTHON_DOTENV_DISABLED")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MilvusUnavailable(
            f"Vectors in Milvus need pymilvus ({error}): pip install 'saysee[milvus]'."
        ) from error
    finally:
        if before is None:
            del os.environ["PYTHON_DOTENV_DISABLED"]
        else:
            os.environ["PYTHON_DOTENV_DISABLED"] = before
    for name in ("pymilvus", "pymilvus.milvus_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MilvusClient
