"""What a person meets while a command works and when it fails: bars, plain lines, one sentence a fault."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from indexer import console
from indexer.bundle import BundleError
from indexer.console import TRAINING_SET, failing_in_one_sentence, open_progress
from indexer.corpus import CorpusError

ROOT = Path(__file__).parents[2]


def sentences(error: BaseException, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended, failing_in_one_sentence(debug=False):
        raise error
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


def test_faults_found_together_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ExceptionGroup("two", [BundleError("no bundle."), CorpusError("no corpus.")])
    assert sentences(faults, capsys) == ["error: no bundle.", "error: no corpus."]


@pytest.mark.parametrize("name", ["torch", "timm.models"])
def test_a_missing_training_set_is_named_with_what_to_do(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (told,) = sentences(ModuleNotFoundError(f"No module named '{name}'", name=name), capsys)
    assert told.startswith(f"error: Training needs {name}, which is not installed: run `make train-env`")
    assert "pip install 'saysee[train]'" in told


def test_another_missing_or_a_broken_library_is_the_doctors(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (ModuleNotFoundError("No module named 'av'", name="av"), ImportError("bad", name="torch")):
        (told,) = sentences(error, capsys)
        assert "`python -m indexer doctor` has the fix" in told


def test_the_training_set_is_what_the_extra_installs() -> None:
    """Written out in the code, since a package that is not installed has no metadata to ask."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [requirement.partition(">=")[0] for requirement in extras["train"]] == list(TRAINING_SET)


def test_a_bar_says_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        console, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=120)
    )
    with open_progress() as progress, progress.stage("images: vectors", 8) as stage:
        stage.reach(4, "1 embedded now, 3 reused")
        stage.reach(8, "2 embedded now, 6 reused")
    last = [line for line in screen.getvalue().splitlines() if "images: vectors" in line][-1]
    assert "8/8" in last
    assert "2 embedded now, 6 reused" in last
