"""Fitting: it learns, a killed run goes on bit for bit, another experiment is refused, failure is named."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from indexer.cores import available_cores
from tests.fixtures.tiny_training import CONV_PRESET, SPECTROGRAM_PRESET, make_learnable_corpus, tiny_preset
from training import fit as fitting
from training.cache import cache_spec, open_cache
from training.checkpoint import RunError, load_model, load_state, read_data, read_preset
from training.datasets import DatasetError, PairSet, open_dataset
from training.datasets.pairs import File
from training.distributed import UnevenShare
from training.evaluate import Embedded, Scores, score
from training.fit import describe, fit
from training.fitter import FitError, Fitter
from training.listener import Progress
from training.loader import Batch, Loader
from training.preset import Preset
from training.preset_file import load_preset

CPU = torch.device("cpu")


class Notes:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.steps: list[int] = []
        self.judged: list[tuple[int, bool]] = []
        self.decoded = 0

    def decoding(self, done: int, total: int) -> None:
        self.decoded = done

    def stepped(self, progress: Progress) -> None:
        self.steps.append(progress.step)
        self.losses.append(progress.loss)

    def evaluated(self, step: int, scores: Scores, best: bool) -> None:
        self.judged.append((step, best))


class Room:
    """A corpus decoded once for all tests of this file, and runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpus = make_learnable_corpus(folder / "pairs")
        self.train = open_dataset(self.corpus, "train")
        self.dev = open_dataset(self.corpus, "dev")
        self.cache = folder / "cache"
        self.runs = 0

    def preset(self, text: str = CONV_PRESET, **changes: str) -> Preset:
        return tiny_preset(self.folder, text, **changes)

    def run(self) -> Path:
        self.runs += 1
        return self.folder / f"run{self.runs}"

    def fit(
        self,
        preset: Preset,
        run: Path,
        *,
        dev: bool = True,
        until: int | None = None,
        train: PairSet | None = None,
    ) -> Notes:
        notes = Notes()
        fit(
            preset,
            train or self.train,
            self.dev if dev else None,
            run,
            notes,
            device=CPU,
            cache=self.cache,
            workers=1,
            stop=lambda: until is not None and notes.steps[-1] >= until,
        )
        return notes


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("fit"))


def flat(state: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and value of a checkpoint with where it stands."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from flat(value, f"{place}.{key}")
    elif isinstance(state, list | tuple):
        for i, value in enumerate(state):
            yield from flat(value, f"{place}[{i}]")
    else:
        yield place, state


def assert_same(one: Path, other: Path) -> None:
    """Two checkpoints agree bit for bit."""
    ours, theirs = dict(flat(load_state(one))), dict(flat(load_state(other)))
    assert ours.keys() == theirs.keys()
    for place, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[place]), place
        else:
            assert value == theirs[place], place


# ---- learning ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_small_corpus_is_learned(room: Room) -> None:
    preset = room.preset(stages__0__steps="60", evaluate_every="60", optimiser__lr="0.01")
    notes = room.fit(preset, run := room.run())
    assert np.mean(notes.losses[-5:]) < 0.5 * np.mean(notes.losses[:5])
    metrics = json.loads((run / "dev.json").read_text())
    # Six pictures: by chance one in six is first.
    assert metrics["speech_to_image"]["R@1"] >= 0.5
    assert metrics["step"] == 60


@pytest.mark.parametrize("objective", ["mms", "triplet"])
def test_the_published_kind_of_system_takes_steps(room: Room, objective: str) -> None:
    preset = room.preset(SPECTROGRAM_PRESET, objective__name=objective, stages__0__steps="2")
    notes = room.fit(preset, run := room.run(), dev=False)
    assert len(notes.losses) == 2
    assert load_model(run)[0].speech(torch.randn(1, 4000), torch.tensor([4000])).shape == (1, 256)


# ---- going on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "changes"),
    [
        (1, {}),
        (3, {}),
        (5, {"stages__0__chunk": "2", "objective__name": "triplet"}),
        (5, {"compute__precision": "bfloat16"}),
        (5, {"objective__instance": "0.5"}),
    ],
)
def test_a_stopped_run_goes_on_bit_for_bit(room: Room, until: int, changes: dict[str, str]) -> None:
    preset = room.preset(**changes)
    whole, parts = room.run(), room.run()
    straight = room.fit(preset, whole)
    before = room.fit(preset, parts, until=until)
    assert before.steps == list(range(1, until + 1))
    after = room.fit(preset, parts)
    assert after.steps == list(range(until + 1, 9))
    assert before.losses + after.losses == straight.losses
    for name in ("last.pt", "best.pt"):
        assert_same(whole / name, parts / name)
    assert (whole / "dev.json").read_text() == (parts / "dev.json").read_text()


def test_prototypes_are_kept_for_going_on_and_never_judged(room: Room) -> None:
    room.fit(room.preset(objective__instance="0.5", stages__0__steps="2"), run := room.run(), dev=False)
    state = load_state(run / "last.pt")
    assert state["prototypes"]["vectors_KD"].shape[0] == len({p.identity for p in room.train.pictures})
    assert not any("prototype" in name for name in load_state(run / "best.pt")["model"])


def test_a_finished_run_has_nothing_left_to_do(room: Room) -> None:
    preset = room.preset(stages__0__steps="2")
    room.fit(preset, run := room.run(), dev=False)
    written = (run / "best.pt").stat().st_mtime_ns
    assert room.fit(preset, run, dev=False).steps == []
    assert (run / "best.pt").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_run_killed_without_warning_goes_on_bit_for_bit(room: Room) -> None:
    """The very command, SIGKILL as soon as a checkpoint is there, the command again."""
    changes = {"stages.0.steps": "40", "checkpoint_every": "2"}
    (room.folder / "killed.toml").write_text(CONV_PRESET)
    killed, whole = room.run(), room.run()
    command = [sys.executable, "-m", "training", "fit", "--preset", str(room.folder / "killed.toml")]
    command += [
        "--data",
        str(room.corpus),
        "--out",
        str(killed),
        "--cache",
        str(room.cache),
        "--workers",
        "1",
    ]
    command += ["--device", "cpu", "--dev-split", "none"]
    command += [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]

    def start() -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(Path(fitting.__file__).parents[1])}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)

    with start() as process:
        while not (killed / "last.pt").is_file() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 0 < load_state(killed / "last.pt")["step"] < 40
    with start() as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    torch.set_num_threads(available_cores())  # as the command does: sums depend on it
    room.fit(load_preset(str(room.folder / "killed.toml"), changes), whole, dev=False)
    assert_same(killed / "last.pt", whole / "last.pt")
    assert_same(killed / "best.pt", whole / "best.pt")


# ---- another experiment ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(room: Room) -> Path:
    room.fit(room.preset(), run := room.run(), until=1)
    return run


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimiser__lr": "0.001"}, r"was started with optimiser.lr = 0.004, not 0.001; give another --out"),
        ({"stages__0__steps": "9"}, r"was started with stages.0.steps = 8, not 9"),
        ({"seed": "2"}, r"was started with seed = 1, not 2"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    room: Room, begun: Path, changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(RunError, match=sentence):
        room.fit(room.preset(**changes), begun)


def test_other_data_in_the_same_folder_is_refused(room: Room, begun: Path) -> None:
    fewer = room.train.without_voices(["voice1"])
    with pytest.raises(
        RunError, match=r"was started on other data \(clips: 32, now 16\); give another --out"
    ):
        room.fit(room.preset(), begun, train=fewer)
    first, *rest = room.train.clips
    others = PairSet("x", "train", room.train.pictures, (*rest, first))
    with pytest.raises(RunError, match=r"was started on other data \(items: "):
        room.fit(room.preset(), begun, train=others)


def test_a_corpus_that_was_moved_is_the_same_data(room: Room, begun: Path, tmp_path: Path) -> None:
    moved = open_dataset(make_learnable_corpus(tmp_path / "elsewhere"), "train")
    assert room.fit(room.preset(), begun, train=moved, until=2).steps == [2]
    assert read_data(begun) == describe(moved)
    assert read_data(begun)["voices"] == ["voice0", "voice1"]


def test_a_folder_that_is_damaged_says_so(room: Room) -> None:
    room.fit(room.preset(), run := room.run(), until=1)
    with pytest.raises(RunError, match=r"holds no best.pt: .* --preset PRESET --data CORPUS --out .*run"):
        load_model(run)
    (run / "last.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(RunError, match=r"last.pt cannot be read as a checkpoint"):
        room.fit(room.preset(), run)
    (run / "data.json").unlink()
    with pytest.raises(RunError, match=r"data.json cannot be read"):
        room.fit(room.preset(), run)
    (run / "preset.json").write_text("{")
    with pytest.raises(RunError, match=r"preset.json cannot be read"):
        read_preset(run)
    with pytest.raises(RunError, match=r"is not a run folder"):
        read_preset(run.parent)


def test_a_checkpoint_of_another_model_is_refused(room: Room) -> None:
    room.fit(room.preset(stages__0__steps="1"), run := room.run(), dev=False)
    text = (run / "preset.json").read_text()
    (run / "preset.json").write_text(text.replace('"convs": 1', '"convs": 2'))
    with pytest.raises(RunError, match=r"best.pt is of another version's model"):
        load_model(run)
    with pytest.raises(RunError, match=r"the checkpoint is of another version's model"):
        Fitter(read_preset(run), CPU).restore(load_state(run / "last.pt"))


def test_what_does_not_fit_together_is_told_before_anything_is_decoded(room: Room, tmp_path: Path) -> None:
    with pytest.raises(UnevenShare, match=r"a batch of 8 is no multiple of 3"):
        room.fit(room.preset(stages__0__chunk="3"), tmp_path / "run")
    with pytest.raises(DatasetError, match=r"there are 16; give --set stages.0.batch=16, or more pictures"):
        room.fit(room.preset(stages__0__batch="17"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_set_too_small_once_decoded_may_be_tried_again(room: Room, tmp_path: Path) -> None:
    first, *rest = room.train.pictures
    (tmp_path / "no.png").write_bytes(b"no picture")
    broken = replace(room.train, pictures=(replace(first, media=File(tmp_path / "no.png")), *rest))
    with pytest.raises(DatasetError, match=r"there are 15; give --set stages.0.batch=8"):
        room.fit(room.preset(stages__0__batch="16"), tmp_path / "run", train=broken)
    room.fit(room.preset(stages__0__batch="8"), tmp_path / "run", train=broken, until=1)
    assert read_preset(tmp_path / "run").stages[0].batch == 8


# ---- divergence --------------------------------------------------------------------------------------------


def first_batch(room: Room, preset: Preset) -> Batch:
    decoded = open_cache(room.train, cache_spec(preset.media.spec()), room.cache, 1, lambda *_: None)
    return Loader(decoded, preset.stages, preset.seed, 16_000).load(0)


def test_a_loss_that_is_not_finite_names_its_step(room: Room) -> None:
    preset = room.preset(
        optimiser__lr="1e30",
        optimiser__clip_norm="0",
        optimiser__warmup_steps="0",
        embedding__similarity="dot",
    )
    with pytest.raises(
        FitError, match=r"^the (loss|gradient) is (nan|inf) at step [1-5]; start again in another"
    ):
        room.fit(preset, room.run())


@pytest.mark.parametrize("clip_norm", ["0", "1.0"])
def test_a_gradient_that_is_not_finite_changes_no_weight(
    room: Room, monkeypatch: pytest.MonkeyPatch, clip_norm: str
) -> None:
    preset = room.preset(optimiser__clip_norm=clip_norm)
    fitter, batch = Fitter(preset, CPU), first_batch(room, preset)
    before = {name: value.clone() for name, value in fitter.model.named_parameters()}
    # The root of nothing is finite and its slope is not.
    monkeypatch.setattr(fitter, "loss", lambda _, speech, image: (speech * image * 0).abs().sqrt().sum())
    with pytest.raises(FitError, match=r"the gradient is nan at step 0"):
        fitter.step(batch)
    assert all(torch.equal(value, before[name]) for name, value in fitter.model.named_parameters())


# ---- what is kept ------------------------------------------------------------------------------------------


def test_the_average_is_the_exponential_one(room: Room) -> None:
    preset = room.preset(optimiser__ema="0.5")
    fitter = Fitter(preset, CPU)
    expected = {name: value.clone() for name, value in fitter.model.state_dict().items()}
    batch = first_batch(room, preset)
    for step in range(8):
        fitter.step(replace(batch, step=step))
        keep = min(0.5, (1 + step) / (10 + step))
        for name, value in fitter.model.state_dict().items():
            floating = value.dtype.is_floating_point
            expected[name] = keep * expected[name] + (1 - keep) * value if floating else value.clone()
    average = fitter.judged().state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(average[name], value, atol=1e-5, rtol=1e-5)
    assert not torch.equal(average["log_scale"], fitter.model.state_dict()["log_scale"])


def test_without_an_average_the_weights_themselves_are_judged(room: Room) -> None:
    fitter = Fitter(room.preset(optimiser__ema="0"), CPU)
    assert fitter.judged() is fitter.model
    assert fitter.state()["average"] is None


def fake_scores(recall: float) -> Scores:
    every = dict.fromkeys((1, 5, 10, 50, 100), recall)
    return Scores(1, 1, every, every, (1.0, 1.0), (0.1, 0.1))


def test_the_best_weights_on_dev_are_kept(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    recalls = iter([0.5, 0.7, 0.7, 0.6])

    def scripted(embedded: Embedded) -> Scores:
        score(embedded)
        return fake_scores(next(recalls))

    monkeypatch.setattr(fitting, "score", scripted)
    notes = room.fit(room.preset(evaluate_every="2"), run := room.run())
    assert notes.judged == [(2, True), (4, True), (6, False), (8, False)]
    best = load_state(run / "best.pt")
    assert best["step"] == 4
    assert best["metrics"]["speech_to_image"]["R@10"] == 0.7
    assert json.loads((run / "dev.json").read_text())["step"] == 8
    assert load_state(run / "last.pt")["best"] == 0.7


def test_a_resumed_run_remembers_what_was_best(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    recalls = iter([0.9, 0.2, 0.3, 0.4])
    monkeypatch.setattr(fitting, "score", lambda _: fake_scores(next(recalls)))
    preset, run = room.preset(evaluate_every="2"), room.run()
    room.fit(preset, run, until=5)
    room.fit(preset, run)
    assert load_state(run / "best.pt")["step"] == 2


def test_without_a_dev_set_the_newest_weights_are_kept(room: Room) -> None:
    room.fit(room.preset(evaluate_every="3"), run := room.run(), dev=False)
    best, last = load_state(run / "best.pt"), load_state(run / "last.pt")
    assert (best["step"], best["metrics"]) == (8, {})
    assert all(torch.equal(value, last["average"][name]) for name, value in best["model"].items())
    assert not (run / "dev.json").exists()


def test_the_log_has_losses_and_evaluations(room: Room) -> None:
    room.fit(room.preset(stages__0__steps="12", evaluate_every="6"), run := room.run())
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [0, 10]
    assert [line["step"] for line in lines if "dev" in line] == [6, 12]


def test_what_does_not_decode_is_left_out_loudly(
    room: Room, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = make_learnable_corpus(tmp_path / "pairs", train=10, dev=0)
    for k in range(2):
        (corpus / "speech" / f"train_03_{k}.wav").write_bytes(b"")
    (corpus / "images" / "train_04.png").unlink()
    with caplog.at_level(logging.WARNING):
        notes = room.fit(
            room.preset(stages__0__steps="2"), room.run(), dev=False, train=open_dataset(corpus, "train")
        )
    assert len(notes.losses) == 2
    assert "left out of training: 1 x picture: No such file or directory" in caplog.text
    assert "left out of training: 2 x spoken caption: " in caplog.text


@pytest.mark.gpu
def test_a_gpu_takes_the_same_steps_nearly(room: Room) -> None:
    preset = room.preset(speech__dropout="0", image__dropout="0")
    batch = first_batch(room, preset)
    losses = [[Fitter(preset, torch.device(name)).step(batch) for _ in range(1)] for name in ("cpu", "cuda")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
