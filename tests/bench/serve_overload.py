"""Ten times more queries than it can answer, for a while: who is let in, who is not, and what stays behind.

    python -m tests.bench.serve_overload --index .demo/index --seconds 60

Must hold on a machine with nothing else to do: no status but 200 and 503; accepted p99 under the deadline;
every 503 with Retry-After and within 50 ms (`refused_ms`, `refused_after_50_ms`); memory flat;
`recovery_seconds` at most 2. Queries are sent by the clock, answered or not, at `--times` the rate that 16
clients were answered at just before; `offered_share` says how much of that the client managed to send, for it
shares the cores, and `sent_late_ms` how long its own loop kept it: as much of `refused_ms` may be its own. Of
the refusals after 50 ms those are counted once more that took as long without the client's turn they came in.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.load import (
    Answer,
    Connection,
    Server,
    closed_loop,
    machine,
    milliseconds,
    queries,
    served,
    write,
)

_MOST_CONNECTIONS = 2_000
_SOON_SECONDS = 0.05


@dataclass
class Offered:
    """What came of queries that were sent by the clock."""

    answers: list[Answer] = field(default_factory=list)
    asked_seconds: list[float] = field(default_factory=list)  # after the beginning, of each answer's query
    lost: int = 0  # connections that broke
    late_seconds: list[float] = field(default_factory=list)  # of each sending
    turns: list[float] = field(default_factory=list)  # when the client's loop came round
    memory_mib: list[float] = field(default_factory=list)  # of the server, every half second


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--kind", choices=("clips", "pictures"), default="clips")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument(
        "--warm-up", type=float, default=5.0, help="Seconds, and as many to measure the rate."
    )
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/serve_overload.json"))
    options = parser.parse_args(arguments)
    gc.disable()  # it holds all answers, and looking through them would count as the server's time
    with served(options.index) as server:
        row = asyncio.run(measure(server, options.kind, options.seconds, options.times, options.warm_up))
    write(options.out, {"machine": machine(), "kind": options.kind, "seconds": options.seconds, **row})


async def measure(
    server: Server, kind: str, seconds: float, times: float, warm_up_seconds: float
) -> dict[str, Any]:
    requests = queries(kind, server.media(kind, 64))
    await closed_loop(server.port, requests, 16, warm_up_seconds)
    capacity = len(await closed_loop(server.port, requests, 16, warm_up_seconds)) / warm_up_seconds
    before = server.memory_mib()
    offered = await open_loop(server, requests, times * capacity, seconds)
    ended = time.perf_counter()
    recovered = await recovery(server, requests)
    await asyncio.sleep(5)
    answers, memory = offered.answers, offered.memory_mib
    taken = [answer.seconds for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 503]
    late = [
        (asked, answer.seconds - turn_seconds(offered.turns, asked + answer.seconds))
        for answer, asked in zip(answers, offered.asked_seconds, strict=True)
        if answer.status == 503 and answer.seconds > _SOON_SECONDS
    ]
    return {
        "capacity_per_second": round(capacity, 1),
        "offered_share": round((len(answers) + offered.lost) / (times * capacity * seconds), 3),
        "sent_late_ms": {f"p{p:g}": milliseconds(offered.late_seconds, p) for p in (50, 99)},
        "statuses": dict(Counter(answer.status for answer in answers)),
        "connections_lost": offered.lost,
        "deadline_seconds": server.get("/v1/limits")["deadline_seconds"],
        "accepted_ms": {"p50": milliseconds(taken, 50), "p99": milliseconds(taken, 99)},
        "accepted_per_second": round(len(taken) / seconds, 1),
        "refused_ms": {
            f"p{percentile:g}": milliseconds([answer.seconds for answer in refused], percentile)
            for percentile in (50, 99, 99.9, 100)
        },
        "refused_after_50_ms": {
            "all": len(late),
            "asked_in_the_first_second": sum(asked < 1 for asked, _ in late),
            "without_the_clients_turn": sum(seconds > _SOON_SECONDS for _, seconds in late),
        },
        "refused_without_retry_after": sum(answer.retry_after is None for answer in refused),
        "memory_mib": {
            "before": round(before),
            "first_quarter": round(max(memory[: max(1, len(memory) // 4)])),
            "last_quarter": round(max(memory[-max(1, len(memory) // 4) :])),
            "after": round(server.memory_mib()),
        },
        "recovery_seconds": round(recovered - ended, 2),
    }


def turn_seconds(turns: Sequence[float], at: float) -> float:
    """How long the turn of a loop was that something came in: it may have been there from its beginning."""
    number = bisect(turns, at)
    return turns[number] - turns[number - 1] if 0 < number < len(turns) else 0.0


async def open_loop(server: Server, requests: list[bytes], per_second: float, seconds: float) -> Offered:
    """Queries sent by the clock for so long, answered or not."""
    offered = Offered()
    idle: list[Connection] = []
    at_work: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        try:
            while idle and not idle[-1].is_open:
                idle.pop()
            connection = idle.pop() if idle else await Connection.open(server.port)
            asked = time.perf_counter() - began
            offered.answers.append(await connection.ask(requests[number % len(requests)]))
            offered.asked_seconds.append(asked)
        except OSError:
            offered.lost += 1
        else:
            idle.append(connection)

    began = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - began) < seconds:
        offered.turns.append(passed)
        while sent < passed * per_second and len(at_work) < _MOST_CONNECTIONS:
            task = asyncio.create_task(one(sent))
            at_work.add(task)
            offered.late_seconds.append(passed - sent / per_second)
            task.add_done_callback(at_work.discard)
            sent += 1
        if passed > 0.5 * len(offered.memory_mib):
            offered.memory_mib.append(server.memory_mib())
        await asyncio.sleep(0.002)
    await asyncio.gather(*at_work)
    for connection in idle:
        connection.close()
    return offered


async def recovery(server: Server, requests: list[bytes]) -> float:
    """When it had answered a lone client three times in a row."""
    connection = await Connection.open(server.port)
    in_a_row = 0
    while in_a_row < 3:
        answer = await connection.ask(requests[0])
        in_a_row = in_a_row + 1 if answer.status == 200 else 0
        await asyncio.sleep(0.02)
    connection.close()
    return time.perf_counter()


if __name__ == "__main__":
    main()
