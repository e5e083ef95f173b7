"""One input, one vector, whatever it came with; a wrong bundle or provider is refused at start."""

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from indexer import session
from indexer.bundle import Bundle, Golden, read_golden, write_bundle
from indexer.encoder import Encoder, EncoderError
from indexer.media import MediaSpec, Pixels, Waveform, decode_image, decode_speech
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.tiny_bundle import image_graph, speech_graph

RATE = 16000


def clip(seed: int, samples: int) -> Waveform:
    """A tone of its own in noise; cut to the sample, so that frames end anywhere."""
    random = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * random.uniform(0.05, 2.0)) * 0.3
    signal = (tone + 0.02 * random.standard_normal(samples)).astype(np.float32)
    return Waveform(samples=signal, sample_rate_hz=RATE, source_seconds=samples / RATE, truncated=False)


def picture(seed: int) -> Pixels:
    return decode_image(make_png(seed), MediaSpec())


@pytest.fixture(scope="module")
def encoder(tiny_bundle: Bundle) -> Encoder:
    return Encoder(tiny_bundle, provider="cpu", threads=1, max_batch=5)


def rewritten(bundle: Bundle, path: Path, **changes: Any) -> Bundle:
    """`bundle` with other graphs or golden pairs and the right digests: only its behaviour is wrong."""
    manifest = bundle.manifest
    graphs = {name: bundle.file(name) for name in manifest.graphs}
    for name, model in changes.pop("models", {}).items():
        graphs[name] = path.with_name(f"new-{name}")
        onnx.save(model, graphs[name])
    arguments: dict[str, Any] = {"dim": manifest.dim, "media": manifest.media, "golden": read_golden(bundle)}
    return write_bundle(
        path,
        name=manifest.name,
        system=manifest.system,
        similarity=manifest.similarity,
        graphs=graphs,
        training={},
        metrics={},
        licence="",
        **(arguments | changes),
    )


def test_what_it_says_of_itself(encoder: Encoder, tiny_bundle: Bundle) -> None:
    assert (encoder.bundle, encoder.dim, encoder.max_batch) == (tiny_bundle, 16, 5)
    assert encoder.provider == "CPUExecutionProvider"


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    for empty_ND in (encoder.speech([]), encoder.image([])):
        assert empty_ND.shape == (0, 16)
        assert empty_ND.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1600, 8 * RATE), min_size=1, max_size=24), st.integers(0, 2**32 - 1))
def test_a_clip_alone_and_in_a_batch(encoder: Encoder, lengths: list[int], seed: int) -> None:
    clips = [clip(seed + i, length) for i, length in enumerate(lengths)]
    together_ND = encoder.speech(clips)
    alone_ND = np.concatenate([encoder.speech([one]) for one in clips])
    assert (together_ND * alone_ND).sum(axis=1).min() >= 0.9999
    np.testing.assert_allclose(together_ND, alone_ND, atol=1e-5)


def test_unlike_clips_and_pictures_differ(encoder: Encoder) -> None:
    tones = [decode_speech(make_wav(1.0, hz), MediaSpec()) for hz in (200, 400, 800, 1600)]
    for vectors_ND in (encoder.speech(tones), encoder.image([picture(i) for i in range(4)])):
        assert vectors_ND.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors_ND, axis=1), 1, atol=1e-5)
        assert (vectors_ND @ vectors_ND.T - np.eye(4)).max() < 0.99


def test_pictures_keep_their_order(encoder: Encoder) -> None:
    pictures = [picture(i) for i in range(13)]
    alone_ND = np.concatenate([encoder.image([one]) for one in pictures])
    np.testing.assert_allclose(encoder.image(pictures), alone_ND, atol=1e-6)


def test_batches_stay_within_their_bounds(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(tiny_bundle, max_batch=5)
    shapes: list[tuple[int, ...]] = []
    real = encoder._speech.run

    def watched(inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        shapes.append(inputs["waveform"].shape)
        return real(inputs)

    monkeypatch.setattr(encoder._speech, "run", watched)
    lengths = np.random.default_rng(0).integers(1600, 8 * RATE, 40).tolist()
    encoder.speech([clip(i, length) for i, length in enumerate(lengths)])
    assert sum(count for count, _ in shapes) == 40
    assert all(count <= 5 and samples % (RATE // 2) == 0 and samples <= 8 * RATE for count, samples in shapes)
    assert sum(count * samples for count, samples in shapes) < 1.3 * sum(lengths)


def test_threads_get_what_one_alone_gets(encoder: Encoder) -> None:
    batches = [[clip(100 * i + j, 1600 + 7919 * j) for j in range(i % 7 + 1)] for i in range(24)]
    serial = [encoder.speech(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for expected_ND, found_ND in zip(serial, pool.map(encoder.speech, batches), strict=True):
            np.testing.assert_array_equal(found_ND, expected_ND)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(clip(1, 8000), sample_rate_hz=8000), "clip 2 has 8000 Hz and the bundle takes 16000 Hz"),
        (clip(1, 0), r"clip 2 has \[0\] samples"),
        (clip(1, 8 * RATE + 1), "takes 1 to 128000"),
        (replace(clip(1, 8000), samples=np.zeros((2, 8000), np.float32)), r"\[2, 8000\]"),
        (
            replace(clip(1, 8000), samples=np.full(8000, np.nan, np.float32)),
            "clip 2 holds a sample that is not",
        ),
    ],
)
def test_refuses_a_clip_by_its_place(encoder: Encoder, wrong: Waveform, words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        encoder.speech([clip(0, 9000), clip(3, 2000), wrong])


def test_refuses_a_picture_of_another_size(encoder: Encoder) -> None:
    small = Pixels(array=np.zeros((64, 64, 3), np.uint8), source_width=64, source_height=64)
    with pytest.raises(
        EncoderError, match=r"picture 1 is uint8 \[64, 64, 3\] and the bundle takes uint8 \[96, 96, 3\]"
    ):
        encoder.image([picture(0), small])


def test_names_the_input_that_gave_nan(encoder: Encoder) -> None:
    # Finite, and yet its square is not: the graph gives NaN, and only for this clip.
    loud = replace(clip(1, 8000), samples=np.full(8000, 1e30, np.float32))
    with pytest.raises(EncoderError, match="clip 3 gave a vector that is not finite"):
        encoder.speech([clip(0, 9000), clip(2, 2000), clip(4, 1600), loud, clip(5, 20000)])


@pytest.mark.parametrize("side", ["speech", "image"])
def test_golden_mismatch_is_refused_with_both_values(tiny_bundle: Bundle, tmp_path: Path, side: str) -> None:
    golden = read_golden(tiny_bundle)
    vector: NDArray[np.float32] = getattr(golden, f"{side}_vector").copy()
    expected = float(vector[3])
    vector[3] += 0.0009
    speech, image = (vector if name == side else None for name in ("speech", "image"))
    other = Golden(
        golden.speech_wav,
        golden.image_png,
        golden.speech_vector if speech is None else speech,
        golden.image_vector if image is None else image,
    )
    bundle = rewritten(tiny_bundle, tmp_path / "b", golden=other)
    with pytest.raises(
        EncoderError, match=rf"golden {side} vector: component 3 .* {vector[3]:.6f} .* 0\.0001"
    ) as caught:
        Encoder(bundle)
    assert abs(float(re.findall(r"and is (-?[\d.]+) on", str(caught.value))[0]) - expected) < 2e-6
    assert Encoder(bundle, check_golden=False).dim == 16


def test_other_weights_with_old_golden_pairs_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = rewritten(tiny_bundle, tmp_path / "b", models={"image.onnx": image_graph(MediaSpec(), 1, 16)})
    with pytest.raises(EncoderError, match="does not reproduce its golden image vector"):
        Encoder(bundle)


def renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    return model


def with_input(
    model: onnx.ModelProto, index: int, kind: int, shape: list[str | int | None]
) -> onnx.ModelProto:
    name = model.graph.input[index].name
    model.graph.input[index].CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    return model


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        (
            "speech.onnx",
            lambda m: renamed(speech_graph(m, 0, 16), "waveform", "audio"),
            "takes audio and samples_val",
        ),
        (
            "image.onnx",
            lambda m: renamed(image_graph(m, 0, 16), "embedding", "out"),
            "give embedding and gives out",
        ),
        (
            "image.onnx",
            lambda m: image_graph(m, 0, 8),
            r"output embedding should be .*\[any, 16\] .*\[any, 8\]",
        ),
        (
            "image.onnx",
            lambda m: image_graph(replace(m, image_size=64), 0, 16),
            r"\[any, 96, 96, 3\] .*\[any, 64, 64, 3\]",
        ),
        (
            "image.onnx",
            lambda m: with_input(image_graph(m, 0, 16), 0, TensorProto.UINT8, [1, 96, 96, 3]),
            r"input pixels should be .*\[any, 96, 96, 3\] and is .*\[1, 96, 96, 3\]",
        ),
        (
            "image.onnx",
            lambda m: with_input(image_graph(m, 0, 16), 0, TensorProto.FLOAT, ["batch", 96, 96, 3]),
            r"tensor\(uint8\) .* and is tensor\(float\)",
        ),
    ],
)
def test_wrong_graphs_fail_at_start(
    tiny_bundle: Bundle, tmp_path: Path, name: str, make: Callable[[MediaSpec], onnx.ModelProto], words: str
) -> None:
    bundle = rewritten(tiny_bundle, tmp_path / "b", models={name: make(MediaSpec())})
    with pytest.raises(EncoderError, match=words):
        Encoder(bundle)


def test_an_unreadable_graph_fails_at_start(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = rewritten(tiny_bundle, tmp_path / "b")
    (bundle.path / "speech.onnx").write_bytes(b"no graph")
    with pytest.raises(EncoderError, match=r"speech\.onnx cannot be loaded by ONNX Runtime"):
        Encoder(bundle)


def test_more_outputs_do_no_harm(tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = image_graph(MediaSpec(), 0, 16)
    model.graph.output.append(helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["batch", 3, 4, 4]))
    bundle = rewritten(tiny_bundle, tmp_path / "b", models={"image.onnx": model})
    assert Encoder(bundle).image([picture(0)]).shape == (1, 16)


@pytest.mark.parametrize("options", [{"provider": "gpu"}, {"threads": 0}, {"max_batch": 0}])
def test_refuses_wrong_options(tiny_bundle: Bundle, options: dict[str, Any]) -> None:
    with pytest.raises(EncoderError, match="should be"):
        Encoder(tiny_bundle, **options)


def test_cuda_without_its_runtime_is_refused(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [session.CPU])
    with pytest.raises(EncoderError, match="offers CPUExecutionProvider: install the extra `gpu`"):
        Encoder(tiny_bundle, provider="cuda")
    assert Encoder(tiny_bundle, provider="auto").provider == session.CPU


class RuntimeWithoutLibraries:
    """An ONNX Runtime built for CUDA that quietly opens its sessions on CPU, as the real one does."""

    __version__ = "1.26.0"
    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, fault: Exception | None = None) -> None:
        self.preloaded, self.fault = 0, fault

    def get_available_providers(self) -> list[str]:
        return [session.CUDA, session.CPU]

    def preload_dlls(self) -> None:
        self.preloaded += 1

    def InferenceSession(  # noqa: N802  ONNX Runtime's own name
        self, path: Path, options: Any, *, providers: list[Any], enable_fallback: int = 1
    ) -> Any:
        if len(providers) > 1 and self.fault:
            raise self.fault
        return RealSession(path, options, providers=[session.CPU])


RealSession = onnxruntime.InferenceSession


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (None, "could not load its CUDA libraries"),
        (RuntimeError("CUDA failure 100\nat line 3"), "CUDA failure 100"),
    ],
)
def test_a_silent_fall_back_to_cpu_is_noticed(
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception | None,
    reason: str,
) -> None:
    runtime = RuntimeWithoutLibraries(fault)
    monkeypatch.setattr(session, "onnxruntime", runtime)
    with pytest.raises(EncoderError, match=rf"runs on CPUExecutionProvider \(.*{reason}\): .*doctor"):
        Encoder(tiny_bundle, provider="cuda")
    assert Encoder(tiny_bundle, provider="auto").provider == session.CPU
    assert reason in caplog.text
    loaded = runtime.preloaded
    assert loaded > 0
    assert Encoder(tiny_bundle, provider="cpu").provider == session.CPU
    assert runtime.preloaded == loaded


def test_needs_no_torch() -> None:
    code = "import sys, indexer.encoder, indexer.recall; sys.exit(bool({'torch', 'onnx'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.gpu
def test_cuda_gives_the_vectors_of_cpu(tiny_bundle: Bundle, encoder: Encoder) -> None:
    cuda = Encoder(tiny_bundle, provider="cuda")
    assert cuda.provider == session.CUDA
    clips, pictures = [clip(i, 1600 + 5003 * i) for i in range(20)], [picture(i) for i in range(20)]
    np.testing.assert_allclose(cuda.speech(clips), encoder.speech(clips), atol=1e-4)
    np.testing.assert_allclose(cuda.image(pictures), encoder.image(pictures), atol=1e-4)
