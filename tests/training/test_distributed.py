"""Two processes take the step of one; their run goes on; one that dies ends the other with a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tests.fixtures.tiny_training import CONV_PRESET, make_learnable_corpus
from tests.fixtures.two_processes import exact_gradients, take_steps
from training.checkpoint import load_state
from training.distributed import ALONE, Ranks, UnevenShare

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SECONDS = 900


def start(*words: str | Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def test_one_process_alone_is_the_whole_of_it() -> None:
    rows = torch.rand(4, 2)
    assert (ALONE.first, ALONE.share(6), ALONE.any(True), ALONE.any(False)) == (
        True,
        slice(0, 6),
        True,
        False,
    )
    assert ALONE.gather(rows) is rows
    assert ALONE.first_alone(lambda: 7) == 7


def test_a_batch_is_shared_in_the_order_of_ranks() -> None:
    assert [Ranks(rank, 3).share(12, 2) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]


@pytest.mark.parametrize(
    ("batch", "count", "chunk", "sentence"),
    [
        (10, 4, 0, r"a batch of 10 is no multiple of 4 \(processes: 4\); take one that is"),
        (12, 2, 4, r"a batch of 12 is no multiple of 8 \(processes: 2, chunks of 4\)"),
        (8, 1, 16, r"a batch of 8 is no multiple of 16 \(processes: 1, chunks of 16\)"),
    ],
)
def test_an_uneven_share_is_refused(batch: int, count: int, chunk: int, sentence: str) -> None:
    with pytest.raises(UnevenShare, match=sentence):
        Ranks(0, count).share(batch, chunk)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes under torchrun found."""
    folder = tmp_path_factory.mktemp("ranks")
    with start("-m", "tests.fixtures.two_processes", folder) as process:
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_ranks_hand_each_other_what_they_have(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert found["count"] == 2
        assert found["order"].tolist() == [[0], [0], [1], [1]]
        assert found["any"] == [True, False]
    assert [found["finds"] for found in both] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["mms", "triplet"])
@pytest.mark.parametrize("chunk", [0, 2])
def test_two_processes_have_the_gradient_of_one_big_batch(
    both: list[dict[str, Any]], objective: Literal["mms", "triplet"], chunk: int
) -> None:
    expected = exact_gradients(ALONE, objective, 0)
    for found in both:
        for name, value in expected.items():
            torch.testing.assert_close(found["exact"][objective, chunk][name], value, atol=1e-10, rtol=0)


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(both: list[dict[str, Any]], tmp_path: Path) -> None:
    """In float32, where sums in another order round otherwise."""
    alone, (first, second) = take_steps(ALONE, tmp_path), (found["steps"] for found in both)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    for name, gradient in alone["gradients"].items():
        off = (first["gradients"][name] - gradient).abs().max() / gradient.abs().max()
        assert off < 1e-5, name


def of_rank(process: subprocess.Popen[str], rank: int) -> int:
    """The worker's process id."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    mine = f"RANK={rank}".encode()
    (found,) = (int(c) for c in children if mine in Path(f"/proc/{c}/environ").read_bytes().split(b"\0"))
    return found


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_other_and_the_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    corpus, preset = make_learnable_corpus(tmp_path / "pairs"), tmp_path / "tiny.toml"
    preset.write_text(CONV_PRESET)
    killed, whole = tmp_path / "killed", tmp_path / "whole"

    def fit(out: Path) -> subprocess.Popen[str]:
        words = [
            "-m",
            "training",
            "fit",
            "--preset",
            preset,
            "--data",
            corpus,
            "--out",
            out,
            "--workers",
            "1",
        ]
        words += ["--cache", tmp_path / "cache", "--device", "cpu", "--dev-split", "none"]
        return start(*map(str, words), "--set", "stages.0.steps=30", "--set", "checkpoint_every=2")

    with fit(killed) as process:
        while not (killed / "last.pt").is_file() and process.poll() is None:
            time.sleep(0.005)
        os.kill(of_rank(process, 1), signal.SIGKILL)
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert told.count("error: another process of this fit has ended") == 1, told
    assert 0 < load_state(killed / "last.pt")["step"] < 30
    for out in (killed, whole):
        with fit(out) as process:
            printed, told = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, told
        assert printed.splitlines()[0] == f"Fitted {out}: all 30 steps are done."
        assert "30 steps on 32 spoken captions, 16 pictures, cpu, 2 processes" in told
    ours, theirs = load_state(killed / "last.pt")["model"], load_state(whole / "last.pt")["model"]
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
