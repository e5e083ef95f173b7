"""Export: a bundle opens where it is served and gives torch's vectors; one that disagrees is not written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from indexer.bundle import Bundle, open_bundle
from indexer.encoder import Encoder
from indexer.media import MediaSpec, Pixels, Waveform, decode_image
from tests.fixtures.tiny_training import CONV_PRESET, SPECTROGRAM_PRESET, make_learnable_corpus, tiny_preset
from training import export as exporting
from training.datasets import PairSet, open_dataset
from training.datasets.pairs import Clip, File, Picture
from training.evaluate import ModelEmbedder
from training.export import ExportError, export
from training.preset import Preset
from training.towers.dual import DualEncoder

PRESETS = {"conv": CONV_PRESET, "spectrogram": SPECTROGRAM_PRESET}


@dataclass(frozen=True)
class Exported:
    preset: Preset
    model: DualEncoder
    samples: PairSet
    bundle: Bundle
    worst: float

    @property
    def media(self) -> MediaSpec:
        return self.preset.media.spec()


def lived_in_model(preset: Preset) -> DualEncoder:
    """Random weights and batch norms that have seen something."""
    torch.manual_seed(3)
    model = DualEncoder(preset)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module", params=sorted(PRESETS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    preset = tiny_preset(folder, PRESETS[request.param])
    samples = open_dataset(make_learnable_corpus(folder / "pairs", train=7, dev=0), "train")
    model = lived_in_model(preset)
    bundle, worst = export(
        model,
        preset,
        samples,
        folder / "bundle",
        training={"data": {"train": "pairs"}, "steps": 7},
        metrics={"dev": {}},
        licence="Apache-2.0",
    )
    return Exported(preset, model, samples, bundle, worst)


@pytest.fixture(scope="module")
def encoder(exported: Exported) -> Encoder:
    """Checks the golden pairs as it opens."""
    return Encoder(open_bundle(exported.bundle.path), provider="cpu", threads=1)


def make_waveform(samples: int) -> Waveform:
    noise = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.1
    return Waveform(noise, 16_000, samples / 16_000, False)


def test_the_encoder_gives_torchs_vectors_at_any_length(exported: Exported, encoder: Encoder) -> None:
    ours = ModelEmbedder(exported.model)
    for samples in (1600, 1601, 1919, 7999, 8000, 8001, 12_345, exported.media.max_samples):
        wave = make_waveform(samples)
        expected = ours.speech([wave])
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(encoder.speech([wave]) / scale, expected / scale, atol=1e-4)


def test_a_clip_alone_and_in_a_batch_give_the_same_vector(exported: Exported, encoder: Encoder) -> None:
    waves = [make_waveform(samples) for samples in (1600, 15_999, 4321, 12_000, 1601)]
    together, alone = encoder.speech(waves), np.concatenate([encoder.speech([wave]) for wave in waves])
    cosines = (
        (together * alone).sum(axis=1) / np.linalg.norm(together, axis=1) / np.linalg.norm(alone, axis=1)
    )
    assert cosines.min() >= 0.9999


def test_pictures_give_torchs_vectors_alone_and_together(exported: Exported, encoder: Encoder) -> None:
    size = exported.media.image_size
    arrays = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    pictures = [Pixels(array, size, size) for array in arrays]
    pictures += [decode_image(picture.media.read(), exported.media) for picture in exported.samples.pictures]
    expected = ModelEmbedder(exported.model).image(pictures)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(encoder.image(pictures) / scale, expected / scale, atol=1e-4)
    np.testing.assert_allclose(encoder.image(pictures[6:7])[0] / scale, expected[6] / scale, atol=1e-4)


def test_the_manifest_says_what_it_is_and_whence(exported: Exported) -> None:
    manifest = open_bundle(exported.bundle.path).manifest
    assert (manifest.name, manifest.system) == (exported.preset.name, exported.preset.system)
    assert (manifest.dim, manifest.similarity) == (
        exported.preset.embedding.dim,
        exported.preset.embedding.similarity,
    )
    assert manifest.media == exported.media
    assert manifest.training["data"] == {"train": "pairs"}
    assert (manifest.training["preset"], manifest.training["seed"], manifest.training["steps"]) == (
        exported.preset.name,
        1,
        7,
    )
    assert manifest.training["code_version"]
    assert manifest.licence == "Apache-2.0"
    assert 0 <= exported.worst <= exporting.PARITY


def test_graphs_hold_no_path_of_the_machine_that_made_them(exported: Exported) -> None:
    here = str(Path(__file__).resolve().parents[2]).encode()
    for graph in exported.bundle.path.glob("*.onnx"):
        content = graph.read_bytes()
        assert here not in content
        assert b"site-packages" not in content


def test_graphs_use_what_every_runtime_has(exported: Exported) -> None:
    """One domain, a known opset, and no STFT, for which ONNX Runtime has no CUDA kernel."""
    for name in ("speech.onnx", "image.onnx"):
        graph = onnx.load(exported.bundle.path / name)
        assert {opset.domain: opset.version for opset in graph.opset_import} == {"": exporting.OPSET}
        assert graph.ir_version <= 10
        used = {node.op_type for node in graph.graph.node}
        assert not used & {"STFT", "DFT", "MelWeightMatrix", "Loop", "If", "RandomNormal", "Dropout"}


def test_float16_weights_halve_the_file_and_turn_no_vector(
    exported: Exported, encoder: Encoder, tmp_path: Path
) -> None:
    bundle, _ = export(
        exported.model,
        exported.preset,
        exported.samples,
        tmp_path / "half",
        training={},
        metrics={},
        licence="Apache-2.0",
        half=True,
    )
    assert bundle.fingerprint != exported.bundle.fingerprint
    # The tiny towers' many small tensors stay as they are.
    small, full = ((b.path / "image.onnx").stat().st_size for b in (bundle, exported.bundle))
    assert small < 0.8 * full
    halved = Encoder(bundle, provider="cpu", threads=1)
    wave = make_waveform(9000)
    ours, theirs = encoder.speech([wave])[0], halved.speech([wave])[0]
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > exporting.HALF_COSINE


# ---- what is refused ---------------------------------------------------------------------------------------


class Noisy(nn.Module):
    """One thing in the exported graph, another in torch: what an op that exports wrongly does."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor) -> Tensor:
        vectors: Tensor = self.inner(pixels)
        return vectors if torch.compiler.is_exporting() else vectors + 0.01


def refused(preset: Preset, model: DualEncoder, samples: PairSet, out: Path) -> None:
    export(model, preset, samples, out, training={}, metrics={}, licence="Apache-2.0")


def test_a_graph_that_disagrees_is_not_written(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported.model, "image", Noisy(exported.model.image))
    with pytest.raises(
        ExportError, match=r"ONNX Runtime and torch differ by .*, more than 1e-04; nothing written"
    ):
        refused(exported.preset, exported.model, exported.samples, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_gives_no_number_is_not_written(tmp_path: Path) -> None:
    preset = tiny_preset(tmp_path)
    samples = open_dataset(make_learnable_corpus(tmp_path / "pairs", train=2, dev=0), "train")
    model = lived_in_model(preset)
    with torch.no_grad():
        next(model.image.parameters()).fill_(float("nan"))
    with pytest.raises(ExportError, match=r"ONNX Runtime and torch differ by nan"):
        refused(preset, model, samples, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_holds_something_is_refused_before_the_work(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(ExportError, match="exists already: remove it or choose another folder"):
        refused(exported.preset, exported.model, exported.samples, tmp_path)


def test_samples_that_do_not_decode_are_passed_over_or_named(tmp_path: Path) -> None:
    preset = tiny_preset(tmp_path)
    nowhere = File(tmp_path / "nowhere")
    broken = PairSet("x", "dev", (Picture("p", nowhere, "p"),), (Clip("c", nowhere, "p"),))
    with pytest.raises(
        ExportError, match=r"no item to compare and to keep as golden could be decoded: .*nowhere"
    ):
        refused(preset, lived_in_model(preset), broken, tmp_path / "bundle")
    samples = open_dataset(make_learnable_corpus(tmp_path / "pairs", train=8, dev=0), "train")
    mixed = exporting._some((*broken.clips, *samples.clips), lambda clip: clip.media.read())
    assert mixed == [clip.media.read() for clip in samples.clips[:6]]
