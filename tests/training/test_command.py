"""`python -m training`: every fault is one sentence and a status; a finished command says what comes next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.fixtures.tiny_training import CONV_PRESET, make_learnable_corpus
from training.__main__ import app

ROOT = Path(__file__).parents[2]


def training(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


class Walk:
    """One corpus, one run and one bundle, made by the commands themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run, self.bundle = folder, folder / "run", folder / "bundle"
        self.data = make_learnable_corpus(folder / "pairs", train=10, dev=4, test=5)
        self.preset = folder / "tiny.toml"
        self.preset.write_text(CONV_PRESET)
        self.fitted = self.fit(self.run)
        self.scores = folder / "scores" / "test.json"
        self.judged = self.evaluate("--run", self.run, "--by-voice", "--out", self.scores)
        words = ("export", "--run", self.run, "--data", self.data, "--out", self.bundle, "--name", "mine")
        self.exported = training(*words, "--licence", "MIT", "--metrics", self.scores)

    def evaluate(self, *more: str | Path) -> Result:
        return training("evaluate", "--data", self.data, "--device", "cpu", "--json", *more)

    def fit(self, out: Path, *more: str | Path) -> Result:
        words = ("fit", "--preset", self.preset, "--data", self.data, "--out", out, "--workers", "1")
        return training(*words, "--set", "stages.0.steps=3", "--device", "cpu", *more)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("walk"))


def test_fit_tells_what_it_does_and_what_comes_next(walk: Walk) -> None:
    assert walk.fitted.exit_code == 0, walk.fitted.stderr
    assert "tiny: 3 steps on 20 spoken captions, 10 pictures, cpu" in walk.fitted.stderr
    assert "step 3: dev R@1 " in walk.fitted.stderr
    fitted, following = walk.fitted.stdout.splitlines()
    assert fitted.startswith(f"Fitted {walk.run}: dev R@10 1.000 S->I")  # four pictures
    assert following == f"Next: python -m training export --run {walk.run} --data {walk.data} --out BUNDLE"


def test_fit_again_has_nothing_to_do(walk: Walk) -> None:
    again = walk.fit(walk.run)
    assert again.exit_code == 0
    assert f"Fitted {walk.run}: all 3 steps are done." in again.stdout


def test_fit_begins_with_another_runs_tower_and_shows_how_it_went(walk: Walk, tmp_path: Path) -> None:
    fitted = walk.fit(tmp_path / "run", "--warm-start", walk.run, "--warm", "speech", "--tensorboard")
    assert fitted.exit_code == 0, fitted.stderr
    origin = json.loads((tmp_path / "run" / "data.json").read_text())["warm_start"]
    assert (origin["run"], origin["towers"], origin["step"]) == ("run", "speech", 3)
    assert len(list((tmp_path / "run" / "tensorboard").glob("events.*"))) == 1
    table = [line.split() for line in fitted.stderr.splitlines() if "3*" in line]
    assert len(table[0]) == 7


def test_export_writes_the_bundle(walk: Walk) -> None:
    assert walk.exported.exit_code == 0, walk.exported.stderr
    assert f"Wrote {walk.bundle}: fingerprint " in walk.exported.stdout
    manifest = json.loads((walk.bundle / "manifest.json").read_text())
    assert (manifest["name"], manifest["licence"]) == ("mine", "MIT")
    assert manifest["training"]["data"]["voices"] == ["voice0", "voice1"]
    assert manifest["training"]["steps"] == 3


def test_a_run_and_its_bundle_are_judged_alike(walk: Walk) -> None:
    assert walk.judged.exit_code == 0, walk.judged.stderr
    rows = json.loads(walk.judged.stdout)
    assert json.loads(walk.scores.read_text()) == rows
    served = walk.evaluate("--bundle", walk.bundle, "--by-voice")
    assert json.loads(served.stdout) == rows
    assert list(rows) == ["test", "voice0", "voice1"]
    assert (rows["test"]["clips"], rows["voice1"]["clips"]) == (10, 5)


def test_evaluate_prints_a_table_of_one_voice(walk: Walk) -> None:
    result = training(
        "evaluate", "--run", walk.run, "--data", walk.data, "--voice", "voice1", "--device", "cpu"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[2].startswith("| voice1 | 5 | 5 | ")


def test_scores_go_into_the_manifest(walk: Walk, tmp_path: Path) -> None:
    metrics = json.loads((walk.bundle / "manifest.json").read_text())["metrics"]
    assert {name: row["clips"] for name, row in metrics.items()} == {
        "dev": 8,
        "test": 10,
        "voice0": 5,
        "voice1": 5,
    }
    (tmp_path / "test.json").write_text("no JSON")
    words = ("export", "--run", walk.run, "--data", walk.data, "--out", tmp_path / "bundle")
    refused = training(*words, "--metrics", tmp_path / "test.json")
    assert refused.exit_code == 1
    assert "test.json cannot be read as the JSON of evaluate --out" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["fit", "--preset", "nothing", "--data", "{data}", "--out", "{new}"],
            "no preset 'nothing'; shipped are",
        ),
        (["fit", "--preset", "{preset}", "--data", "{new}", "--out", "{new}"], "new is not a folder"),
        (["fit", "--preset", "{preset}", "--data", "{folder}", "--out", "{new}"], "is no corpus known here"),
        (
            ["fit", "--preset", "{preset}", "--data", "{data}", "--out", "{run}", "--device", "cpu"],
            "was started with stages.0.steps = 3, not 8",
        ),
        (
            ["fit", "--preset", "{preset}", "--data", "{data}", "--out", "{new}", "--without-voice", "theo"],
            "is of voice 'theo'; there: voice0, voice1",
        ),
        (
            ["fit", "--preset", "{preset}", "--data", "{data}", "--out", "{new}", "--dev-split", "fresh"],
            "has no pairs in split 'fresh'",
        ),
        (
            [
                "fit",
                "--preset",
                "{preset}",
                "--data",
                "{data}",
                "--out",
                "{new}",
                "--set",
                "stages.0.batch=64",
            ],
            "a batch of 64 needs 64 pictures with a spoken caption for training, and there are 10; "
            "give --set stages.0.batch=8, or more pictures",
        ),
        (
            ["evaluate", "--run", "{folder}", "--data", "{data}"],
            "is not a run folder: preset.json is not there",
        ),
        (["evaluate", "--bundle", "{folder}", "--data", "{data}"], "manifest.json"),
        (["evaluate", "--run", "{run}", "--data", "{data}", "--voice", "theo"], "is of voice 'theo'"),
        (["export", "--run", "{run}", "--data", "{data}", "--out", "{folder}"], "exists already: remove it"),
        (["export", "--run", "{new}", "--data", "{data}", "--out", "{new}"], "is not a run folder"),
    ],
)
def test_a_fault_of_the_input_is_one_sentence_and_status_1(
    walk: Walk, tmp_path: Path, words: list[str], sentence: str
) -> None:
    places = {
        "data": walk.data,
        "preset": walk.preset,
        "run": walk.run,
        "folder": walk.folder,
        "new": tmp_path / "new",
    }
    result = training(*(word.format(**places) for word in words))
    assert result.exit_code == 1
    assert result.stdout == ""
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert sentence in told[0]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--preset", "compact"],
        ["fit", "--preset", "compact", "--data", "x", "--out", "y", "--set", "lr"],
        ["fit", "--preset", "compact", "--data", "x", "--out", "y", "--device", "tpu"],
        ["fit", "--preset", "compact", "--data", "x", "--out", "y", "--warm", "speech"],
        ["evaluate", "--data", "x"],
        ["evaluate", "--data", "x", "--run", "y", "--bundle", "z"],
        ["dance"],
    ],
)
def test_wrong_usage_has_status_2(words: list[str]) -> None:
    assert training(*words).exit_code == 2


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = training("fit", "--preset", "nothing", "--data", tmp_path, "--out", tmp_path / "x", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "PresetError" in result.stderr


def test_every_command_has_help() -> None:
    listed = training("--help").stdout
    for command in ("scenes", "speak", "fit", "evaluate", "export"):
        assert command in listed
        assert training(command, "--help").exit_code == 0


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from training.__main__ import main; main()"


def without_torch(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--preset", "compact", "--data", "x", "--out", "y"),
        ("evaluate", "--bundle", "x", "--data", "y"),
        ("export", "--run", "x", "--data", "y", "--out", "z"),
    ],
)
def test_without_torch_the_sentence_says_what_to_run(words: tuple[str, ...]) -> None:
    result = without_torch(*words)
    assert result.returncode == 1
    (told,) = result.stderr.splitlines()
    assert told.startswith("error: Training needs torch, which is not installed: run `make train-env`")


def test_scenes_and_speak_do_without_torch(tmp_path: Path) -> None:
    drawn = without_torch("scenes", "--out", tmp_path, "--count", "1", "--size", "32")
    assert drawn.returncode == 0, drawn.stderr
    words = ("speak", tmp_path, "--out", tmp_path, "--voices", "espeak:en-us", "--limit", "1")
    spoken = without_torch(*words)
    assert spoken.returncode == 0, spoken.stderr
    assert spoken.stdout.startswith("1 spoken captions")


@pytest.mark.slow
def test_an_interrupt_saves_and_says_how_to_go_on(walk: Walk, tmp_path: Path) -> None:
    words = [
        "fit",
        "--preset",
        walk.preset,
        "--data",
        walk.data,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
    ]
    words += [
        "--workers",
        "1",
        "--dev-split",
        "none",
        "--set",
        "stages.0.steps=100000",
        "--set",
        "checkpoint_every=2",
    ]
    command = [sys.executable, "-m", "training", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        while not (tmp_path / "run" / "last.pt").is_file() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate()
    assert process.returncode == 1, told
    assert printed == ""
    assert "Stopping after this step" in told
    assert "of 100000; the same command goes on from there." in told
    assert "Traceback" not in told
