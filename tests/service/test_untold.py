"""No answer says where on the server anything lies, however the index is damaged."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from indexer.bundle import Bundle
from service.app import create_app
from service.settings import Settings
from service.untold import without_paths
from tests.fixtures.local_client import LocalClient
from tests.fixtures.tiny_index import add_generation

OPERATOR = {"authorization": "Bearer a key"}
FILES = ("manifest.json", "items.sqlite", "images.faiss", "bundle/manifest.json", "bundle/image.onnx")


@pytest.fixture
def damaged(
    request: pytest.FixtureRequest, tmp_path: Path, index: Path, tiny_bundle: Bundle, corpus: Path
) -> tuple[Path, str]:
    """An index whose newest generation, which CURRENT names, lacks a file or has nonsense for it."""
    file, gone = request.param
    path = Path(shutil.copytree(index, tmp_path / "where-it-lies"))
    newest = add_generation(path, tiny_bundle, corpus)
    target = path / "generations" / newest / file
    target.unlink()
    if not gone:
        target.write_bytes(b"{}")
    return path, newest


@pytest.mark.parametrize("damaged", [(file, gone) for file in FILES for gone in (True, False)], indirect=True)
def test_what_is_wrong_with_a_generation_is_told_without_its_place(damaged: tuple[Path, str]) -> None:
    path, newest = damaged
    settings: dict[str, Any] = {"index": path, "threads": 1, "operator_key": "a key"}
    with LocalClient(create_app(Settings(**settings)), raise_server_exceptions=False) as client:
        ready = client.get("/readyz")
        assert newest in ready.json()["degraded"]["generation"]
        refused = client.post(f"/v1/index/promote?generation={newest}", headers=OPERATOR)
        assert refused.status_code == 409
        listed = client.get("/v1/index/generations", headers=OPERATOR)
        assert listed.json()["generations"][0]["problem"]
    for answer in (ready, refused, listed):
        assert str(path.parent) not in answer.text
        assert path.name not in answer.text


def test_an_index_that_is_gone_is_told_without_its_place(tmp_path: Path, index: Path) -> None:
    path = Path(shutil.copytree(index, tmp_path / "where-it-lies"))
    settings: dict[str, Any] = {"index": path, "threads": 1, "operator_key": "a key", "poll_seconds": 60}
    with LocalClient(create_app(Settings(**settings)), raise_server_exceptions=False) as client:
        shutil.rmtree(path)
        for method, call in (
            ("POST", "promote?generation=newest"),
            ("POST", "rollback"),
            ("GET", "generations"),
        ):
            answer = client.request(method, f"/v1/index/{call}", headers=OPERATOR)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-ready")
            assert path.name not in answer.text


def test_the_index_is_taken_out_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for named in (Path("link"), tmp_path / "link"):
        for shown in (named, named.absolute(), named.resolve()):
            assert without_paths(f"{shown}/CURRENT cannot be read.", named) == "CURRENT cannot be read."
            assert (
                without_paths(f"Nothing lies in {shown}: list it.", named)
                == "Nothing lies in INDEX: list it."
            )
    assert without_paths("a/b of ./c", Path("/")) == "a/b of ./c"
    told = "Nothing in index: `python -m indexer list --index index` of an index; index/CURRENT, /indexes."
    wanted = "Nothing in INDEX: `python -m indexer list --index INDEX` of an index; CURRENT, /indexes."
    assert without_paths(told, Path("index")) == wanted


@pytest.mark.parametrize("uri", ["milvus://vectors.example:19530", "milvus+https://[::1]:1"])
def test_a_milvus_is_told_without_its_address(uri: str) -> None:
    told = without_paths(f"Milvus at {uri} did not connect (no answer): see {uri}, too.", Path("index"))
    assert told == "Milvus at MILVUS did not connect (no answer): see MILVUS, too."


def test_nothing_to_roll_back_to_is_told_without_the_place(tmp_path: Path, index: Path) -> None:
    path = Path(shutil.copytree(index, tmp_path / "where-it-lies"))
    settings: dict[str, Any] = {"index": path, "threads": 1, "operator_key": "a key"}
    with LocalClient(create_app(Settings(**settings))) as client:
        answer = client.post("/v1/index/rollback", headers=OPERATOR)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/nothing-to-roll-back")
    assert path.name not in answer.text
    assert "--index INDEX" in answer.json()["detail"]
