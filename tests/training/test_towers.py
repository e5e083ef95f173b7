"""Towers: padding never reaches a vector, shapes and normalisation hold, weights load from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.fixtures.tiny_training import CONV_PRESET, SPECTROGRAM_PRESET, tiny_preset
from training.preset import ImageTowerConfig, PresetError
from training.preset_file import load_preset
from training.towers.dual import DualEncoder
from training.towers.image import ImageTower
from training.towers.speech import SpectrogramTower

PRESETS = {"conv": CONV_PRESET, "spectrogram": SPECTROGRAM_PRESET}


def lived_in(model: DualEncoder) -> DualEncoder:
    """Batch norms whose statistics are not those of birth, as after training."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return model.eval()


@pytest.fixture(scope="module", params=sorted(PRESETS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.manual_seed(0)
    return lived_in(DualEncoder(tiny_preset(tmp_path_factory.mktemp("preset"), PRESETS[request.param])))


def clip(samples: int) -> Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1600, 16_000), min_size=2, max_size=5), extra=st.integers(0, 4000))
def test_padding_and_company_change_no_speech_vector(
    model: DualEncoder, lengths: list[int], extra: int
) -> None:
    waveform = torch.zeros(len(lengths), max(lengths) + extra)
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = clip(length)
    with torch.inference_mode():
        together = model.speech(waveform, torch.tensor(lengths))
        for vector, length in zip(together, lengths, strict=True):
            alone = model.speech(clip(length)[None], torch.tensor([length]))[0]
            assert torch.cosine_similarity(alone, vector, dim=0) >= 0.9999
            torch.testing.assert_close(alone, vector, atol=1e-4, rtol=1e-4)


def test_what_is_behind_a_clip_is_not_heard(model: DualEncoder) -> None:
    waveform = torch.stack([clip(9000), clip(9000)])
    waveform[1, 5000:] = 0
    with torch.inference_mode():
        vectors = model.speech(waveform, torch.tensor([5000, 5000]))
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-5, rtol=1e-5)


def test_a_spectrogram_tower_hears_as_much_as_it_was_made_for(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DualEncoder(tiny_preset(tmp_path, SPECTROGRAM_PRESET)).eval()
    long = clip(60_000)
    with torch.inference_mode():
        whole = model.speech(long[None], torch.tensor([60_000]))
        cut = model.speech(long[None, :56_000], torch.tensor([56_000]))
    torch.testing.assert_close(whole, cut)


def test_a_picture_is_seen_alike_in_any_company(model: DualEncoder, tmp_path: Path) -> None:
    size = 48 if model.image.tower.by_attention is False else 32
    pixels = torch.randint(0, 256, (4, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = model.image(pixels)
        alone = torch.cat([model.image(one[None]) for one in pixels])
        floats = model.image.embed_float(pixels.permute(0, 3, 1, 2).float())
    assert together.shape == (4, 12 if model.image.tower.by_attention else 256)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together, floats, atol=1e-5, rtol=1e-4)


def test_only_cosine_spaces_are_normalised(model: DualEncoder) -> None:
    size = 32 if model.image.finish.normalise else 48
    with torch.inference_mode():
        spoken = model.speech(torch.stack([clip(8000), clip(8000) * 0.3]), torch.tensor([8000, 7000])).norm(
            dim=1
        )
        seen = model.image(torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)).norm(dim=1)
    for lengths in (spoken, seen):
        if model.image.finish.normalise:
            torch.testing.assert_close(lengths, torch.ones(2))
        else:
            assert ((lengths - 1).abs() > 1e-3).all()


def test_scores_are_clips_by_pictures_times_the_scale(tmp_path: Path) -> None:
    model = DualEncoder(tiny_preset(tmp_path, embedding__scale="20.0"))
    speech, image = torch.randn(3, 12), torch.randn(3, 12)
    expected = [[20 * float(s @ i) for i in image] for s in speech]
    torch.testing.assert_close(model.scores(speech, image), torch.tensor(expected), atol=1e-3, rtol=1e-4)
    with torch.no_grad():
        model.log_scale.fill_(50.0)
    torch.testing.assert_close(model.scores(speech, image), 100 * speech @ image.T)


@pytest.mark.parametrize(
    ("height", "width", "places"), [(128, 349, (2, 9)), (128, 799, (2, 23)), (299, 299, (8, 8))]
)
def test_the_published_networks_see_maps_of_the_published_sizes(
    height: int, width: int, places: tuple[int, int]
) -> None:
    """3.5 s and 8 s of 128 MFCCs, and a picture, through stems without padding; nothing is computed."""
    preset = load_preset("ilharco2019")
    with torch.device("meta"):
        network: Any = timm.create_model(preset.speech.model, num_classes=0)
        features = network.forward_features(torch.zeros(1, 3, height, width))
    assert features.shape == (1, 1536, *places)
    assert network.num_features == preset.embedding.dim


@pytest.mark.parametrize("learned", [True, False])
def test_the_scale_is_learned_where_the_preset_says_so(tmp_path: Path, learned: bool) -> None:
    model = DualEncoder(tiny_preset(tmp_path, embedding__learn_scale=str(learned).lower()))
    assert model.log_scale.requires_grad is learned


def test_dropout_acts_in_training_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DualEncoder(tiny_preset(tmp_path, speech__dropout="0.5", image__dropout="0.5"))
    for tower, inputs in (
        (model.speech, (clip(8000)[None].repeat(3, 1), torch.tensor([8000] * 3))),
        (model.image, (torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8),)),
    ):
        tower.eval()
        torch.testing.assert_close(tower(*inputs), tower(*inputs), atol=0, rtol=0)
        tower.train()
        assert (tower(*inputs) - tower(*inputs)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image__model": "resnet_9000"}, "the network resnet_9000 cannot be made: Unknown model"),
        (
            {"image__reduction": "7"},
            r"test_efficientnet has feature maps at reductions \[2, 4, 8, 16, 32\], not at 7",
        ),
        ({"speech__bands": "128"}, "speech: 128 mel bands over an FFT of 512 leave 1 bands empty"),
        (
            {"image__pretrained": "true", "image__weights": "/nowhere/w.pt"},
            "the weights /nowhere/w.pt for test_efficientnet are not there",
        ),
    ],
)
def test_towers_that_cannot_be_made_are_refused(
    tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(PresetError, match=sentence):
        DualEncoder(tiny_preset(tmp_path, **changes))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as timm publishes them: the whole classifier's state, in safetensors."""
    torch.manual_seed(42)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model("test_efficientnet", num_classes=1000).state_dict(), path)
    return path


@pytest.mark.parametrize("pool", ["average", "attention"])
def test_pretrained_weights_come_from_a_local_file(weights: Path, pool: str) -> None:
    torch.manual_seed(1)
    config = ImageTowerConfig.model_validate(
        {
            "model": "test_efficientnet",
            "pretrained": True,
            "weights": str(weights),
            "pool": pool,
            "reduction": 8,
        }
    )
    tower = ImageTower(config, image_size=32, dim=16, load_pretrained=True)
    torch.manual_seed(42)
    published = timm.create_model("test_efficientnet", num_classes=1000).state_dict()
    loaded = tower.backbone.state_dict()
    shared = {name: value for name, value in loaded.items() if name in published}
    assert len(shared) > 20
    assert all(torch.equal(value, published[name]) for name, value in shared.items())
    # Pixels are scaled as these weights expect: ImageNet's mean, not one half.
    torch.testing.assert_close(tower.mean.flatten() / 255, torch.tensor([0.485, 0.456, 0.406]))
    without = ImageTower(config, image_size=32, dim=16, load_pretrained=False)
    assert not torch.equal(next(iter(without.backbone.parameters())), next(iter(tower.backbone.parameters())))


def test_speech_towers_take_pretrained_weights_as_well(weights: Path, tmp_path: Path) -> None:
    preset = tiny_preset(
        tmp_path, SPECTROGRAM_PRESET, speech__pretrained="true", speech__weights=str(weights)
    )
    model = DualEncoder(preset)
    torch.manual_seed(42)
    published = timm.create_model("test_efficientnet", num_classes=1000).state_dict()
    assert isinstance(model.speech.tower, SpectrogramTower)
    loaded = model.speech.tower.backbone.state_dict()
    assert all(
        torch.equal(loaded[name], value) for name, value in published.items() if "classifier" not in name
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    preset = tiny_preset(tmp_path, image__pretrained="true", image__weights=str(path), image__pool="average")
    with pytest.raises(PresetError, match="test_efficientnet does not take its pretrained weights"):
        DualEncoder(preset)
