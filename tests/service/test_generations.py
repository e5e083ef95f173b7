"""The operator's list of generations: what each holds, which serves, what is wrong; promote by a word."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from indexer import store
from indexer.bundle import Bundle
from indexer.projection import can_project
from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.tiny_bundle import make_tiny_bundle
from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS, add_generation
from tests.service.conftest import OPERATOR_KEY

OPERATOR = {"authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, corpus: Path) -> Path:
    """An index with three generations, the second of another model and without a map; the first serves."""
    path = tmp_path_factory.mktemp("three")
    other = make_tiny_bundle(path / "other", seed=1)
    first = add_generation(path / "index", tiny_bundle, corpus)
    add_generation(path / "index", other, corpus, promote=False, map_it=False)
    add_generation(path / "index", tiny_bundle, corpus, promote=False)
    assert store.current_generation(path / "index") == first
    return path / "index"


@pytest.fixture
def index(three: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(three, tmp_path / "index"))


@pytest.fixture
def ids(index: Path) -> list[str]:
    """Oldest first."""
    return [listed.id for listed in store.list_generations(index)][::-1]


def app_of(index: Path, **settings: Any) -> FastAPI:
    defaults: dict[str, Any] = {"threads": 1, "poll_seconds": 60, "operator_key": OPERATOR_KEY}
    return create_app(Settings(index=index, **(defaults | settings)))


def listed(client: LocalClient) -> dict[str, Any]:
    answer = client.get("/v1/index/generations", headers=OPERATOR)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def test_all_are_listed_with_what_they_hold(index: Path, ids: list[str]) -> None:
    with LocalClient(app_of(index)) as client:
        told = listed(client)
        served = client.get("/v1/index").json()
    assert [one["id"] for one in told["generations"]] == ids[::-1]
    assert (told["serving"], told["rollback"], told["degraded"]) == (ids[0], None, {})
    newest, other, first = told["generations"]
    assert (first["serving"], first["current"]) == (True, True)
    assert [(one["serving"], one["current"]) for one in (newest, other)] == [(False, False)] * 2
    assert first["counts"] == {"images": len(IMAGE_IDS), "captions": len(CAPTION_IDS)}
    assert (first["model"], first["created"]) == (served["model"], served["created"])
    assert (other["name"], other["map"], newest["map"]) == ("tiny-1", False, can_project())
    assert newest["parent"] == ids[0]
    files = (index / "generations" / ids[0]).rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file() and file.parent.name != "generations")
    assert first["bytes"] == size - (index / "generations" / ids[0] / "manifest.json").stat().st_size


def test_it_takes_the_operator_key(index: Path) -> None:
    with LocalClient(app_of(index)) as client:
        for headers, status, name in (
            ({}, 401, "key-missing"),
            ({"authorization": "Bearer wrong"}, 403, "key-refused"),
        ):
            answer = client.get("/v1/index/generations", headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{name}")
    with LocalClient(app_of(index, operator_key="")) as client:
        answer = client.get("/v1/index/generations", headers=OPERATOR)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/operator-calls-off")


def test_promoted_by_a_word_and_back(index: Path, ids: list[str]) -> None:
    with LocalClient(app_of(index)) as client:
        answer = client.post("/v1/index/promote?generation=newest", headers=OPERATOR)
        assert (answer.status_code, answer.json()["generation"]) == (200, ids[2])
        told = listed(client)
        assert (told["serving"], told["rollback"]) == (ids[2], ids[0])
        again = client.post("/v1/index/promote?generation=current", headers=OPERATOR)
        assert (again.json()["generation"], again.json()["previous"]) == (ids[2], ids[2])
        assert client.post("/v1/index/rollback", headers=OPERATOR).json()["generation"] == ids[0]
        assert listed(client)["serving"] == ids[0]


def test_what_is_wrong_is_told_and_why_one_was_refused(index: Path, ids: list[str]) -> None:
    (index / "generations" / ids[1] / "manifest.json").unlink()
    vectors = index / "generations" / ids[2] / "images.faiss"
    whole = vectors.read_bytes()
    vectors.unlink()
    vectors.write_bytes(whole[:-1])
    with LocalClient(app_of(index)) as client:
        newest, damaged, first = listed(client)["generations"]
        assert "cannot be read" in damaged["problem"]
        assert (damaged["counts"], damaged["created"], damaged["bytes"]) == ({}, None, 0)
        assert newest["problem"] is None  # nobody has looked at its bytes yet
        assert first["problem"] is None
        refused = client.post("/v1/index/promote?generation=newest", headers=OPERATOR)
        assert refused.status_code == 409
        told = listed(client)
        assert "images.faiss has" in told["generations"][0]["problem"]
        assert told["serving"] == ids[0]
        vectors.write_bytes(whole)
        assert client.post("/v1/index/promote?generation=newest", headers=OPERATOR).status_code == 200
        assert listed(client)["generations"][0]["problem"] is None


def test_one_that_is_damaged_is_nothing_to_roll_back_to(index: Path, ids: list[str]) -> None:
    for generation in (ids[1], ids[2]):
        store.promote(index, generation)
    (index / "generations" / ids[1] / "manifest.json").unlink()
    with LocalClient(app_of(index)) as client:
        assert listed(client)["rollback"] == ids[0]
