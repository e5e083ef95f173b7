"""What a fit tells: the log, the table at its end, TensorBoard's scalars; after a kill, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.evaluate import Scores
from training.events import Events
from training.journal import Journal, read_log
from training.listener import Listener, Progress, Together
from training.summary import evaluation_table


def scores(recall: float) -> Scores:
    there = {k: recall + k / 1000 for k in (1, 5, 10, 50, 100)}
    back = dict.fromkeys(there, recall / 2)
    return Scores(40, 8, there, back, (1.0, 2.0), (0.1, 0.2))


def tell(listener: Listener, first: int, last: int, every: int, recalls: list[float]) -> None:
    """Steps first + 1 to last, evaluated every so often; the best recall so far is the best."""
    for step in range(first + 1, last + 1):
        listener.stepped(Progress(step, 100, 5 - step / 100, 1e-3 / step, 80.0))
        if step % every == 0:
            recall = recalls[step // every - 1]
            listener.evaluated(step, scores(recall), recall == max(recalls[: step // every]))


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A run that was killed after 35 steps and went on from its checkpoint at 20."""
    recalls = [0.2, 0.6, 0.5, 0.4]
    for first, last in ((0, 35), (20, 40)):
        with Journal(tmp_path) as journal, Events(tmp_path / "tensorboard") as events:
            tell(Together([journal, events]), first, last, 10, recalls)
    return tmp_path


def test_the_log_has_every_tenth_loss_and_every_evaluation(told: Path) -> None:
    lines = [json.loads(line) for line in (told / "log.jsonl").read_text().splitlines()]
    losses = [(line["step"], line["loss"], line["pairs_per_s"]) for line in lines if "loss" in line]
    assert losses == [(n, pytest.approx(4.99 - n / 100), 80.0) for n in (0, 10, 20, 30, 20, 30)]
    assert lines[0]["learning_rate"] == 1e-3
    judged = [(line["step"], line["best"]) for line in lines if "dev" in line]
    assert judged == [(10, True), (20, True), (30, False), (30, False), (40, False)]
    assert lines[1]["dev"] == scores(0.2).to_dict()


def test_a_line_is_there_as_soon_as_it_is_told(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.stepped(Progress(1, 2, 0.5, 1e-3, 1.0))
        assert json.loads((tmp_path / "log.jsonl").read_text())["loss"] == 0.5


def test_the_table_has_a_row_an_evaluation_and_a_star_for_what_is_kept(told: Path) -> None:
    with (told / "log.jsonl").open("a") as file:
        file.write('{"step": 50, "dev": {"speech_to')  # torn by a kill
    log = read_log(told)
    assert (list(log.evaluations), log.torn) == ([10, 20, 30, 40], 1)
    table = evaluation_table(told)
    assert table is not None
    console = Console(width=90)
    with console.capture() as capture:
        console.print(table)
    rows = [line.split() for line in capture.get().splitlines() if line.strip()[:1].isdigit()]
    assert rows[1] == ["20*", "0.601", "0.605", "0.610", "0.300", "0.300", "0.300"]
    assert [row[0] for row in rows] == ["10", "20*", "30", "40"]


def test_a_run_without_evaluations_has_no_table(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.stepped(Progress(1, 2, 0.5, 1e-3, 1.0))
    assert evaluation_table(tmp_path) is None


def test_tensorboard_shows_the_run_once(told: Path) -> None:
    found = EventAccumulator(str(told / "tensorboard"))
    found.Reload()

    def of(name: str) -> dict[int, float]:
        events = found.Scalars(name)
        assert len({event.step for event in events}) == len(events)
        return {event.step: event.value for event in events}

    assert of("train/loss") == {n: pytest.approx(5 - n / 100) for n in (1, 11, 21, 31)}
    assert of("train/learning_rate") == {n: pytest.approx(1e-3 / n) for n in (1, 11, 21, 31)}
    assert of("train/pairs_per_second") == dict.fromkeys((1, 11, 21, 31), 80.0)
    assert of("dev S->I/R@010") == {
        10: pytest.approx(0.21),
        20: pytest.approx(0.61),
        30: pytest.approx(0.51),
        40: pytest.approx(0.41),
    }
    assert of("dev I->S/R@001") == {
        10: pytest.approx(0.1),
        20: pytest.approx(0.3),
        30: pytest.approx(0.25),
        40: pytest.approx(0.2),
    }
