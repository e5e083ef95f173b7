"""A server in a process of its own, and clients light enough to share its cores: for benchmarks."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime

from indexer.cores import available_cores

ROOT = Path(__file__).parents[2]
COLLECTION = {"clips": "captions", "pictures": "images"}
"""Queries of a kind are the media of this collection; what is asked for is the other one."""

_IDLE_SHARE = 0.1  # of a core
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Server:
    """`python -m service`, running."""

    pid: int
    port: int

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def media(self, kind: str, count: int) -> list[bytes]:
        """The first so many clips or pictures that it indexed."""
        page = self.get(f"/v1/items/{COLLECTION[kind]}?limit={count}")
        return [self._bytes(item["media_url"]) for item in page["items"]]

    def memory_mib(self, field: str = "VmRSS") -> float:
        """Resident now; of `VmHWM` the most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) / 1024

    def until_idle(self) -> None:
        """Wait for what it does unasked to end: its model runs in all shapes once after it is ready."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while self._cpu_seconds_in(1.0) > _IDLE_SHARE:
            if time.monotonic() > ends:
                raise SystemExit(f"the server had something to do for {_PATIENCE_SECONDS:g} s, unasked")

    def _cpu_seconds_in(self, seconds: float) -> float:
        began = self._cpu_seconds()
        time.sleep(seconds)
        return self._cpu_seconds() - began

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
            return body


@contextmanager
def served(index: Path, *options: str, **variables: str) -> Iterator[Server]:
    """A server on a free port, once it is ready; it ends with the block."""
    command = [sys.executable, "-m", "service", "--index", str(index), "--port", "0", *options]
    told = os.environ | variables
    # A session of its own: where Linux shares the cores out by session, clients do not weigh on its threads.
    with subprocess.Popen(
        command, cwd=ROOT, env=told, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
            if found is None:
                raise SystemExit("the server did not start; what it said stands above")
            yield Server(process.pid, int(found[1]))
        finally:
            process.send_signal(signal.SIGINT)


@dataclass(frozen=True)
class Answer:
    """What came back, and the seconds from the request's first byte to the answer's last."""

    status: int
    seconds: float
    retry_after: int | None


class Connection(asyncio.Protocol):
    """One connection that stays open; one request at a time. http.client costs as much as it measures."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = b""
        self._sent = 0.0

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def is_open(self) -> bool:
        """False once the server has hung up."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def body(self) -> bytes:
        """Of the last answer."""
        return self._received.partition(b"\r\n\r\n")[2]

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._received = b""
        self._sent = time.perf_counter()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if not gap or self._answer is None or self._answer.done():
            return
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length is not None and len(body) < int(length[1]):
            return
        retry = re.search(rb"retry-after: (\d+)", head, re.IGNORECASE)
        seconds = time.perf_counter() - self._sent
        self._answer.set_result(Answer(int(head[9:12]), seconds, int(retry[1]) if retry else None))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server hung up"))


def queries(kind: str, media: Sequence[bytes], k: int = 10) -> list[bytes]:
    """A whole request for each clip or picture, for the items of the other collection."""
    target = "images" if kind == "clips" else "captions"
    head = "HTTP/1.1\r\nHost: localhost\r\nContent-Length:"
    return [f"POST /v1/search/{target}?k={k} {head} {len(data)}\r\n\r\n".encode() + data for data in media]


async def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> list[Answer]:
    """So many clients, each asking again as soon as it is answered."""
    answers: list[Answer] = []
    stop = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = await Connection.open(port)
        at = number
        while time.perf_counter() < stop:
            answers.append(await connection.ask(requests[at % len(requests)]))
            at += clients
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return answers


async def in_turn(port: int, requests: Sequence[bytes]) -> list[Answer]:
    """One client, which asks each once."""
    connection = await Connection.open(port)
    answers = [await connection.ask(request) for request in requests]
    connection.close()
    return answers


def milliseconds(values: Sequence[float], percentile: float) -> float | None:
    return round(1000 * float(np.percentile(values, percentile)), 2) if len(values) else None


def machine() -> dict[str, object]:
    """Where it was measured, and how busy that was: figures from a machine at other work are no figures."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": available_cores(),
        "processor": model[1] if model else platform.processor(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "faiss": faiss.__version__,
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Keep the result as JSON, and show it as a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = list(_rows(result))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _rows(result: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(result, dict) and result:
        for key, value in result.items():
            yield from _rows(value, f"{name} {key}".strip())
    else:
        yield name, str(result)
