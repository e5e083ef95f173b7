"""While a Milvus is away: nobody waits but the one who tries again, and the log has one line when it goes."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from indexer.ann import AnnError
from indexer.milvus import MilvusUnavailable, outage
from indexer.milvus.outage import Outage

FAULT = "Milvus at milvus://a:1 did not search within 5 s (no answer)"


class Client:
    """Asks a Milvus that is away, and counts how often a call gets as far as that."""

    def __init__(self) -> None:
        self.outage = Outage("pictures")
        self.reached = 0

    def ask(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        with self.outage.watched():
            self.reached += 1
            meanwhile()
            raise MilvusUnavailable(FAULT)

    def fail(self, times: int) -> int:
        """How many of so many calls get as far as Milvus; all are told the same, without the address."""
        before = self.reached
        for _ in range(times):
            with pytest.raises(MilvusUnavailable, match="does not answer: try again shortly") as told:
                self.ask()
            assert "milvus://" not in str(told.value)
        return self.reached - before


@pytest.fixture
def client(caplog: pytest.LogCaptureFixture) -> Client:
    caplog.set_level(logging.INFO, "indexer.milvus")
    return Client()


def test_after_a_failure_nobody_asks_for_a_while(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "REST_SECONDS", 3600)
    assert client.fail(5) == 1
    told = [(line.levelname, line.getMessage()) for line in caplog.records]
    assert told == [("WARNING", f"pictures cannot be searched: {FAULT}")]


def test_then_one_tries_at_a_time_until_it_answers(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "REST_SECONDS", 0)
    assert client.fail(3) == 3
    with client.outage.watched():
        assert client.fail(2) == 0
    with client.outage.watched():  # the outage is over, and any number may ask at once
        assert client.fail(1) == 1
    told = [(line.levelname, line.getMessage()) for line in caplog.records]
    assert told[1] == ("INFO", "pictures can be searched again.")
    assert [level for level, _ in told] == ["WARNING", "INFO", "WARNING", "INFO"]


def test_whoever_tries_and_fails_otherwise_lets_the_next_one_try(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "REST_SECONDS", 0)
    assert client.fail(1) == 1
    with pytest.raises(AnnError, match="closed"), client.outage.watched():
        raise AnnError("The index was closed.")
    assert client.fail(1) == 1
    assert [line.levelname for line in caplog.records] == ["WARNING"]


def test_two_who_were_under_way_when_it_went_make_one_outage(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    reached: list[int] = []
    with pytest.raises(MilvusUnavailable, match="does not answer"):
        client.ask(meanwhile=lambda: reached.append(client.fail(2)))
    assert reached == [1]
    assert [line.levelname for line in caplog.records] == ["WARNING"]
