"""The benchmarks of serving, made very short: they run, hold the server to its word, keep what they found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.store import list_generations
from tests.bench import hostile_connections, search_price, serve_overload, soak, swaps

pytestmark = pytest.mark.slow


def run(main: Callable[[list[str]], None], arguments: str) -> None:
    """In a thread of its own: in the main one a browser's tests leave their loop running."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(main, arguments.split()).result()


def test_swaps(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "swaps.json"
    run(swaps.main, f"--index {index} --swaps 3 --seconds 3 --still 1 --clients 4 --out {out}")
    result = json.loads(out.read_text())
    assert (result["swaps"], result["failed"], result["mixed"]) == (3, {}, 0)
    assert len(result["answers"]) == 2  # both generations answered
    assert result["memory_mib"]["after"] > 0


def test_an_answer_that_mixes_two_generations_is_seen() -> None:
    one = {"a": 0.9, "b": 0.5, "c": 0.1}
    assert swaps.agree(one, one)
    assert swaps.agree(
        {"a": 0.9003, "b": 0.5, "d": 0.1001}, one
    )  # rounded otherwise, and one as near as the last
    for other in ({"a": 0.9, "b": 0.5}, {"a": 0.9, "b": 0.4, "c": 0.1}, {"a": 0.9, "d": 0.5, "c": 0.1}):
        assert not swaps.agree(other, one)


def test_overload(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "overload.json"
    run(serve_overload.main, f"--index {index} --seconds 3 --times 20 --warm-up 1 --out {out}")
    result = json.loads(out.read_text())
    assert result["statuses"].keys() <= {"200", "503"}
    assert result["accepted_ms"]["p99"] < 1_000 * result["deadline_seconds"]
    assert result["refused_without_retry_after"] == 0
    assert sum(result["statuses"].values()) > 100


def test_soak(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    run(soak.main, f"--index {index} --seconds 4 --every 1 --clients 2 --warm-up 1 --out {out}")
    result = json.loads(out.read_text())
    assert list(result["statuses"]) == ["200"]
    assert {name: len(each) for name, each in result["minutes"].items()} == {
        "p50_ms": 4,
        "p99_ms": 4,
        "memory_mib": 4,
    }
    assert result["last_quarter"]["memory_mib"] == result["minutes"]["memory_mib"][-1]


def test_search_price(index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(search_price.main, f"{index} --queries 3 --untimed 1")
    told = capfd.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in told if "vectors in files" in line] == [
        one.id for one in list_generations(index)
    ]
    priced = [line for line in told if re.search(r"median \d+\.\d\d ms, .* processor time$", line)]
    assert len(priced) == len(told) - len(list_generations(index)) > 0


def test_hostile_connections(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "hostile.json"
    run(
        hostile_connections.main,
        f"--index {index} --idle 40 --others 2 --clients 2 --seconds 2 --out {out}",
    )
    result = json.loads(out.read_text())
    assert list(result["statuses"]) == ["200"]
    assert result["sockets"]["meanwhile"] > result["sockets"]["before"] + 20
    assert result["sockets"]["after"] <= result["sockets"]["before"]
