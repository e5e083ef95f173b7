"""Every call of both clients against the real service: what they give is what the service gives."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexer.bundle import Bundle
from service.app import create_app
from service.client import AsyncClient, Client, FileUnusable, Refused, WrongUse
from service.schemas import ClipQuery, PictureQuery
from service.settings import Settings
from tests.fixtures.both_clients import Ask
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS, add_generation

ROOT = Path(__file__).parents[3]
CLIP, PICTURE = make_wav(0.8, 290, seed=1), make_png(1, width=160, height=120)
KEY = "only the operator has this: \u00fc"


@pytest.fixture(scope="module")
def address(index: Path) -> Iterator[str]:
    with live_server(create_app(Settings(index=index, threads=2, max_body_bytes=2_000_000))) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_search_by_path_bytes_and_file(ask: Ask, address: str, tmp_path: Path, client: TestClient) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(CLIP)
    wanted = client.post("/v1/search/captions?k=3", content=CLIP).json()
    for media in (path, str(path), CLIP, bytearray(CLIP), memoryview(CLIP), io.BytesIO(CLIP)):
        answer = ask(address, "search", media, "captions", 3)
        assert [asdict(hit) for hit in answer.hits] == wanted["hits"]
        assert answer.query == ClipQuery(seconds=0.8, truncated=False)
        assert (answer.generation, answer.model) == (wanted["generation"], wanted["model"])
    with path.open("rb") as file:
        assert len(ask(address, "search", file).hits) == len(IMAGE_IDS)
    assert ask(address, "search", PICTURE, k=1).query == PictureQuery(width=160, height=120)


def test_what_cannot_be_sent_says_so(ask: Ask, address: str, tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match=r"gone\.wav cannot be read: No such file"):
        ask(address, "search", tmp_path / "gone.wav")
    with pytest.raises(FileUnusable, match="directory"):
        ask(address, "search", tmp_path)
    with pytest.raises(WrongUse, match="binary mode"):
        ask(address, "search", io.StringIO("text"))
    with pytest.raises(WrongUse, match="of type int cannot be sent: give a path"):
        ask(address, "search", 123)
    with pytest.raises(WrongUse, match="no collection 'pictures' to search: there are images and captions"):
        ask(address, "search", CLIP, "pictures")
    (nowhere,) = ask(address, "search_many", [CLIP], "pictures")
    assert isinstance(nowhere.error, WrongUse)
    with pytest.raises(FileUnusable, match="null byte"):
        ask(address, "search", "a\0b.wav")
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(FileUnusable, match="closed file"):
        ask(address, "search", closed)
    (endless,) = ask(address, "search_many", ["/dev/zero"])
    assert "is larger than" in str(endless.error)
    with pytest.raises(WrongUse, match="no file"):
        ask(address, "embeddings")


def test_the_servers_faults_are_errors_with_their_type(ask: Ask, address: str) -> None:
    for data, status, name in ((b"", 422, "empty-media"), (b"text", 415, "unsupported-media")):
        with pytest.raises(Refused) as refused:
            ask(address, "search", data)
        assert (refused.value.status, refused.value.type) == (status, f"/problems/{name}")
        assert str(refused.value).endswith(".")
        assert refused.value.request_id
    with pytest.raises(Refused, match="it takes a whole number from 1 to 200") as refused:
        ask(address, "search", CLIP, k=1000)
    assert refused.value.type == "/problems/bad-parameter"
    with pytest.raises(Refused, match="2,000,000 bytes") as refused:  # told while it is still being sent
        ask(address, "search", CLIP + bytes(9_000_000))
    assert refused.value.type == "/problems/body-too-large"


def test_items_of_any_name_come_page_by_page_with_their_media(
    ask: Ask, address: str, corpus: Path, client: TestClient
) -> None:
    for page_size in (None, 3):
        found = ask(address, "items", "images", page_size)
        assert sorted(item.id for item in found) == sorted(IMAGE_IDS)
    for number, item_id in enumerate(IMAGE_IDS):
        item = ask(address, "item", "images", item_id)
        assert (item.id, item.collection, item.metadata["number"]) == (item_id, "images", number)
        media = ask(address, "media", "images", item_id)
        assert media.data == (corpus / f"picture{number}.png").read_bytes()
        assert media.media_type == "image/png"
        assert media.name == f"{item_id.rpartition('/')[2]}.png"
    nearest = ask(address, "neighbours", "images", "park/dog and ball", "images", 2)
    assert len(nearest.hits) == 2
    other = ask(address, "neighbours", "captions", CAPTION_IDS[0])
    assert (other.target, len(other.hits)) == ("images", len(IMAGE_IDS))
    with pytest.raises(Refused, match="There is no item 'nothing'"):
        ask(address, "item", "captions", "nothing")


def test_vectors_and_what_is_served(ask: Ask, address: str, client: TestClient) -> None:
    embedded = ask(address, "embeddings", CLIP, PICTURE)
    wanted = client.post("/v1/embeddings", content=PICTURE).json()["data"][0]["embedding"]
    np.testing.assert_allclose(embedded.data[1].embedding, wanted, atol=1e-5)
    assert ask(address, "index").collections["images"].count == len(IMAGE_IDS)
    assert ask(address, "limits").max_body_bytes == 2_000_000
    assert ask(address, "map").model_dump() == client.get("/v1/map").json()


@pytest.mark.parametrize("bad", ["", "127.0.0.1:8000", "localhost", "http://", "ftp://a", "http://a:port"])
def test_an_address_that_is_none_is_refused_at_once(bad: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(WrongUse, match="is no address of a server"):
            kind(bad)


@pytest.mark.parametrize("bad", ["two\nlines", "\u4e2d", "tab\tbed"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(bad: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(WrongUse, match="The key holds") as wrong:
            kind(key=bad)
        assert bad not in str(wrong.value)


def test_an_operator_promotes_and_rolls_back(
    ask: Ask, index: Path, tmp_path: Path, tiny_bundle: Bundle, corpus: Path
) -> None:
    path = Path(shutil.copytree(index, tmp_path / "index"))
    new = add_generation(path, tiny_bundle, corpus, promote=False)
    settings = Settings(index=path, threads=1, operator_key=SecretStr(KEY))
    with live_server(create_app(settings)) as port:
        address = f"http://127.0.0.1:{port}/"
        old = ask(address, "index").generation
        with pytest.raises(Refused) as refused:
            ask(address, "promote", new)
        assert (refused.value.status, refused.value.type) == (401, "/problems/key-missing")
        with pytest.raises(Refused) as refused:
            ask(address, "promote", new, client={"key": "another"})
        assert refused.value.type == "/problems/key-refused"
        operator = {"key": f" {KEY}\n"}
        assert [one.id for one in ask(address, "generations", client=operator).generations] == [new, old]
        swap = ask(address, "promote", "newest", client=operator)
        assert (swap.generation, swap.previous) == (new, old)
        assert ask(address, "rollback", client=operator).generation == old
        with pytest.raises(Refused) as refused:
            ask(address, "rollback", client=operator)
        assert refused.value.type == "/problems/nothing-to-roll-back"


def test_importing_it_brings_nothing_of_what_serves() -> None:
    heavy = {"fastapi", "uvicorn", "numpy", "av", "PIL", "faiss", "onnxruntime", "sqlite3", "typer", "rich"}
    look = "import sys, service.client; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert {name.partition(".")[0] for name in ran.stdout.split()} & heavy == set()
