"""Towers that begin with another run's weights: these alone, recorded, refused where they differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch

from tests.fixtures.tiny_training import make_learnable_corpus, tiny_preset
from training.checkpoint import RunError, load_state, read_data
from training.datasets import PairSet, open_dataset
from training.fit import fit
from training.fitter import Fitter
from training.listener import Together
from training.preset import Preset
from training.warm_start import WarmStart

CPU = torch.device("cpu")


class Walk:
    """A run to begin from, fitted for three steps, and fits beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data: PairSet = open_dataset(make_learnable_corpus(folder / "pairs"), "train")
        self.source = folder / "source"
        self.fit(self.preset(), self.source)

    def preset(self, **changes: str) -> Preset:
        return tiny_preset(self.folder, **{"stages__0__steps": "3", **changes})

    def fit(
        self, preset: Preset, run: Path, warm: WarmStart | None = None, *, steps: int | None = None
    ) -> None:
        done = iter(range(1, 100))
        fit(
            preset, self.data, None, run, Together([]), device=CPU, cache=self.folder / "cache", workers=1,
            warm=warm, stop=lambda: next(done) == steps,
        )  # fmt: skip


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("warm"))


@pytest.mark.parametrize("towers", ["speech", "image", "both"])
def test_only_these_towers_are_taken(walk: Walk, towers: Literal["speech", "image", "both"]) -> None:
    preset = walk.preset(seed="7", speech__dropout="0.2")
    warm, cold = Fitter(preset, CPU), Fitter(preset, CPU)
    warm.begin_with(WarmStart(walk.source, towers))
    theirs = load_state(walk.source / "best.pt")["model"]
    taken = ("speech.", "image.") if towers == "both" else (f"{towers}.",)
    assert warm.average is not None
    for model in (warm.model, warm.average):
        for name, value in model.state_dict().items():
            expected = theirs[name] if name.startswith(taken) else cold.model.state_dict()[name]
            assert torch.equal(value, expected), name
    assert not torch.equal(theirs["log_scale"], cold.model.state_dict()["log_scale"])
    assert warm.step_done == 0
    assert not warm.optimiser.state


def test_the_record_says_where_from_and_a_killed_run_goes_on(walk: Walk, tmp_path: Path) -> None:
    preset, warm = walk.preset(seed="7"), WarmStart(walk.source, "speech")
    walk.fit(preset, tmp_path / "whole", warm)
    walk.fit(preset, tmp_path / "parts", warm, steps=1)
    origin = read_data(tmp_path / "parts")["warm_start"]
    assert (origin["run"], origin["towers"], origin["step"], len(origin["weights"])) == (
        "source",
        "speech",
        3,
        16,
    )
    (walk.source / "best.pt").rename(walk.source / "kept.pt")  # no more needed
    try:
        walk.fit(preset, tmp_path / "parts", warm)
    finally:
        (walk.source / "kept.pt").rename(walk.source / "best.pt")
    assert read_data(tmp_path / "parts") == read_data(tmp_path / "whole")
    ours, theirs = (load_state(tmp_path / run / "last.pt")["model"] for run in ("parts", "whole"))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_another_beginning_in_the_same_folder_is_refused(walk: Walk, tmp_path: Path) -> None:
    preset, warm = walk.preset(), WarmStart(walk.source, "image")
    walk.fit(preset, tmp_path / "run", warm, steps=1)
    for other in (None, WarmStart(walk.source, "both")):
        with pytest.raises(
            RunError, match=r"was started with the towers of .*'image'.* give another --out, or the"
        ):
            walk.fit(preset, tmp_path / "run", other)
    walk.fit(preset, tmp_path / "cold", steps=1)
    with pytest.raises(RunError, match=r"was started with the towers of no other run, not .*'image'"):
        walk.fit(preset, tmp_path / "cold", warm)


@pytest.mark.parametrize(
    ("towers", "changes", "difference"),
    [
        (
            "speech",
            {"speech__convs": "2"},
            r"the speech tower of \S+source has speech.convs = 1, not 2 as this preset",
        ),
        ("speech", {"speech__bands": "32"}, "has speech.bands = 24, not 32"),
        ("speech", {"media__sample_rate_hz": "8000"}, "has media.sample_rate_hz = 16000, not 8000"),
        ("both", {"embedding__dim": "16"}, "the speech tower of .* has embedding.dim = 12, not 16"),
        ("image", {"image__reduction": "4"}, "the image tower of .* has image.reduction = 8, not 4"),
        ("image", {"media__image_size": "64"}, r"the image tower of \S+ was made for other media"),
    ],
)
def test_a_tower_of_another_make_is_refused(
    walk: Walk, towers: Literal["speech", "image", "both"], changes: dict[str, str], difference: str
) -> None:
    fitter = Fitter(walk.preset(**changes), CPU)
    with pytest.raises(RunError, match=difference):
        fitter.begin_with(WarmStart(walk.source, towers))


def test_what_the_tower_does_not_depend_on_may_differ(walk: Walk) -> None:
    preset = walk.preset(image__reduction="4", media__max_seconds="2.0", embedding__similarity="dot")
    Fitter(preset, CPU).begin_with(WarmStart(walk.source, "speech"))


def test_a_run_that_is_not_there_is_named(walk: Walk, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nothing is not a run folder"):
        walk.fit(walk.preset(), tmp_path / "run", WarmStart(tmp_path / "nothing"))
    assert not (tmp_path / "run" / "data.json").exists()


def test_the_record_reaches_the_bundles_manifest(walk: Walk, tmp_path: Path) -> None:
    walk.fit(walk.preset(), tmp_path / "run", WarmStart(walk.source), steps=1)
    assert json.loads((tmp_path / "run" / "data.json").read_text())["warm_start"]["towers"] == "both"
