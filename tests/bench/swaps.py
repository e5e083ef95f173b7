"""Fifty swaps in ten minutes under 16 clients: no failed request, none that mixes two generations.

    python -m tests.bench.swaps --index .demo/index

The index is copied, and another generation made of the same corpus: by the model of `--bundle`, or a small
one with random weights. First each generation is asked every query while it serves alone; then clients ask on
while an operator promotes one after the other. Must hold anywhere (status 1 when not): every answer is that
of the generation which it names, and every swap and search succeeds. On a machine with nothing else to do:
`memory_mib` is after the swaps what it was before, and at the end of them what it was at their beginning.
Before and after, the clients ask the same generation, which is left alone for `--still` seconds; the memory
is the most in the second half of that. At first four times as many clients ask for a while, so that what the
server takes once for a full queue is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer import store
from indexer.build import build
from tests.bench.load import (
    Connection,
    Server,
    closed_loop,
    machine,
    milliseconds,
    queries,
    served,
    write,
)
from tests.fixtures.tiny_bundle import make_tiny_bundle

_TOLERANCE = 1e-3  # of a score: a query goes through the model beside others, who round it differently
_QUERIES = 8  # of each kind
_CROWD = 4  # times the clients


@dataclass(frozen=True)
class Found:
    """An answer, without what differs from one time to the next."""

    generation: str
    model: str
    scores: dict[str, float]  # by id


@dataclass
class Seen:
    """What came of the searches and swaps."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    answer_seconds: list[float] = field(default_factory=list)
    swap_seconds: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, help="The model of the other generation.")
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--still", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/swaps.json"))
    options = parser.parse_args(arguments)
    key = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory() as scratch:
        index, generations = two_generations(options.index, options.bundle, Path(scratch))
        with served(index, "--log-level", "error", SAYSEE_OPERATOR_KEY=key) as server:
            swapping = Swapping(server, key, generations)
            row = asyncio.run(swapping.measure(options))
    write(options.out, {"machine": machine(), "clients": options.clients, **row})
    if row["failed"] or row["mixed"]:
        raise SystemExit(1)


def two_generations(index: Path, bundle: Path | None, scratch: Path) -> tuple[Path, tuple[str, str]]:
    """A copy of the index that has a generation of another model beside the one it serves, and both ids."""
    copy = Path(shutil.copytree(index, scratch / "index"))
    serving = store.open_index(copy)
    images, captions = serving.manifest.collections["images"], serving.manifest.collections["captions"]
    serving.close()
    other = build(
        bundle or make_tiny_bundle(scratch / "bundle", seed=1, dim=images.dim).path,
        copy,
        images=Path(images.source),
        captions=Path(captions.source),
        promote_it=False,
        map_it=False,
    )
    return copy, (serving.id, other.generation)


class Swapping:
    """Two generations of one server, what each answers, and clients that hold them to it."""

    def __init__(self, server: Server, key: str, generations: tuple[str, str]) -> None:
        self._server = server
        self._key = key
        self._generations = generations
        self._requests = [
            request
            for kind in ("clips", "pictures")
            for request in queries(kind, server.media(kind, _QUERIES))
        ]
        self._expected: dict[str, list[Found]] = {}
        self._seen = Seen()

    async def measure(self, options: argparse.Namespace) -> dict[str, Any]:
        """The first generation serves when it begins, and again when it ends."""
        await self._learn()
        swaps, seconds = options.swaps, options.seconds
        # What a full queue takes once is there before memory is looked at: it comes some time or other.
        await closed_loop(self._server.port, self._requests, _CROWD * options.clients, options.still / 4)
        seen, over = self._seen, asyncio.Event()
        asking = [asyncio.create_task(self._ask_on(number, over)) for number in range(options.clients)]
        memory_before = await self._left_alone(options.still)
        began = time.perf_counter()
        for number in range(1, swaps + 1):
            await asyncio.sleep(began + number * seconds / (swaps + 1) - time.perf_counter())
            await self._promote(self._generations[number % 2])
            seen.memory_mib.append(self._server.memory_mib())
        await asyncio.sleep(began + seconds - time.perf_counter())
        swapped_seconds = time.perf_counter() - began
        if self._generations[0] != self._generations[swaps % 2]:
            await self._promote(self._generations[0])
        memory_after = await self._left_alone(options.still)
        over.set()
        await asyncio.gather(*asking)
        quarter = max(1, swaps // 4)
        return {
            "swaps": swaps,
            "seconds": round(swapped_seconds, 1),
            "still_seconds": options.still,
            "answers": dict(seen.answers),
            "failed": dict(seen.failed),
            "mixed": seen.mixed,
            "answer_ms": {f"p{p:g}": milliseconds(seen.answer_seconds, p) for p in (50, 99, 100)},
            "swap_ms": {f"p{p:g}": milliseconds(seen.swap_seconds, p) for p in (50, 100)},
            "memory_mib": {
                "before": round(memory_before),
                "first_quarter": round(max(seen.memory_mib[:quarter])),
                "last_quarter": round(max(seen.memory_mib[-quarter:])),
                "after": round(memory_after),
            },
        }

    async def _left_alone(self, seconds: float) -> float:
        """The most memory in the second half of a time in which nobody swaps."""
        await asyncio.sleep(seconds / 2)
        found = []
        for _ in range(20):
            await asyncio.sleep(seconds / 40)
            found.append(self._server.memory_mib())
        return max(found)

    async def _learn(self) -> None:
        """What each generation answers while it serves alone; the first one serves afterwards."""
        for generation in reversed(self._generations):
            await self._promote(generation)
            connection = await Connection.open(self._server.port)
            self._expected[generation] = []
            for request in self._requests:
                await connection.ask(request)
                self._expected[generation].append(found(connection.body))
            connection.close()
        for one, other in zip(*self._expected.values(), strict=True):
            if agree(one.scores, other.scores):
                raise SystemExit(
                    "the generations answer alike, so nothing would be seen: give another --bundle"
                )
        self._seen = Seen()

    async def _promote(self, generation: str) -> None:
        request = (
            f"POST /v1/index/promote?generation={generation} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._key}\r\nContent-Length: 0\r\n\r\n"
        )
        connection = await Connection.open(self._server.port)
        answer = await connection.ask(request.encode())
        connection.close()
        self._seen.swap_seconds.append(answer.seconds)
        if answer.status != 200:
            self._seen.failed[f"swap {answer.status}"] += 1

    async def _ask_on(self, at: int, over: asyncio.Event) -> None:
        seen, connection = self._seen, await Connection.open(self._server.port)
        while not over.is_set():
            at = (at + 1) % len(self._requests)
            try:
                answer = await connection.ask(self._requests[at])
            except OSError:
                seen.failed["search lost"] += 1
                connection = await Connection.open(self._server.port)
                continue
            if answer.status != 200:
                seen.failed[f"search {answer.status}"] += 1
                continue
            seen.answer_seconds.append(answer.seconds)
            got = found(connection.body)
            seen.answers[got.generation] += 1
            expected = self._expected[got.generation][at]
            seen.mixed += got.model != expected.model or not agree(got.scores, expected.scores)
        connection.close()


def found(body: bytes) -> Found:
    """What an answer to a search says."""
    answer = json.loads(body)
    scores = {hit["id"]: hit["score"] for hit in answer["hits"]}
    return Found(answer["generation"], answer["model"], scores)


def agree(scores: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Whether these are the same neighbours at the same scores; the last may be another one as near."""
    last = min(others.values())
    return len(scores) == len(others) and all(
        abs(score - others.get(item, last)) <= _TOLERANCE for item, score in scores.items()
    )


if __name__ == "__main__":
    main()
