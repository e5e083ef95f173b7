"""What ONNX Runtime and FAISS really use, found out by using them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexer.doctor.finding import Finding
from indexer.no_telemetry import no_telemetry

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

# An ONNX graph of one node, y = Identity(x), written out so that no library is needed to make it.
IDENTITY_GRAPH = bytes.fromhex(
    "08083a370a100a0178120179220849"
    "64656e74697479"
    "120167"
    "5a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a020801"
    "42040a00100d"
)


def onnx_runtime() -> Iterator[Finding]:
    """Where a session really runs."""
    with no_telemetry():
        import onnxruntime

    if not hasattr(onnxruntime, "InferenceSession"):
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them"
        yield Finding("onnxruntime", "wrong", "its folder is there and empty", fix)
        return
    offered = onnxruntime.get_available_providers()
    gpu_there = Path("/dev/nvidiactl").exists()
    if CUDA not in offered:
        used, _ = provider_used([CPU])
        if gpu_there:
            fix = "install the extra `gpu` instead of `cpu` in a fresh environment"
            yield Finding("provider", "note", f"{used} is used and an NVIDIA GPU is idle", fix)
        else:
            yield Finding("provider", "ok", f"{used} is really used; offered: {', '.join(offered)}")
        return
    used, reason = provider_used([CUDA, CPU])
    if used == CUDA:
        yield Finding("provider", "ok", f"{used} is really used; offered: {', '.join(offered)}")
    elif gpu_there:
        fix = "pip install 'onnxruntime-gpu[cuda,cudnn]', and see that nvidia-smi works"
        yield Finding("provider", "wrong", f"CUDA is offered and {used} is used ({reason})", fix)
    else:
        fix = "give the container the GPU (--gpus all), or install the extra `cpu` instead of `gpu`"
        yield Finding("provider", "wrong", f"CUDA is offered, {used} is used, no NVIDIA GPU is visible", fix)


def provider_used(asked: list[str]) -> tuple[str, str]:
    """What a session that asks for these really runs on, and why not on the first of them."""
    with no_telemetry():
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


def faiss_gpus() -> Iterator[Finding]:
    """How many GPUs FAISS sees."""
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
