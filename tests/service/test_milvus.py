"""The service on vectors in Milvus: the same answers, swaps, and 503 in one sentence while Milvus is away."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexer.bundle import Bundle
from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.milvus_server import milvus_server
from tests.fixtures.tiny_index import add_generation
from tests.service.conftest import OPERATOR_KEY

OPERATOR = {"authorization": f"Bearer {OPERATOR_KEY}"}
CLIP, PICTURE = make_wav(0.9, 333, seed=8), make_png(77)


def _ids(answer: Any) -> list[tuple[str, float]]:
    assert answer.status_code == 200, answer.text
    return [(hit["id"], round(hit["score"], 4)) for hit in answer.json()["hits"]]


def _asked(client: TestClient) -> list[list[tuple[str, float]]]:
    """All four directions, and search by item."""
    calls = [
        _ids(client.post(f"/v1/search/{target}?k=5", content=body))
        for target in ("images", "captions")
        for body in (CLIP, PICTURE)
    ]
    return [*calls, _ids(client.get("/v1/items/images/scene-1/neighbours?target=captions&k=20"))]


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_it_answers_as_from_files_and_swaps_between_the_two(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, milvus_uri: str
) -> None:
    index = tmp_path / "index"
    in_files = add_generation(index, tiny_bundle, corpus)
    in_milvus = add_generation(index, tiny_bundle, corpus, promote=False, vectors=milvus_uri)
    settings = Settings(index=index, threads=2, operator_key=SecretStr(OPERATOR_KEY))
    app = create_app(settings)
    with LocalClient(app, raise_server_exceptions=False) as client:
        expected = _asked(client)
        for generation in (in_milvus, in_files, in_milvus):
            swapped = client.post(f"/v1/index/promote?generation={generation}", headers=OPERATOR)
            assert swapped.status_code == 200, swapped.text
            assert client.get("/v1/index").json()["generation"] == generation
            assert app.state.service.keeper.holder.current.waits_elsewhere == (generation == in_milvus)
            assert _asked(client) == expected
        assert client.post("/v1/index/rollback", headers=OPERATOR).json()["generation"] == in_files


def test_while_milvus_is_away_queries_get_one_sentence_and_it_mends_itself(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for room in ("indexer", "service"):
        caplog.set_level(logging.INFO, room)
    index = tmp_path / "index"
    with milvus_server(tmp_path / "milvus") as server:
        generation = add_generation(index, tiny_bundle, corpus, vectors=server.uri)
        settings = Settings(
            index=index,
            threads=2,
            operator_key=SecretStr(OPERATOR_KEY),
            canary_seconds=5,
            deadline_seconds=60,
            poll_seconds=0.05,
        )
        with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
            expected = _asked(client)
            server.stop()
            began = time.monotonic()
            answer = client.post("/v1/search/images", content=CLIP)
            assert time.monotonic() - began < 15
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/index-failed")
            assert "does not answer: try again shortly" in answer.json()["detail"]
            assert "127.0.0.1" not in answer.text
            assert "retry-after" in answer.headers
            for _ in range(3):
                assert client.post("/v1/search/images", content=PICTURE).status_code == 503
            assert client.get("/v1/items/images?limit=2").status_code == 200  # those are in SQLite
            _until(lambda: client.get("/readyz").status_code == 503)
            refused = client.post(f"/v1/index/promote?generation={generation}", headers=OPERATOR)
            assert refused.status_code == 409
            server.start()
            _until(lambda: client.get("/readyz").status_code == 200)
            assert _asked(client) == expected
    told = [line.levelname for line in caplog.records if line.name.startswith("indexer.milvus")]
    assert told == ["WARNING", "INFO"]
    assert not [line for line in caplog.records if line.name == "service.errors"]
    requests = [line.getMessage() for line in caplog.records if line.name == "service.bookkeeper"]
    assert sum("POST /v1/search/images 503 " in line for line in requests) == 4


def test_what_could_not_be_reached_at_the_start_is_taken_up_once_it_can(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path
) -> None:
    index = tmp_path / "index"
    in_files = add_generation(index, tiny_bundle, corpus)
    with milvus_server(tmp_path / "milvus") as server:
        in_milvus = add_generation(index, tiny_bundle, corpus, vectors=server.uri)
        server.stop()
        settings = Settings(index=index, threads=2, canary_seconds=0.5, poll_seconds=0.05)
        with LocalClient(create_app(settings)) as client:
            assert client.get("/v1/index").json()["generation"] == in_files
            told = client.get("/readyz").json()["degraded"]["generation"]
            assert f"{in_files} serves in place of {in_milvus}" in told
            assert "127.0.0.1" not in told
            server.start()
            _until(lambda: client.get("/v1/index").json()["generation"] == in_milvus)
            assert client.get("/readyz").json()["degraded"] == {}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_without_its_milvus_is_one_sentence(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, workers: str
) -> None:
    index = tmp_path / "index"
    with milvus_server(tmp_path / "milvus") as server:
        add_generation(index, tiny_bundle, corpus, vectors=server.uri)
        server.stop()
        ended = subprocess.run(
            [sys.executable, "-m", "service", "--index", str(index), "--port", "0", "--workers", workers],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"Milvus at {server.uri} did not connect within 5 s (no connection)" in ended.stderr
    assert "Traceback" not in ended.stderr
