"""Run -> model bundle: both towers to ONNX, compared with torch on real items, with golden pairs beside them.

A bundle is written only after ONNX Runtime has loaded both graphs and agreed with torch at several lengths
and batch sizes. Shape legend: B batch, S samples, D embedding.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from indexer.bundle import IMAGE_GRAPH, SPEECH_GRAPH, Bundle, Golden, write_bundle
from indexer.media import MediaError, MediaSpec, Pixels, Waveform, decode_image, decode_speech
from indexer.no_telemetry import no_telemetry
from training.datasets.pairs import PairSet
from training.evaluate import ModelEmbedder, padded
from training.half import store_half
from training.preset import Preset
from training.towers.dual import DualEncoder

with no_telemetry():
    import onnxruntime

T = TypeVar("T")
M = TypeVar("M")
SAMPLES = 6
"""Clips and pictures that torch and ONNX Runtime are compared on."""
OPSET = 20
"""The newest that ONNX Runtime 1.26 (the CUDA 12 line) is sure to load."""
PARITY = 1e-4
"""Largest difference between torch and ONNX Runtime, as a share of the largest component if above 1."""

GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden vector on another machine, in the same units."""
HALF_COSINE = 0.999
"""Smallest cosine between a vector with float32 and with float16 weights."""


class ExportError(Exception):
    """An exported graph that does not load or does not agree with torch."""


def export(
    model: DualEncoder,
    preset: Preset,
    samples: PairSet,
    out: Path,
    *,
    training: dict[str, Any],
    metrics: dict[str, Any],
    licence: str,
    name: str | None = None,
    half: bool = False,
) -> tuple[Bundle, float]:
    """Write the bundle of `model` to `out`; the first clip and picture of `samples` become the golden pair.

    With `half` the weights are stored as float16 (see `training.half`), after the comparison with torch.
    Returns the bundle and the largest difference from torch. Raises ExportError when a graph fails the
    comparison or none of `samples` decodes, BundleError when the bundle cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists already: remove it or choose another folder for the bundle")
    spec = preset.media.spec()
    model = model.eval()
    waves = _some(samples.clips, lambda clip: decode_speech(clip.media.read(), spec))
    pictures = _some(samples.pictures, lambda picture: decode_image(picture.media.read(), spec))
    with tempfile.TemporaryDirectory() as folder:
        graphs = {SPEECH_GRAPH: Path(folder) / SPEECH_GRAPH, IMAGE_GRAPH: Path(folder) / IMAGE_GRAPH}
        _export_speech(model.speech, spec, graphs[SPEECH_GRAPH])
        _export_image(model.image, spec, graphs[IMAGE_GRAPH])
        differences = [
            *_compare_speech(graphs[SPEECH_GRAPH], model, waves),
            *_compare_images(graphs[IMAGE_GRAPH], model, pictures),
        ]
        worst = float(np.max(differences))
        if not worst <= PARITY:  # so that NaN does not pass
            raise ExportError(
                f"ONNX Runtime and torch differ by {worst:.1e}, more than {PARITY:.0e}; nothing written"
            )
        if half:
            _halve(graphs, waves, pictures)
        golden = _golden(graphs, waves[0], pictures[0], spec)
        largest = max(
            1.0, float(np.abs(golden.speech_vector).max()), float(np.abs(golden.image_vector).max())
        )
        bundle = write_bundle(
            out,
            name=name or preset.name,
            system=preset.system,
            dim=preset.embedding.dim,
            similarity=preset.embedding.similarity,
            media=spec,
            graphs=graphs,
            golden=golden,
            training={"preset": preset.name, "seed": preset.seed, "code_version": _version(), **training},
            metrics=metrics,
            licence=licence,
            golden_tolerance=GOLDEN_TOLERANCE * largest,
        )
    return bundle, worst


def _some(items: Sequence[T], decode: Callable[[T], M]) -> list[M]:
    """The first few that decode."""
    good: list[M] = []
    reason = "there is none"
    for item in items:
        try:
            good.append(decode(item))
        except (MediaError, OSError) as error:
            reason = str(error)
        if len(good) == SAMPLES:
            break
    if not good:
        raise ExportError(f"no item to compare and to keep as golden could be decoded: {reason}")
    return good


def _version() -> str:
    try:
        return version("saysee")
    except PackageNotFoundError:
        return "not installed as a package"


def _halve(graphs: dict[str, Path], waves: Sequence[Waveform], pictures: Sequence[Pixels]) -> None:
    """Store both graphs' weights as float16, and check that no vector turns by more than HALF_COSINE."""

    def vectors() -> NDArray[np.float32]:
        spoken = _run_speech(_session(graphs[SPEECH_GRAPH]), waves)
        return np.concatenate([spoken, _run_images(_session(graphs[IMAGE_GRAPH]), pictures)])

    before = vectors()
    for path in graphs.values():
        store_half(path)
    after = vectors()
    cosines = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    if not cosines.min() >= HALF_COSINE:
        raise ExportError(
            f"float16 weights turn a vector to a cosine of {cosines.min():.4f} with what it was, less than "
            f"{HALF_COSINE}; nothing written, export float32 weights"
        )


def _to_onnx(
    module: nn.Module, example: tuple[torch.Tensor, ...], path: Path, names: Sequence[str], axes: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates parts of itself
        program = torch.onnx.export(
            module,
            example,
            input_names=list(names),
            output_names=["embedding"],
            dynamic_shapes=axes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch gave no ONNX program")
    program.save(str(path), external_data=False)
    graph = onnx.load(path)
    graph.ir_version = min(graph.ir_version, 10)
    _forget_its_making(graph)
    onnx.save(graph, path)
    onnx.checker.check_model(str(path))


def _forget_its_making(model: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they name folders of this machine and would enter the fingerprint."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")


def _export_speech(module: nn.Module, spec: MediaSpec, path: Path) -> None:
    samples = round(min(2.0, spec.max_seconds) * spec.sample_rate_hz) + 77
    example = (torch.randn(2, samples) * 0.1, torch.tensor([samples, samples // 2]))
    batch = torch.export.Dim("batch", min=1, max=4096)
    most = round(spec.max_seconds * spec.sample_rate_hz) + spec.sample_rate_hz
    axes = ({0: batch, 1: torch.export.Dim("samples", min=1600, max=most)}, {0: batch})
    _to_onnx(module, example, path, ("waveform", "samples_valid"), axes)


def _export_image(module: nn.Module, spec: MediaSpec, path: Path) -> None:
    size = spec.image_size
    example = (torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8),)
    _to_onnx(module, example, path, ("pixels",), ({0: torch.export.Dim("batch", min=1, max=4096)},))


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _run_speech(session: onnxruntime.InferenceSession, waves: Sequence[Waveform]) -> NDArray[np.float32]:
    waveform_BS, valid_B = padded(waves)
    (vectors,) = session.run(["embedding"], {"waveform": waveform_BS, "samples_valid": valid_B})
    return np.asarray(vectors)


def _run_images(session: onnxruntime.InferenceSession, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    (vectors,) = session.run(["embedding"], {"pixels": np.stack([picture.array for picture in pictures])})
    return np.asarray(vectors)


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(ours).max())))


def _compare_speech(path: Path, model: DualEncoder, waves: Sequence[Waveform]) -> list[float]:
    session, embedder = _session(path), ModelEmbedder(model)
    groups = [list(waves), *([wave] for wave in waves[:3])]
    return [_difference(embedder.speech(group), _run_speech(session, group)) for group in groups]


def _compare_images(path: Path, model: DualEncoder, pictures: Sequence[Pixels]) -> list[float]:
    session, embedder = _session(path), ModelEmbedder(model)
    groups = [list(pictures), *([picture] for picture in pictures[:3])]
    return [_difference(embedder.image(group), _run_images(session, group)) for group in groups]


def _golden(graphs: dict[str, Path], wave: Waveform, picture: Pixels, spec: MediaSpec) -> Golden:
    """The pair as files that decode to exactly what was embedded: 16-bit samples, pixels at model size."""
    sound, png = io.BytesIO(), io.BytesIO()
    soundfile.write(sound, wave.samples, spec.sample_rate_hz, format="WAV", subtype="PCM_16")
    Image.fromarray(picture.array).save(png, format="PNG")
    wave = decode_speech(sound.getvalue(), spec)
    picture = decode_image(png.getvalue(), spec)
    return Golden(
        sound.getvalue(),
        png.getvalue(),
        _run_speech(_session(graphs[SPEECH_GRAPH]), [wave])[0],
        _run_images(_session(graphs[IMAGE_GRAPH]), [picture])[0],
    )
