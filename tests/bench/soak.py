"""Half of what it can do, for an hour: memory and latency by the minute, the first quarter and the last.

    python -m tests.bench.soak --index .demo/index

Must hold anywhere (status 1 when not): every query is answered with 200. On a machine with nothing else to
do: memory of the last quarter at most 5 % above that of the first, its p99 at most 1.5 times. Clips and
pictures are sent by the clock, answered or not, at `--share` of the rate that `--clients` were answered at
just before.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.load import Server, closed_loop, machine, milliseconds, queries, served, write
from tests.bench.serve_overload import Offered, open_loop


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--every", type=float, default=60.0, help="Seconds that are told together.")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument(
        "--warm-up", type=float, default=10.0, help="Seconds, and as many to measure the rate."
    )
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/soak.json"))
    options = parser.parse_args(arguments)
    with served(options.index, "--log-level", "error") as server:
        kinds = ("clips", "pictures")
        requests = [request for kind in kinds for request in queries(kind, server.media(kind, 64))]
        capacity = asyncio.run(measured_capacity(server, requests, options.clients, options.warm_up))
        offered = options.share * capacity
        minutes = asyncio.run(soak(server, requests, offered, options.seconds, options.every))
    rates = {"capacity_per_second": round(capacity, 1), "offered_per_second": round(offered, 1)}
    row = summary(minutes)
    write(options.out, {"machine": machine(), "seconds": options.seconds, **rates, **row})
    if set(row["statuses"]) != {200} or row["connections_lost"]:
        raise SystemExit(1)


async def measured_capacity(server: Server, requests: list[bytes], clients: int, seconds: float) -> float:
    """Queries answered in a second, once it is warm."""
    await closed_loop(server.port, requests, clients, seconds)
    return len(await closed_loop(server.port, requests, clients, seconds)) / seconds


async def soak(
    server: Server, requests: list[bytes], per_second: float, seconds: float, every_seconds: float
) -> list[Offered]:
    """What came of each minute, or of whatever `--every` says."""
    minutes: list[Offered] = []
    while len(minutes) * every_seconds < seconds:
        minutes.append(await open_loop(server, requests, per_second, every_seconds))
        told = summary(minutes[-1:])
        print(len(minutes), told["statuses"], told["first_quarter"], flush=True)
    return minutes


def summary(minutes: Sequence[Offered]) -> dict[str, Any]:
    """All together, each by itself, and the first and the last quarter."""
    quarter = max(1, len(minutes) // 4)
    each = [_measured([minute]) for minute in minutes]
    return {
        "statuses": dict(Counter(answer.status for minute in minutes for answer in minute.answers)),
        "connections_lost": sum(minute.lost for minute in minutes),
        "first_quarter": _measured(minutes[:quarter]),
        "last_quarter": _measured(minutes[-quarter:]),
        "minutes": {name: [one[name] for one in each] for name in each[0]},
    }


def _measured(minutes: Sequence[Offered]) -> dict[str, float | None]:
    seconds = [answer.seconds for minute in minutes for answer in minute.answers]
    return {
        "p50_ms": milliseconds(seconds, 50),
        "p99_ms": milliseconds(seconds, 99),
        "memory_mib": round(max(max(minute.memory_mib) for minute in minutes)),
    }


if __name__ == "__main__":
    main()
