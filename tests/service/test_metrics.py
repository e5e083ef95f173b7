"""What several workers count, asked of any of them: the dead are left out, whoever notices first."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.metrics import Metrics

BEYOND_ANY_PID = 4_194_304  # Linux numbers processes below this


def test_what_dead_workers_showed_is_removed_by_several_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics = Metrics()
    for n in range(300):
        (tmp_path / f"gauge_livesum_{BEYOND_ANY_PID + n}.db").write_bytes(bytes(8))
    alive = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    alive.write_bytes(bytes(8))
    together = threading.Barrier(6)

    def scrape(_: int) -> None:
        together.wait()
        metrics.exposition()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(scrape, range(6)))
    assert list(tmp_path.iterdir()) == [alive]
