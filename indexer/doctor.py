"""What is installed, what is really used, what is wrong, and the fix for each. Looks, and changes nothing."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from indexer.cores import CGROUP, available_cores

Verdict = Literal["ok", "note", "wrong"]

OWNED_FOLDERS = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "faiss": ("faiss-cpu", "faiss-gpu")}
"""Folders that several distributions write into; those that the extras cpu and gpu install for each."""

LIBRARIES = {"av": "av", "PIL": "pillow", "numpy": "numpy", "typer": "typer", "rich": "rich"}
"""Modules that indexing cannot do without, and the distribution each comes from."""

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# An ONNX graph of one node, y = Identity(x), written out so that no library is needed to make it.
IDENTITY_GRAPH = bytes.fromhex(
    "08083a370a100a0178120179220849"
    "64656e74697479"
    "120167"
    "5a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a020801"
    "42040a00100d"
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `fix` is what to do when it is wrong, or could be better."""

    subject: str
    verdict: Verdict
    found: str
    fix: str | None = None


def examine(*, bundle: Path | None = None, index: Path | None = None) -> list[Finding]:
    """Everything that can be found out here; with a bundle or an index, those too."""
    findings = [*_machine(), *_owners(), *_libraries()]
    broken = any(one.verdict == "wrong" for one in findings)
    if not broken:  # what follows imports the libraries that were just found sound
        findings += [*_onnxruntime(), *_faiss()]
        if bundle is not None:
            findings += _guarded("bundle", lambda: _bundle(bundle))
        if index is not None:
            findings += _guarded("index", lambda: _index(index))
    return findings


def told(findings: list[Finding]) -> str:
    """The findings as lines for a person."""
    lines = []
    for one in findings:
        lines.append(f"{one.verdict:5}  {one.subject}: {one.found}")
        if one.fix:
            lines.append(f"       fix: {one.fix}")
    return "\n".join(lines)


def _machine() -> Iterator[Finding]:
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


def _owners() -> Iterator[Finding]:
    """One distribution may own each folder: a second one overwrites the first, and pip sees no conflict."""
    owners = metadata.packages_distributions()
    for folder, (cpu, gpu) in OWNED_FOLDERS.items():
        names = sorted(set(owners.get(folder, [])))
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
        name.endswith(("-gpu", "-cuvs")) for folder in OWNED_FOLDERS for name in owners.get(folder, [])
    }
    if len(families) > 1:
        fix = "install the extra `cpu` or the extra `gpu` alone in a fresh environment"
        yield Finding("extras", "note", "one of onnxruntime and faiss is for the GPU, the other is not", fix)


def _libraries() -> Iterator[Finding]:
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
    yield Finding("training", "ok", _training_set())


def _training_set() -> str:
    """Without importing torch, which takes seconds and which only training may."""
    try:
        return f"torch {metadata.version('torch')} is installed"
    except metadata.PackageNotFoundError:
        return (
            "torch is not installed, and indexing and serving do without; to train, `make train-env` or "
            "pip install 'saysee[train]'"
        )


def _onnxruntime() -> Iterator[Finding]:
    import onnxruntime

    if not hasattr(onnxruntime, "InferenceSession"):
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them"
        yield Finding("onnxruntime", "wrong", "its folder is there and empty", fix)
        return
    offered = onnxruntime.get_available_providers()
    gpu_there = Path("/dev/nvidiactl").exists()
    if CUDA not in offered:
        used, _ = _provider_used([CPU])
        if gpu_there:
            fix = "install the extra `gpu` instead of `cpu` in a fresh environment"
            yield Finding("provider", "note", f"{used} is used and an NVIDIA GPU is idle", fix)
        else:
            yield Finding("provider", "ok", f"{used} is really used; offered: {', '.join(offered)}")
        return
    used, reason = _provider_used([CUDA, CPU])
    if used == CUDA:
        yield Finding("provider", "ok", f"{used} is really used; offered: {', '.join(offered)}")
    elif gpu_there:
        fix = "pip install 'onnxruntime-gpu[cuda,cudnn]', and see that nvidia-smi works"
        yield Finding("provider", "wrong", f"CUDA is offered and {used} is used ({reason})", fix)
    else:
        fix = "give the container the GPU (--gpus all), or install the extra `cpu` instead of `gpu`"
        yield Finding("provider", "wrong", f"CUDA is offered, {used} is used, no NVIDIA GPU is visible", fix)


def _provider_used(asked: list[str]) -> tuple[str, str]:
    """What a session that asks for these really runs on, and why not on the first of them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    reason = "its CUDA libraries could not be loaded"
    try:
        if CUDA in asked:
            onnxruntime.preload_dlls()
        # ONNX Runtime's own fallback prints to stdout, where the answer goes.
        session = onnxruntime.InferenceSession(IDENTITY_GRAPH, options, providers=asked, enable_fallback=0)
    except Exception as error:  # noqa: BLE001  it raises a dozen kinds that share no base
        if asked == [CPU]:
            return "no provider", str(error)
        reason = str(error).strip().splitlines()[0]
        session = onnxruntime.InferenceSession(IDENTITY_GRAPH, options, providers=[CPU])
    return str(session.get_providers()[0]), reason


def _faiss() -> Iterator[Finding]:
    import faiss

    gpus = faiss.get_num_gpus()
    built_for_gpu = hasattr(faiss, "StandardGpuResources")
    if built_for_gpu and gpus == 0:
        fix = (
            "nothing if the CPU is meant; else check the driver with nvidia-smi (CUDA 12 wants 525 or newer)"
        )
        yield Finding("faiss gpus", "note", "faiss is built for GPUs and sees none; it works on the CPU", fix)
    else:
        yield Finding(
            "faiss gpus", "ok", f"{gpus}; {faiss.omp_get_max_threads()} OpenMP threads before ours are set"
        )


def _bundle(path: Path) -> Iterator[Finding]:
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


def _index(path: Path) -> Iterator[Finding]:
    from indexer.store import list_generations, open_index, verify

    listed = list_generations(path)
    for one in listed:
        problems = [one.problem] if one.problem else verify(path, one.id)
        shown = f"{one.id}{' (current)' if one.current else ''}"
        if problems:
            fix = (
                f"python -m indexer rollback --index {path}"
                if one.current
                else "python -m indexer prune, or build again"
            )
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


def _guarded(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What `look` finds; its own error, which names the fix, as a finding."""
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except Exception as error:  # noqa: BLE001  whatever is wrong is what was asked for
        findings.append(Finding(subject, "wrong", str(error), None))
    return findings
