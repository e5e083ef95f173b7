"""What this machine is and what is installed on it. Nothing is asked to work yet."""

from __future__ import annotations

import importlib
import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata

from indexer.cores import CGROUP, available_cores
from indexer.doctor.finding import Finding

OWNED_FOLDERS = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "faiss": ("faiss-cpu", "faiss-gpu")}
"""Folders that several distributions write into; those that the extras cpu and gpu install for each."""

LIBRARIES = {"av": "av", "PIL": "pillow", "numpy": "numpy", "typer": "typer", "rich": "rich"}
"""Modules that indexing cannot do without, and the distribution each comes from."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def machine() -> Iterator[Finding]:
    """Python, cores and memory."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    host, usable = os.cpu_count() or 1, available_cores()
    limited = " by affinity or cgroup quota" if usable < host else ""
    yield Finding(
        "cores", "ok", f"{usable} of {host} usable{limited}; searching and encoding use {usable} threads"
    )
    for name in THREAD_VARIABLES:
        value = os.environ.get(name)
        if value is not None and value.isdigit() and int(value) > usable:
            fix = f"unset {name}, or set it to {usable}"
            yield Finding("cores", "note", f"{name} is {value} and only {usable} cores are usable", fix)
    memory = _memory_limit_bytes()
    if memory is not None:
        yield Finding(
            "memory", "ok" if memory >= 1 << 30 else "note", f"{memory / 2**30:.1f} GiB may be used"
        )


def _memory_limit_bytes() -> int | None:
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
    except OSError:
        return host
    return min(host, int(limit)) if limit.isdigit() else host


def owners() -> Iterator[Finding]:
    """One distribution may own each folder: a second one overwrites the first, and pip sees no conflict."""
    owning = metadata.packages_distributions()
    for folder, (cpu, gpu) in OWNED_FOLDERS.items():
        names = sorted(set(owning.get(folder, [])))
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
        if not names:
            fix = f"pip install 'saysee[cpu]' (brings {cpu}) or 'saysee[gpu]' (brings {gpu})"
            yield Finding(folder, "wrong", "not installed", fix)
        elif len(names) > 1:
            fix = (
                f"pip uninstall -y {' '.join(names)}, then pip install the one that is meant: {cpu} or {gpu}"
            )
            yield Finding(
                folder, "wrong", f"{len(names)} distributions write into one folder: {versions}", fix
            )
        else:
            yield Finding(folder, "ok", versions)
    families = {
        name.endswith(("-gpu", "-cuvs")) for folder in OWNED_FOLDERS for name in owning.get(folder, [])
    }
    if len(families) > 1:
        fix = "install the extra `cpu` or the extra `gpu` alone in a fresh environment"
        yield Finding("extras", "note", "one of onnxruntime and faiss is for the GPU, the other is not", fix)


def libraries() -> Iterator[Finding]:
    """What can be imported, and in which version."""
    for module, distribution in {**LIBRARIES, **{folder: folder for folder in OWNED_FOLDERS}}.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  a half-removed or mismatched library fails in any way it likes
            yield Finding(
                distribution,
                "wrong",
                f"cannot be imported ({error})",
                f"pip install --force-reinstall {distribution}",
            )
            continue
        if module not in OWNED_FOLDERS:
            yield Finding(distribution, "ok", metadata.version(distribution))
    yield Finding("sqlite", "ok", sqlite3.sqlite_version)
    yield Finding("milvus", "ok", _milvus_set())
    yield Finding("training", "ok", _training_set())


def _milvus_set() -> str:
    try:
        return f"pymilvus {metadata.version('pymilvus')} is installed"
    except metadata.PackageNotFoundError:
        return (
            "pymilvus is not installed, and vectors in files do without; for `--vectors milvus://HOST:PORT`, "
            "pip install 'saysee[milvus]'"
        )


def _training_set() -> str:
    """Without importing torch, which takes seconds and which only training may."""
    try:
        return f"torch {metadata.version('torch')} is installed"
    except metadata.PackageNotFoundError:
        return (
            "torch is not installed, and indexing and serving do without; to train, `make train-env` or "
            "pip install 'saysee[train]'"
        )
