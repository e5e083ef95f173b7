"""A thousand connections that do nothing, and hundreds that do little: what searches notice, what remains.

    python -m tests.bench.hostile_connections --index .demo/index

Must hold anywhere: every search is answered with 200, and afterwards the server has no connection open that
it had not before; status 1 when not. On a machine with nothing else to do: p99 of `among_them_ms` at most 1.5
times that of `alone_ms`, and memory at most 50 MiB more afterwards than before. The mob is a process of its
own, or its turns would count as the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from service.listener import allow_many_connections
from tests.bench.load import Answer, Server, closed_loop, machine, milliseconds, queries, served, write
from tests.fixtures.hostile_clients import HOSTILE, besieged, open_sockets

_PATIENCE_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--idle", type=int, default=1_000, help="Connections that never ask.")
    parser.add_argument("--others", type=int, default=50, help="Of each other hostile client.")
    parser.add_argument("--clients", type=int, default=4, help="That search meanwhile.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/hostile_connections.json"))
    options = parser.parse_args(arguments)
    allow_many_connections()
    mob = dict.fromkeys(HOSTILE, options.others) | {"ask_nothing": options.idle}
    with served(options.index, "--log-level", "error") as server:
        row = asyncio.run(measure(server, mob, options.clients, options.seconds))
    write(options.out, {"machine": machine(), "mob": mob, "seconds": options.seconds, **row})
    if set(row["statuses"]) != {200} or row["sockets"]["after"] > row["sockets"]["before"]:
        raise SystemExit(1)


async def measure(server: Server, mob: dict[str, int], clients: int, seconds: float) -> dict[str, Any]:
    """Searches alone, then the same searches among the mob, then what is left of it."""
    requests = queries("clips", server.media("clips", 64))
    await closed_loop(server.port, requests, clients, seconds / 10)
    alone = await closed_loop(server.port, requests, clients, seconds / 2)
    await asyncio.sleep(1)  # the connections of these are closed by then
    before, memory_before = open_sockets(server.pid), server.memory_mib()
    with elsewhere(server.port, mob):
        if not await _comes_true(lambda: open_sockets(server.pid) >= before + mob["ask_nothing"]):
            raise SystemExit("not all came: is 'ulimit -Hn' large enough?")
        meanwhile = open_sockets(server.pid)
        among_them = await closed_loop(server.port, requests, clients, seconds)
    await _comes_true(lambda: open_sockets(server.pid) <= before)
    return {
        "statuses": dict(Counter(answer.status for answer in alone + among_them)),
        "alone_ms": _latencies(alone),
        "among_them_ms": _latencies(among_them),
        "alone_per_second": round(len(alone) / (seconds / 2), 1),
        "among_them_per_second": round(len(among_them) / seconds, 1),
        "sockets": {"before": before, "meanwhile": meanwhile, "after": open_sockets(server.pid)},
        "memory_mib": {"before": round(memory_before), "after": round(server.memory_mib())},
    }


@contextmanager
def elsewhere(port: int, mob: dict[str, int]) -> Iterator[None]:
    """The server besieged by another process while the block lasts."""
    over = get_context("spawn").Event()
    process = get_context("spawn").Process(target=_besiege, args=(port, mob, over), daemon=True)
    process.start()
    try:
        yield
    finally:
        over.set()
        process.join()


def _besiege(port: int, mob: dict[str, int], over: Event) -> None:
    allow_many_connections()

    async def until_over() -> None:
        async with besieged(port, mob):
            await asyncio.to_thread(over.wait)

    asyncio.run(until_over())


async def _comes_true(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not true():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.1)
    return True


def _latencies(answers: list[Answer]) -> dict[str, float | None]:
    return {f"p{p:g}": milliseconds([answer.seconds for answer in answers], p) for p in (50, 99, 100)}


if __name__ == "__main__":
    main()
