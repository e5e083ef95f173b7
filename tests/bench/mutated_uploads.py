"""Ten thousand damaged files sent to a server: what it answers, how long that takes, what it costs in memory.

    python -m tests.bench.mutated_uploads --index .demo/index --count 10000

With `--found` the files of a folder go before them: those that tests.bench.guided_uploads found.
Must hold anywhere: no status but 200, 413, 415 and 422; no connection lost; no answer after more than
`--patience` seconds; memory at most `--growth` MiB above what it was after the first tenth. What breaks
a rule is kept in `--keep` as a file, to be sent again. Status 1 then.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.load import Connection, Server, machine, milliseconds, served, write
from tests.fixtures.mutated import CALLS, MEANT_FOR_FILES, Upload, mutated


@dataclass
class Seen:
    """What came of what was sent so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: list[tuple[str, Upload]] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, help="A folder of files to send first.")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--patience", type=float, default=20.0, help="Seconds for an answer.")
    parser.add_argument("--growth", type=float, default=150.0, help="MiB.")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/saysee-broken-uploads"))
    parser.add_argument("--out", type=Path, default=Path("tests/bench/results/mutated_uploads.json"))
    options = parser.parse_args()
    with served(options.index, "--log-level", "error") as server:
        uploads = [*found(options.found), *itertools.islice(mutated(options.seed), options.count)]
        seen = asyncio.run(send(server, uploads, options.clients, options.patience))
        ready = server.get("/readyz")["status"]
        most_mib = server.memory_mib("VmHWM")
    after_a_tenth, after = seen.memory_mib[len(seen.memory_mib) // 10], seen.memory_mib[-1]
    write(
        options.out,
        {
            "machine": machine(),
            "count": options.count,
            "found_by_coverage": len(uploads) - options.count,
            "seed": options.seed,
            "statuses": dict(sorted(seen.statuses.items())),
            "answer_ms": {f"p{p:g}": milliseconds(seen.seconds, p) for p in (50, 99, 100)},
            "memory_mib": {
                "after_a_tenth": round(after_a_tenth),
                "after": round(after),
                "most": round(most_mib),
            },
            "ready_afterwards": ready,
            "rules_broken": len(seen.broken),
        },
    )
    for number, (what, upload) in enumerate(seen.broken):
        options.keep.mkdir(parents=True, exist_ok=True)
        file = options.keep / f"{number}-{what}-{upload.name[:60]}"
        file.write_bytes(upload.data)
        print(f"{what}: {file}")
    if seen.broken or after - after_a_tenth > options.growth or ready != "ready":
        raise SystemExit(1)


def found(folder: Path | None) -> list[Upload]:
    """The files of a folder."""
    files = [] if folder is None else sorted(folder.iterdir())
    return [Upload(file.name, file.read_bytes()) for file in files]


async def send(server: Server, uploads: Sequence[Upload], clients: int, patience_seconds: float) -> Seen:
    """Everything to one call after the other, by so many clients at a time."""
    seen, left = Seen(), enumerate(uploads)

    async def client() -> None:
        connection = await Connection.open(server.port)
        for number, upload in left:  # shared: each takes the next
            if not connection.is_open:
                connection = await Connection.open(server.port)
            head = f"POST {CALLS[number % len(CALLS)]} HTTP/1.1\r\nHost: localhost\r\n"
            request = f"{head}Content-Length: {len(upload.data)}\r\n\r\n".encode() + upload.data
            try:
                answer = await asyncio.wait_for(connection.ask(request), patience_seconds)
            except TimeoutError:
                what: int | str = "hang"
                connection.close()
            except OSError:
                what = "lost"
            else:
                what = answer.status
                seen.seconds.append(answer.seconds)
            seen.statuses[str(what)] += 1
            if what not in MEANT_FOR_FILES:
                seen.broken.append((str(what), upload))
            if number % 100 == 0:
                seen.memory_mib.append(server.memory_mib())
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    seen.memory_mib.append(server.memory_mib())
    return seen


if __name__ == "__main__":
    main()
