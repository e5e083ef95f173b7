"""What several workers count, asked of any of them: the dead are left out, whoever notices first."""

import os
import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from service.app import create_app
from service.metrics import Metrics
from service.settings import Settings
from tests.fixtures.local_client import LocalClient

BEYOND_ANY_PID = 4_194_304  # Linux numbers processes below this


@pytest.mark.parametrize("another_is_faster", [False, True])
def test_what_dead_workers_showed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_is_faster: bool
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    remove = os.remove

    def removed_by_another(path: str) -> None:
        remove(path)
        raise FileNotFoundError(path)

    if another_is_faster:
        monkeypatch.setattr(os, "remove", removed_by_another)
    for n in range(3):
        (tmp_path / f"gauge_livesum_{BEYOND_ANY_PID + n}.db").write_bytes(bytes(8))
    alive = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    alive.write_bytes(bytes(8))
    Metrics().exposition()
    assert list(tmp_path.iterdir()) == [alive]


TABLE = re.compile(r"^\| (`saysee_.*?) \|", re.MULTILINE)


def test_the_docs_name_every_metric_with_its_labels() -> None:
    """As the table has them: `name{label, label}`; counters by the name that Prometheus is asked for."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    told = {name for row in TABLE.findall(page) for name in re.findall(r"`([^`]+)`", row)}
    metrics = Metrics()
    there = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            labels = ", ".join(metric._labelnames)
            there.add(f"{name}{{{labels}}}" if labels else name)
    assert told == there


def test_what_an_alert_counts_is_there_before_it_happens() -> None:
    shown = Metrics().exposition().decode()
    for sample in (
        'saysee_turned_away_total{reason="overloaded"} 0.0',
        'saysee_turned_away_total{reason="expired"} 0.0',
        'saysee_swaps_total{outcome="refused"} 0.0',
        "saysee_workers 1.0",
    ):
        assert sample in shown


def test_a_request_leaves_its_stages_and_its_problem(index: Path) -> None:
    with LocalClient(create_app(Settings(index=index, threads=1, max_waiting=7))) as client:
        assert client.get("/v1/items/images/scene-0/neighbours").status_code == 200
        assert client.post("/v1/search/images", content=b"nothing known").status_code == 415
        shown = client.get("/metrics").text
    assert 'saysee_stage_seconds_count{stage="search"} 1.0' in shown
    assert 'saysee_stage_seconds_count{stage="decode"} 0.0' in shown
    assert 'saysee_problems_total{problem="unsupported-media"} 1.0' in shown
    assert "saysee_query_seconds_count 1.0" in shown
    assert "saysee_queue_limit_requests 7.0" in shown
    assert "saysee_deadline_seconds 15.0" in shown
    memory = re.search(r"^saysee_resident_memory_bytes (\S+)", shown, re.MULTILINE)
    assert memory is not None
    assert float(memory[1]) > 10e6
