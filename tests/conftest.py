"""Leaves out the tests whose machine part is missing (browser, corpora, GPU), and says so in one line.

Gives every test one tiny but real model bundle; more of them, and media, are made by tests.fixtures.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from indexer.bundle import Bundle

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests import ONNX Runtime by themselves

_LEFT_OUT = pytest.StashKey[Counter[str]]()


def _missing_parts() -> dict[str, str]:
    """Marker -> why its tests cannot run here; empty on a machine that has everything."""
    missing: dict[str, str] = {}
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        missing["browser"] = "no Chromium on the PATH"
    if shutil.which("curl") is None:
        missing["curl"] = "no curl"
    if not os.environ.get("SAYSEE_DATA"):
        missing["data"] = "SAYSEE_DATA is not set"
    if shutil.which("promtool") is None:
        missing["promtool"] = "no promtool"
    if not Path("/dev/nvidiactl").exists():
        missing["gpu"] = "no NVIDIA GPU"
    return missing


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = _missing_parts()
    left_out: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        reasons = [why for marker, why in missing.items() if item.get_closest_marker(marker)]
        if reasons:
            left_out[reasons[0]] += 1
            dropped.append(item)
        else:
            kept.append(item)
    config.stash[_LEFT_OUT] = left_out
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, Counter())
    if left_out:
        parts = "; ".join(f"{count} ({why})" for why, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out: {parts}")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One bundle for the whole run: read it, never alter it (make_tiny_bundle makes one to alter)."""
    from tests.fixtures.tiny_bundle import make_tiny_bundle  # ONNX is slow to import: only for who needs it

    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One small Milvus for the whole run, which tests share as indices do; tests.fixtures has one to kill."""
    from tests.fixtures.milvus_server import milvus_server

    with milvus_server(tmp_path_factory.mktemp("milvus")) as server:
        yield server.uri
