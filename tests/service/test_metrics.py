"""What several workers count, asked of any of them: the dead are left out, whoever notices first."""

import os
from pathlib import Path

import pytest

from service.metrics import Metrics

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
