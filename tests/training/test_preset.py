"""Presets: what ships says what the paper says; what cannot be is refused in a sentence naming the place."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.tiny_training import CONV_PRESET, tiny_preset
from training.preset import PresetError
from training.preset_file import PRESETS, load_preset, parse_preset, shipped


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_preset_reads_and_says_how_to_run_it(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    first = (PRESETS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# python -m training fit --preset {name} --data ")


@pytest.mark.parametrize(
    ("step", "margin", "learning_rate"),
    [(0, 0.001, 1e-3), (999, 0.001, 1e-3), (100_000, 0.001221, 9.0479e-4), (3_000_000, 0.401, 4.97e-5)],
)
def test_the_papers_margin_and_learning_rate(step: int, margin: float, learning_rate: float) -> None:
    preset = load_preset("ilharco2019")
    assert preset.objective.margin_at(step) == pytest.approx(margin, rel=1e-3)
    assert preset.learning_rate_at(step) == pytest.approx(learning_rate, rel=1e-3)


SILENT_ABOUT = {
    "speech": {"weights", "width", "convs", "groups", "blocks", "heads", "dropout"},  # of the compact tower
    "image": {"weights", "reduction", "width", "blocks", "heads", "dropout"},  # of attention pooling
}


def test_every_value_of_the_papers_preset_is_a_line_with_its_source() -> None:
    text = (PRESETS / "ilharco2019.toml").read_text(encoding="utf-8")
    written = tomllib.loads(text)
    composed = load_preset("ilharco2019").model_dump(mode="json")
    composed["stages"], written["stages"] = composed["stages"][0], written["stages"][0]
    for table, values in flat_tables(composed):
        left = set(values) - set(dict(flat_tables(written))[table])
        assert left == SILENT_ABOUT.get(table, set()), table
    lines = [line for line in text.splitlines() if re.match(r"\w+ = ", line)]
    assert len(lines) > 50
    for line in lines:
        assert re.search(r" # (paper|silent: \w|ours)", line), line


def flat_tables(values: dict[str, Any], name: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each table's name with its keys; tables within a table come as their own."""
    yield name, [key for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat_tables(value, f"{name}.{key}".lstrip("."))


def test_the_papers_other_values() -> None:
    preset = load_preset("ilharco2019")
    assert (preset.steps, preset.stages[0].batch) == (3_000_000, 48)
    assert (preset.speech.model, preset.image.model) == ("inception_resnet_v2",) * 2
    assert not preset.speech.pretrained
    assert not preset.image.pretrained
    assert (preset.speech.features, preset.speech.bands, preset.embedding.dim) == ("mfcc", 128, 1536)
    assert (preset.embedding.similarity, preset.embedding.scale, preset.embedding.learn_scale) == (
        "dot",
        1,
        False,
    )
    o, a = preset.optimiser, preset.augment
    assert (o.name, o.beta_1, o.beta_2, o.epsilon, o.weight_decay) == ("adam", 0.9, 0.999, 1e-8, 4e-5)
    assert (a.speech.frequency_mask, a.speech.time_mask, a.speech.masks) == (20, 40, 1)
    assert (a.speech.warp_time, a.speech.warp_frequency, a.speech.noise_share, a.image.flip) == (
        0,
        0,
        0,
        False,
    )
    assert (a.image.min_area, a.speech.random_pad, preset.objective.name) == (0.67, True, "mms")
    assert a.image.max_zoom_out**-2 == pytest.approx(0.67, abs=0.003)
    assert (o.clip_norm, o.warmup_steps, o.ema, o.schedule, o.decay_every) == (0, 0, 0, "exponential", 1000)
    assert (preset.media.sample_rate_hz, preset.media.max_seconds, preset.media.image_size) == (
        16000,
        8.0,
        299,
    )


def test_the_cosine_schedule_rises_and_falls(tmp_path: Path) -> None:
    preset = tiny_preset(tmp_path, optimiser__lr="1.0", optimiser__warmup_steps="10", stages__0__steps="110")
    rates = [preset.learning_rate_at(step) for step in range(110)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[60] == pytest.approx(0.505)
    assert preset.learning_rate_at(110) == pytest.approx(0.01)


def test_changes_reach_every_kind_of_place(tmp_path: Path) -> None:
    preset = tiny_preset(
        tmp_path,
        name="other",
        seed="7",
        embedding__similarity="dot",
        stages__0__steps="3",
        image__pretrained="true",
        stages__0__levels='["close-up"]',
    )
    assert (preset.name, preset.seed, preset.embedding.similarity) == ("other", 7, "dot")
    assert (preset.stages[0].steps, preset.stages[0].levels, preset.image.pretrained) == (
        3,
        ("close-up",),
        True,
    )


def test_a_preset_extends_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "compact"\nname = "mine"\n[optimiser]\nlr = 0.5\n')
    mine, base = load_preset(str(path)), load_preset("compact")
    assert (mine.name, mine.optimiser.lr) == ("mine", 0.5)
    assert mine.optimiser.weight_decay == base.optimiser.weight_decay
    assert mine.speech == base.speech


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"stages.0.stepps": "3"},
            r"^preset tiny.toml: stages.0.stepps: there is no such key; did you mean stages.0.steps\?$",
        ),
        ({"optimizer.lr": "3"}, r"^preset tiny.toml: optimizer: there is .*; did you mean optimiser\?$"),
        ({"augment.image.zoom": "1"}, r"augment.image.zoom: there is no such key; there are min_area, max_"),
        ({"speech.kind": "wave"}, r"speech.kind: input should be 'spectrogram' or 'conv', not 'wave'"),
        ({"media.resize": "shortest"}, r"media: resize 'shortest' .* needs crop 'center'"),
        ({"speech.kind": "spectrogram"}, r"speech: a spectrogram tower needs a model"),
        ({"speech.model": "resnet18"}, r"speech: a conv tower has no model"),
        ({"speech.heads": "3"}, r"speech: a width of 16 cannot be shared among 3 heads"),
        ({"image.heads": "5"}, r"image: a width of 16 cannot be shared among 5 heads"),
        ({"image.weights": "w.pt"}, r"image: a file of weights is read only with pretrained = true"),
        ({"evaluate_every": "0"}, r"evaluate_every: input should be greater than or equal to 1, not 0"),
        ({"seed": "-1"}, r"seed: input should be greater than or equal to 0, not -1"),
        ({"embedding.scale": "0"}, r"embedding.scale: input should be greater than 0, not 0"),
        ({"stages.0.batch": "1"}, r"stages.0.batch: input should be greater than 1, not 1"),
        ({"stages.3.batch": "4"}, r"^--set stages.3.batch: 3 is not a table$"),
        ({"name.x": "4"}, r"^--set name.x: x has no table to go into$"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(CONV_PRESET)
    with pytest.raises(PresetError, match=sentence):
        load_preset(str(path), changes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name = ", "is not valid TOML"),
        (b"\xff\xfe", "is not valid TOML"),
        (b'extends = "nothing"', "extends 'nothing'; shipped are class-names, compact"),
        (b"", "field required"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "tiny.toml").write_bytes(content)
    with pytest.raises(PresetError, match=sentence):
        load_preset(str(tmp_path / "tiny.toml"))


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(
        PresetError, match=r"no preset 'resnet'; shipped are class-names, compact, .*ilharco2019"
    ):
        load_preset("resnet")


def test_a_run_folders_json_gives_the_preset_back(tmp_path: Path) -> None:
    preset = tiny_preset(tmp_path)
    assert parse_preset(preset.model_dump_json(indent=1)) == preset
    with pytest.raises(PresetError, match="name: field required"):
        parse_preset("{}")
