"""A run's log read back: what stands twice, what a kill tore, what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.tiny_training import tiny_preset
from training.checkpoint import RunError
from training.report.history import read_history, thinned


def make_run(folder: Path, log: str | None) -> Path:
    folder.mkdir()
    preset = tiny_preset(folder)
    (folder / "preset.json").write_text(preset.model_dump_json())
    (folder / "data.json").write_text(json.dumps({"pictures": 3, "clips": 15}))
    if log is not None:
        (folder / "log.jsonl").write_text(log)
    return folder


def test_the_newest_line_of_a_step_counts_and_a_torn_one_is_counted(tmp_path: Path) -> None:
    dev = {"speech_to_image": {"R@10": 0.5}, "image_to_speech": {"R@10": 0.3}}
    lines = [
        {"step": 0, "loss": 3.0, "pairs_per_s": 1},
        {"step": 10, "loss": 2.0},
        {"step": 12, "dev": dev},
        {"step": 10, "loss": 1.5},
        {"step": 16, "dev": None},
    ]
    log = "\n".join(json.dumps(line) for line in lines) + '\n{"step": 20, "lo{"step": 30, "loss": 1.0}\n'
    history = read_history(make_run(tmp_path / "run", log))
    assert history.loss == ((0, 3.0), (10, 1.5))
    assert dict(history.dev) == pytest.approx({12: 0.4})
    assert history.torn == 1
    assert (history.pictures, history.clips) == (3, 15)
    assert history.described == "tiny, mms, 8 steps, batch 8, seed 1"


def test_a_run_without_a_log_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"log\.jsonl cannot be read"):
        read_history(make_run(tmp_path / "run", None))


def test_long_curves_are_averaged_short_ones_are_left() -> None:
    assert thinned(((0, 1.0), (10, 3.0)), most=2) == [(0, 1), (10, 3)]
    assert thinned(((0, 1.0), (10, 3.0), (20, 5.0)), most=2) == [(5, 2), (20, 5)]
    assert thinned((), most=2) == []
