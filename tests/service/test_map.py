"""GET /v1/map: every item at its place, cheap to ask again, and a plain word where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from indexer.bundle import Bundle
from indexer.projection import can_project
from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS, add_generation

pytestmark = pytest.mark.skipif(not can_project(), reason="scikit-learn is not installed (extra `map`)")


def test_every_item_has_its_place(client: TestClient) -> None:
    answer = client.get("/v1/map")
    assert answer.status_code == 200
    body = answer.json()
    served = client.get("/v1/index").json()
    assert (body["generation"], body["model"]) == (served["generation"], served["model"])
    assert body["total"] == served["map"] == {"images": len(IMAGE_IDS), "captions": len(CAPTION_IDS)}
    assert set(body["places"]["images"]["ids"]) == set(IMAGE_IDS)
    assert set(body["places"]["captions"]["ids"]) == set(CAPTION_IDS)
    for places in body["places"].values():
        assert len(places["ids"]) == len(places["x"]) == len(places["y"])
        assert all(-1 <= value <= 1 for value in places["x"] + places["y"])


def test_asked_again_it_is_cheap(client: TestClient) -> None:
    first = client.get("/v1/map")
    again = client.get("/v1/map", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    assert client.get("/v1/map", headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get("/v1/map?k=3").status_code == 400


def test_scores_are_said_to_mean_something(client: TestClient) -> None:
    collections = client.get("/v1/index").json()["collections"]
    for part in collections.values():
        assert set(part["closeness"]) == {"speech", "image"}
        for measured in part["closeness"].values():
            assert measured["chance_median"] <= measured["chance_p99"]
            assert measured["nearest_p25"] <= measured["nearest_p95"]


def test_without_a_map_there_is_a_plain_word(tmp_path: Path, tiny_bundle: Bundle, corpus: Path) -> None:
    add_generation(tmp_path / "index", tiny_bundle, corpus, map_it=False)
    with LocalClient(create_app(Settings(index=tmp_path / "index", threads=1))) as client:
        for headers in ({}, {"if-none-match": "*"}):
            answer = client.get("/v1/map", headers=headers)
            assert answer.status_code == 404
            assert answer.json()["type"] == "/problems/no-map"
            assert "without a map" in answer.json()["detail"]
        assert client.get("/v1/index").json()["map"] is None


def test_it_changes_with_its_generation(tmp_path: Path, tiny_bundle: Bundle, corpus: Path) -> None:
    add_generation(tmp_path / "index", tiny_bundle, corpus)
    second = add_generation(tmp_path / "index", tiny_bundle, corpus, promote=False)
    settings = Settings(index=tmp_path / "index", threads=1, operator_key="k")  # type: ignore[arg-type]
    with LocalClient(create_app(settings)) as client:
        etag = client.get("/v1/map").headers["etag"]
        client.post("/v1/index/promote?generation=newest", headers={"authorization": "Bearer k"})
        answer = client.get("/v1/map", headers={"if-none-match": etag})
        assert (answer.status_code, answer.json()["generation"]) == (200, second)
