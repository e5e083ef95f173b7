"""A bundle and an index, looked at from end to end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from indexer.doctor.finding import Finding


def bundle_findings(path: Path) -> Iterator[Finding]:
    """A bundle is whole and its golden pairs come out."""
    from indexer.bundle import open_bundle
    from indexer.encoder import Encoder

    bundle = open_bundle(path)
    encoder = Encoder(bundle)
    yield Finding(
        "bundle",
        "ok",
        f"{bundle.manifest.name}, fingerprint {bundle.fingerprint[:12]}, {encoder.dim} dimensions; "
        f"its golden pairs agree on {encoder.provider}",
    )


def index_findings(path: Path) -> Iterator[Finding]:
    """Every generation of an index is sound, one serves, and there is room for another."""
    from indexer.store import list_generations, open_index, verify

    listed = list_generations(path)
    manifests = [one.manifest for one in listed if one.manifest is not None]
    yield from _milvus_findings(sorted({one.milvus.uri for one in manifests if one.milvus is not None}))
    for one in listed:
        problems = [one.problem] if one.problem else verify(path, one.id)
        shown = f"{one.id}{' (current)' if one.current else ''}"
        if problems:
            fix = f"python -m indexer rollback --index {path}" if one.current else "build another one"
            yield Finding("generation", "wrong", f"{shown}: {'; '.join(problems)}", fix)
        else:
            yield Finding("generation", "ok", shown)
    opened = open_index(path)
    try:
        counts = ", ".join(f"{part.count:,} {name}" for name, part in opened.manifest.collections.items())
        if opened.degraded:
            yield Finding("index", "wrong", opened.degraded, f"python -m indexer rollback --index {path}")
        else:
            yield Finding("index", "ok", f"serves {counts}")
    finally:
        opened.close()
    used = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    free = shutil.disk_usage(path).free
    needed = used // max(1, len(listed))
    told = f"the index takes {used / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free"
    if free > 2 * needed:
        yield Finding("disk", "ok", told)
    else:
        yield Finding("disk", "note", told, f"python -m indexer prune --index {path}, or a larger disk")


def _milvus_findings(uris: Sequence[str]) -> Iterator[Finding]:
    """Whether each Milvus that holds vectors of the index answers, and how soon."""
    from indexer.ann import AnnError
    from indexer.milvus import Milvus

    for uri in uris:
        try:
            with closing(Milvus(uri)) as milvus:
                started = time.perf_counter()
                there = len(milvus.names())
                took_ms = 1e3 * (time.perf_counter() - started)
        except AnnError as error:
            yield Finding(
                "milvus", "wrong", str(error), "start it, or build again with the vectors elsewhere"
            )
            continue
        yield Finding("milvus", "ok", f"{uri} answers in {took_ms:.0f} ms and holds {there} collections")
