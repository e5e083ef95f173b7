"""What one search costs in each generation of an index: `python -m tests.bench.search_price INDEX`.

Asks with the vectors of captions, one at a time, for 10 neighbours in each collection; decoding and the model
are no part of it. For vectors in files beside vectors in Milvus, whose own processor time is not counted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from indexer.store import list_generations, open_index

K = 10


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--untimed", type=int, default=20, help="queries before these, to warm up")
    asked = parser.parse_args(arguments)
    for listed in list_generations(asked.index):
        began = time.perf_counter()
        opened = open_index(asked.index, listed.id, verify=False)
        opening_s = time.perf_counter() - began
        where = "files" if opened.manifest.milvus is None else opened.manifest.milvus.uri
        print(f"{listed.id}, vectors in {where}, opened in {opening_s:.2f} s")
        items, _ = opened.items("captions", asked.untimed + asked.queries)
        queries = [opened.vector("captions", item.id)[None, :] for item in items]
        for name, part in opened.manifest.collections.items():
            for query_1D in queries[: asked.untimed]:
                opened.search(name, query_1D, K)
            took_ms, used_s = [], time.process_time()
            for query_1D in queries[asked.untimed :]:
                began = time.perf_counter()
                opened.search(name, query_1D, K)
                took_ms.append(1e3 * (time.perf_counter() - began))
            own_ms = 1e3 * (time.process_time() - used_s) / len(took_ms)
            median, late = np.quantile(took_ms, [0.5, 0.95])
            print(
                f"  {part.count:,} {name}: median {median:.2f} ms, 95th percentile {late:.2f} ms, "
                f"{own_ms:.2f} ms of this process's processor time"
            )
        opened.close()


if __name__ == "__main__":
    main()
