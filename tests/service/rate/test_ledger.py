"""Ratings survive a kill, go on, and nobody rates a pair twice."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from indexer.durable import DiskFull
from service.rate.desk import HELD_SECONDS, Desk, NameRefused, RatingRefused, Turn
from service.rate.ledger import Ledger, RatingsUnusable
from service.rate.tasks import TasksUnreadable, read_tasks
from tests.fixtures.rating_tasks import make_tasks_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tasks_path(tmp_path: Path) -> Path:
    return make_tasks_folder(tmp_path / "tasks", pairs=6, raters=2)


def open_desk(tasks_path: Path, ratings: Path, clock: list[float] | None = None) -> tuple[Desk, Ledger]:
    tasks = read_tasks(tasks_path)
    ledger = Ledger(ratings, tasks.id)
    now = clock or [0.0]
    return Desk(tasks, ledger, lambda: now[0]), ledger


def shown(turn: Turn) -> str | None:
    return turn.pair.id if turn.pair else None


def test_everyone_gets_every_pair_once_until_it_has_enough(tasks_path: Path, tmp_path: Path) -> None:
    desk, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")
    for rater in ("Ana", "Bo"):
        turn, seen = desk.turn(rater), []
        while turn.pair:
            seen.append(turn.pair.id)
            turn = desk.rate(rater, turn.pair.id, "good")
        assert seen == [pair.id for pair in desk.tasks.pairs]
        assert (turn.rated, turn.of) == (6, 6)
    assert desk.turn("Cy").pair is None
    assert all(len(raters) == 2 for raters in ledger.given.values())
    ledger.close()


def test_a_second_rating_of_a_pair_is_refused_and_not_kept(tasks_path: Path, tmp_path: Path) -> None:
    desk, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")
    desk.rate("Ana", "p000000", "good")
    for rater in ("Ana", "  Ana "):
        with pytest.raises(RatingRefused, match="Ana has rated p000000 already"):
            desk.rate(rater, "p000000", "bad")
    desk.rate("Bo", "p000000", "bad")
    with pytest.raises(RatingRefused, match="has its 2 ratings already"):
        desk.rate("Cy", "p000000", "bad")
    with pytest.raises(RatingRefused, match="no pair 'p9'"):
        desk.rate("Cy", "p9", "bad")
    with pytest.raises(NameRefused):
        desk.rate(" ", "p000001", "bad")
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2
    ledger.close()


def test_a_pair_handed_out_is_held_for_a_while(tasks_path: Path, tmp_path: Path) -> None:
    clock = [0.0]
    desk, ledger = open_desk(tasks_path, tmp_path / "r.jsonl", clock)
    assert [shown(desk.turn(rater)) for rater in ("Ana", "Bo", "Cy")] == ["p000000", "p000000", "p000001"]
    assert shown(desk.turn("Ana")) == "p000000"  # a reload is shown the same
    clock[0] += HELD_SECONDS + 1
    assert shown(desk.turn("Cy")) == "p000000"
    ledger.close()


def test_what_is_taken_back_comes_again_and_stays_in_the_file(tasks_path: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "r.jsonl"
    desk, ledger = open_desk(tasks_path, ratings)
    with pytest.raises(RatingRefused, match="no rating that could be taken back"):
        desk.take_back("Ana")
    desk.rate("Ana", "p000000", "good")
    desk.rate("Ana", "p000001", "good")
    turn = desk.take_back("Ana")
    assert (shown(turn), turn.rated) == ("p000001", 1)
    assert shown(desk.rate("Ana", "p000001", "bad")) == "p000002"
    ledger.close()
    lines = [json.loads(line)["verdict"] for line in ratings.read_text().splitlines()]
    assert lines == ["good", "good", "withdrawn", "bad"]
    again, ledger = open_desk(tasks_path, ratings)
    assert ledger.given == {"p000000": {"Ana": "good"}, "p000001": {"Ana": "bad"}}
    assert shown(again.take_back("Ana")) == "p000001"
    ledger.close()


def test_a_torn_line_is_removed_and_the_rest_is_kept(tasks_path: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "r.jsonl"
    desk, ledger = open_desk(tasks_path, ratings)
    desk.rate("Änne", "p000000", "good")
    ledger.close()
    whole = ratings.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        ratings.write_bytes(whole + whole[:cut])
        desk, ledger = open_desk(tasks_path, ratings)
        assert ledger.given == {"p000000": {"Änne": "good"}}
        assert ratings.read_bytes() == whole
        ledger.close()


def test_a_full_disk_keeps_nothing_and_says_so(
    tasks_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")
    desk.rate("Ana", "p000000", "good")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            desk.rate("Ana", "p000001", "good")
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1
    assert shown(desk.rate("Ana", "p000001", "good")) == "p000002"
    ledger.close()


def test_many_at_once_lose_nothing_and_give_none_too_many(tmp_path: Path) -> None:
    tasks_path = make_tasks_folder(tmp_path / "tasks", pairs=20, raters=3)
    desk, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")

    def work(rater: str) -> None:
        turn = desk.turn(rater)
        while turn.pair:
            turn = desk.rate(rater, turn.pair.id, "bad")

    threads = [threading.Thread(target=work, args=(f"rater {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    _, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")
    assert [len(raters) for raters in ledger.given.values()] == [3] * 20
    ledger.close()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nonsense", "line 1 is no rating"),
        ('{"tasks": "x", "pair": "p", "rater": "r", "verdict": "good"}', "belongs to tasks x, not"),
        (
            '{"tasks": "%s", "pair": "p", "rater": "r", "verdict": "withdrawn"}',
            "r cannot say 'withdrawn' of p",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(
    tasks_path: Path, tmp_path: Path, line: str, sentence: str
) -> None:
    ratings = tmp_path / "r.jsonl"
    ratings.write_text(line.replace("%s", read_tasks(tasks_path).id) + "\n")
    with pytest.raises(RatingsUnusable, match=sentence):
        open_desk(tasks_path, ratings)
    ratings.write_text("")
    open_desk(tasks_path, ratings)[1].close()  # the refusal let go of it


def test_a_place_where_no_file_can_be_is_refused(tasks_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for ratings in (tmp_path, tmp_path / "file" / "r.jsonl"):
        with pytest.raises(RatingsUnusable, match=f"{ratings} cannot be opened .* give another --ratings"):
            open_desk(tasks_path, ratings)


def test_two_processes_never_share_a_file(tasks_path: Path, tmp_path: Path) -> None:
    _, ledger = open_desk(tasks_path, tmp_path / "r.jsonl")
    with pytest.raises(RatingsUnusable, match="is in use by another"):
        open_desk(tasks_path, tmp_path / "r.jsonl")
    ledger.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 9}, "is of schema 9"),
        ({"raters": 0}, "raters"),
        ({"pairs": []}, "pairs"),
    ],
)
def test_tasks_that_are_none_are_refused(tasks_path: Path, change: dict[str, object], sentence: str) -> None:
    tasks_path.write_text(json.dumps(json.loads(tasks_path.read_text()) | change))
    with pytest.raises(TasksUnreadable, match=sentence):
        read_tasks(tasks_path)


def test_media_outside_the_folder_are_refused(tasks_path: Path) -> None:
    content = json.loads(tasks_path.read_text())
    content["pairs"][2]["image"] = "../../etc/passwd"
    tasks_path.write_text(json.dumps(content))
    with pytest.raises(TasksUnreadable, match="is no file beside it"):
        read_tasks(tasks_path)
    with pytest.raises(TasksUnreadable, match="rating-tasks"):
        read_tasks(tasks_path.with_name("none.json"))


def start(*words: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "rate", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+(?=:\s)", line)
    assert found, line
    return process, found[0]


def post(address: str, **parameters: str) -> dict[str, object]:
    request = urllib.request.Request(
        f"{address}/v1/ratings?{urllib.parse.urlencode(parameters)}", method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: dict[str, object] = json.load(answer)
        return told


@pytest.mark.slow
def test_a_killed_server_has_lost_no_confirmed_rating_and_goes_on(tmp_path: Path) -> None:
    tasks = make_tasks_folder(tmp_path / "tasks", pairs=200, raters=5)
    ratings = tmp_path / "ratings.jsonl"
    words = ["--tasks", str(tasks), "--ratings", str(ratings), "--port", "0"]
    confirmed: list[str] = []
    for _ in range(2):
        process, address = start(*words)
        killer = threading.Timer(0.1, process.kill)
        try:
            for number in range(len(confirmed), 200):
                post(address, rater="Ana", pair=f"p{number:06d}", verdict="good")
                confirmed.append(f"p{number:06d}")
                if killer.ident is None:  # never started
                    killer.start()
        except (OSError, http.client.HTTPException):  # it may die within an answer
            process.wait(60)
        if process.stdout:
            process.stdout.close()
        kept = [json.loads(line)["pair"] for line in ratings.read_bytes().split(b"\n")[:-1]]
        assert kept[: len(confirmed)] == confirmed
        assert len(kept) <= len(confirmed) + 1  # written and not confirmed any more
        confirmed = kept
    assert confirmed
    process, address = start(*words)
    asked = urllib.request.Request(f"{address}/v1/turn?rater=Ana", method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        turn = json.load(answer)
    assert turn["rated"] == len(confirmed)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
