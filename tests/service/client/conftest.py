"""Every call is made with both clients: what the one does the other has to do."""

from __future__ import annotations

import pytest

from tests.fixtures.both_clients import Ask, ask_async, ask_blocking


@pytest.fixture(params=[ask_blocking, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    way: Ask = request.param
    return way
