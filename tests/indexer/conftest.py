"""Where a test puts its index, and what it may build it from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.pairs import Pairs, make_pairs


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """There is nothing yet."""
    return tmp_path / "index"


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return make_pairs(tmp_path / "corpus", 6)
