"""While a Milvus is away: nobody waits but the one who tries again, and the log has one line when it goes."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from indexer.ann import AnnError
from indexer.milvus import MilvusSilent, MilvusUnavailable, outage
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
            raise MilvusSilent(FAULT)

    def fail(self, times: int) -> int:
        """How many of so many calls get as far as Milvus; all are told the same, without the address."""
        before = self.reached
        for _ in range(times):
            with pytest.raises(MilvusSilent, match="does not answer: try again shortly") as told:
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


@pytest.mark.parametrize("answer", [AnnError("Milvus has no collection pictures."), MilvusUnavailable("no")])
def test_an_error_is_an_answer(
    client: Client, answer: AnnError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answered() -> None:
        with pytest.raises(type(answer)) as told, client.outage.watched():
            raise answer
        assert not isinstance(told.value, MilvusSilent)

    monkeypatch.setattr(outage, "REST_SECONDS", 3600)
    for _ in range(2):
        answered()  # which nobody rests after
    assert client.fail(3) == 1
    monkeypatch.setattr(outage, "REST_SECONDS", 0)
    answered()
    assert [line.getMessage() for line in caplog.records].count("pictures can be searched again.") == 1
    with client.outage.watched():
        assert client.fail(1) == 1, "any number may ask again"


def test_each_failure_is_followed_by_a_rest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("indexer.milvus.outage.time.monotonic", lambda: now)
    assert client.fail(2) == 1
    now = outage.REST_SECONDS
    assert client.fail(2) == 1
    now += 0.9 * outage.REST_SECONDS
    assert client.fail(2) == 0
    now += 0.1 * outage.REST_SECONDS
    assert client.fail(2) == 1


def test_who_asked_before_it_answered_again_is_late_with_bad_news(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "REST_SECONDS", 0)

    def goes_and_comes_back() -> None:
        assert client.fail(1) == 1
        with client.outage.watched():
            pass

    with pytest.raises(MilvusSilent):
        client.ask(meanwhile=goes_and_comes_back)
    assert [line.levelname for line in caplog.records] == ["WARNING", "INFO"]


def test_two_who_were_under_way_when_it_went_make_one_outage(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    reached: list[int] = []
    with pytest.raises(MilvusSilent, match="does not answer"):
        client.ask(meanwhile=lambda: reached.append(client.fail(2)))
    assert reached == [1]
    assert [line.levelname for line in caplog.records] == ["WARNING"]
