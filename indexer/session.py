"""One graph in ONNX Runtime: opened with our options, its inputs, output and real provider checked.

Promise: what opens here takes the inputs it should and gives `embedding`, float32 [batch, dim].
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from indexer.cores import available_cores
from indexer.no_telemetry import no_telemetry

with no_telemetry():
    import onnxruntime

Provider = Literal["auto", "cpu", "cuda"]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
OUTPUT = "embedding"

_log = logging.getLogger(__name__)


class EncoderError(Exception):
    """The encoder cannot be made as asked, or an input cannot be embedded; the message says what to do."""


@dataclass(frozen=True)
class Port:
    """An input that a graph must have; None in its shape stands for a size that must stay open."""

    name: str
    kind: str  # in ONNX Runtime's words: tensor(float)
    shape: tuple[int | None, ...]


class GraphSession:
    """A graph that is ready to run, from any number of threads at once."""

    def __init__(
        self, path: Path, inputs: tuple[Port, ...], dim: int, *, provider: Provider, threads: int | None
    ) -> None:
        """Raises EncoderError where the graph is unreadable, its ports are others, or CUDA is not in use."""
        providers, options = _providers(provider), _options(threads)
        self._session, reason = _open(path, options, providers)
        self.provider: str = self._session.get_providers()[0]
        if len(providers) > 1 and self.provider != CUDA:
            sentence = (
                f"{path.name} should run on CUDA and runs on {self.provider} ({reason}): install the extra "
                f"`gpu` and an NVIDIA driver, or ask for cpu; `python -m indexer doctor` says what is missing"
            )
            if provider == "cuda":
                raise EncoderError(sentence)
            _log.warning("%s", sentence)
        _check_ports(path, self._session, inputs, dim)
        self._path, self._dim = path, dim

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The output `embedding`, float32 [batch, dim]; EncoderError where the graph fails."""
        try:
            (embedding,) = self._session.run([OUTPUT], dict(inputs))
        except Exception as error:  # it raises a dozen kinds that share no base
            raise EncoderError(f"{self._path.name} failed: {_first_line(error)}") from error
        batch = len(next(iter(inputs.values())))
        if embedding.shape != (batch, self._dim):
            raise EncoderError(
                f"{self._path} gave {list(embedding.shape)} for a batch of {batch} where the manifest "
                f"promises [{batch}, {self._dim}]: export the bundle again"
            )
        return np.asarray(embedding, dtype=np.float32)


def missed_cuda(asked: Provider, used: str) -> bool:
    """Whether the best provider was asked for, ONNX Runtime is built for CUDA, and another one is used."""
    return asked == "auto" and used != CUDA and CUDA in onnxruntime.get_available_providers()


def _providers(provider: Provider) -> list[Any]:
    available = onnxruntime.get_available_providers()
    if provider not in ("auto", "cpu", "cuda"):
        raise EncoderError(f"the provider should be auto, cpu or cuda, not {provider!r}")
    if provider == "cuda" and CUDA not in available:
        raise EncoderError(
            f"CUDA was asked for and this onnxruntime {onnxruntime.__version__} offers "
            f"{', '.join(available)}: install the extra `gpu` where the extra `cpu` is not, "
            f"or ask for cpu or auto"
        )
    if provider == "cpu" or CUDA not in available:
        return [CPU]
    onnxruntime.preload_dlls()
    cuda = {
        "arena_extend_strategy": "kSameAsRequested",
        # The default times every algorithm again for every new length of speech.
        "cudnn_conv_algo_search": "HEURISTIC",
        # TF32 rounds to 10 bits: enough to leave the golden tolerance and the CPU's vectors.
        "use_tf32": "0",
    }
    return [(CUDA, cuda), CPU]


def _open(path: Path, options: Any, providers: list[Any]) -> tuple[Any, str]:
    """The session, and why it may not be on the first of `providers`."""
    reason = "CUDA was not asked for"
    if len(providers) > 1:
        try:
            # ONNX Runtime's own fallback prints to stdout, where our answers go.
            session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=0)
            return session, "ONNX Runtime could not load its CUDA libraries"
        except Exception as error:  # noqa: BLE001  it raises a dozen kinds that share no base
            reason = _first_line(error)
    try:
        return onnxruntime.InferenceSession(path, options, providers=[CPU]), reason
    except Exception as error:  # likewise
        raise EncoderError(f"{path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error


def _options(threads: int | None) -> Any:
    if threads is not None and threads < 1:
        raise EncoderError(f"threads should be at least 1, not {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # what we must know we check ourselves
    # Waiting threads would burn the cores that decoding and search need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Every batch has another shape. With the arena a ResNet-26 on 1 to 16 clips of 0.5 to 8 s kept 505 MB,
    # 777 MB when it grows as requested, 277 MB without, at much the same speed (2 cores, onnxruntime 1.31).
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    return options


def _check_ports(path: Path, session: Any, inputs: tuple[Port, ...], dim: int) -> None:
    found = {port.name: port for port in session.get_inputs()}
    if set(found) != {port.name for port in inputs}:
        wanted, there = " and ".join(port.name for port in inputs), " and ".join(sorted(found))
        raise EncoderError(f"{path} should take {wanted} and takes {there or 'nothing'}: export it again")
    for port in inputs:
        _check_port(path, "input", found[port.name], port)
    outputs = {port.name: port for port in session.get_outputs()}
    if OUTPUT not in outputs:
        there = " and ".join(sorted(outputs))
        raise EncoderError(f"{path} should give {OUTPUT} and gives {there}: export it again")
    _check_port(path, "output", outputs[OUTPUT], Port(OUTPUT, "tensor(float)", (None, dim)))


def _check_port(path: Path, side: str, found: Any, wanted: Port) -> None:
    shape = list(found.shape)
    fits = len(shape) == len(wanted.shape) and all(
        # A size the graph leaves open shows as a name or None: any is then taken, and the run is checked.
        not isinstance(size, int) or size == needed
        for size, needed in zip(shape, wanted.shape, strict=True)
    )
    if found.type != wanted.kind or not fits:
        raise EncoderError(
            f"{path}: {side} {wanted.name} should be {wanted.kind} {_shown(wanted.shape)} and is "
            f"{found.type} {_shown(shape)}: export it again"
        )


def _shown(shape: Any) -> str:
    return "[" + ", ".join(str(size) if isinstance(size, int) else "any" for size in shape) + "]"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
