"""What serving costs over the bare loop decode, encode, search in one process, on the same cores, in one run.

    python -m tests.bench.serve_throughput --index .demo/index

Must hold on a machine with nothing else to do: `share_of_bare` at least .90 for clips and for pictures at 16
clients, and `added_ms` at most 3 for one client. Rounds of the loop and of the service alternate, and for one
client every few queries, the same ones; medians are kept. The loop runs one query after the other, with all
cores for the model. Every query is an item of the index, which may be of any model (a pair with
Inception-ResNet-v2: --seconds 15, --one-client-seconds 120, --deadline-seconds 60 and an --out of its own).
"""

from __future__ import annotations

import os

from indexer.cores import available_cores

os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))  # before FAISS reads it

import argparse
import asyncio
import statistics
import time
from itertools import cycle
from pathlib import Path
from typing import Any

from indexer.encoder import Encoder
from indexer.media import decode_image, decode_speech
from indexer.store import Generation, open_index
from tests.bench.load import (
    Answer,
    Server,
    closed_loop,
    in_turn,
    machine,
    milliseconds,
    queries,
    served,
    write,
)

_QUERIES = 64
_IN_TURN = 8  # by the loop, then by the service


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10.0, help="Of each round.")
    parser.add_argument(
        "--one-client-seconds", type=float, help="Of each round with one client, if not as long."
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument(
        "--deadline-seconds", type=float, default=15.0, help="The server's; a slow model wants more."
    )
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/serve_throughput.json"))
    options = parser.parse_args()
    generation = open_index(options.index)
    encoder = Encoder(generation.bundle)
    with served(options.index, "--deadline-seconds", str(options.deadline_seconds)) as server:
        rows = {kind: measure(kind, server, generation, encoder, options) for kind in ("clips", "pictures")}
    model = generation.bundle.manifest.name
    write(options.out, {"machine": machine(), "model": model, "clients": options.clients, "rows": rows})


def measure(
    kind: str,
    server: Server,
    generation: Generation,
    encoder: Encoder,
    options: argparse.Namespace,
) -> dict[str, Any]:
    seconds, clients = options.seconds, options.clients
    media = server.media(kind, _QUERIES)
    requests = queries(kind, media)
    bare: list[float] = []
    many: list[float] = []
    bare_seconds: list[float] = []
    alone: list[Answer] = []
    bare_loop(kind, media, generation, encoder, 1.0)  # both are warm before they count
    asyncio.run(closed_loop(server.port, requests, clients, 1.0))
    server.until_idle()
    for _ in range(options.rounds):
        took = bare_loop(kind, media, generation, encoder, seconds)
        bare.append(len(took) / sum(took))
        answers = asyncio.run(closed_loop(server.port, requests, clients, seconds))
        if {answer.status for answer in answers} != {200}:
            raise SystemExit(f"not every query was answered: {sorted({a.status for a in answers})}")
        many.append(len(answers) / seconds)
        stop = time.perf_counter() + (options.one_client_seconds or seconds)
        for start in cycle(range(0, len(media), _IN_TURN)):
            few = slice(start, start + _IN_TURN)
            bare_seconds += [bare_query(kind, one, generation, encoder) for one in media[few]]
            alone += asyncio.run(in_turn(server.port, requests[few]))
            if time.perf_counter() > stop:
                break
    bare_ms = milliseconds(bare_seconds, 50)
    alone_ms = milliseconds([answer.seconds for answer in alone], 50)
    assert bare_ms is not None
    assert alone_ms is not None
    return {
        "bare_per_second": round(statistics.median(bare), 1),
        "service_per_second": round(statistics.median(many), 1),
        "share_of_bare": round(statistics.median(m / b for m, b in zip(many, bare, strict=True)), 3),
        "bare_p50_ms": bare_ms,
        "one_client_p50_ms": alone_ms,
        "added_ms": round(alone_ms - bare_ms, 2),
    }


def bare_loop(
    kind: str, media: list[bytes], generation: Generation, encoder: Encoder, seconds: float
) -> list[float]:
    """The seconds of each query, one after the other for so long."""
    took: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        took.append(bare_query(kind, media[len(took) % len(media)], generation, encoder))
    return took


def bare_query(kind: str, data: bytes, generation: Generation, encoder: Encoder) -> float:
    """Its seconds from bytes to neighbours."""
    spec = generation.bundle.manifest.media
    began = time.perf_counter()
    if kind == "clips":
        generation.search("images", encoder.speech([decode_speech(data, spec)]), 10)
    else:
        generation.search("captions", encoder.image([decode_image(data, spec)]), 10)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
