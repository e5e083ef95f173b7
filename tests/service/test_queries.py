"""All four directions, the vector call, and what every answer says of itself."""

from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from indexer.bundle import Bundle
from indexer.encoder import Encoder
from indexer.media import decode_image, decode_speech
from indexer.store import CollectionName, open_index
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS

CLIP = make_wav(0.8, 290, seed=1)
PICTURE = make_png(1, width=160, height=120)


@pytest.fixture(scope="module")
def offline(index: Path, tiny_bundle: Bundle) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """What each direction must give: the same vectors searched without a service."""
    encoder, media = Encoder(tiny_bundle, provider="cpu"), tiny_bundle.manifest.media
    vectors = {
        "speech": encoder.speech([decode_speech(CLIP, media)]),
        "image": encoder.image([decode_image(PICTURE, media)]),
    }
    generation = open_index(index)
    targets: tuple[CollectionName, ...] = ("images", "captions")
    found: dict[tuple[str, str], list[tuple[str, float]]] = {
        (modality, target): [(hit.id, hit.score) for hit in generation.search(target, vector_1D, 4)[0]]
        for modality, vector_1D in vectors.items()
        for target in targets
    }
    generation.close()
    return found


@pytest.mark.parametrize("target", ["images", "captions"])
@pytest.mark.parametrize(("modality", "data"), [("speech", CLIP), ("image", PICTURE)])
@pytest.mark.parametrize("way", ["multipart", "raw", "raw without a type"])
def test_every_direction_gives_what_the_index_gives(
    client: TestClient,
    offline: dict[tuple[str, str], list[tuple[str, float]]],
    modality: str,
    data: bytes,
    target: str,
    way: str,
) -> None:
    if way == "multipart":
        # A name and a type that lie: only the bytes count.
        answer = client.post(f"/v1/search/{target}?k=4", files={"file": ("x.pdf", data, "application/pdf")})
    else:
        headers = {"content-type": "text/plain"} if way == "raw" else {}
        answer = client.post(f"/v1/search/{target}?k=4", content=data, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"query", "target", "generation", "model", "hits", "timings_ms"}
    assert body["query"]["modality"] == modality
    assert body["target"] == target
    wanted = offline[modality, target]
    assert [hit["id"] for hit in body["hits"]] == [item_id for item_id, _ in wanted]
    assert [hit["score"] for hit in body["hits"]] == pytest.approx([score for _, score in wanted], abs=1e-5)
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3, 4]
    assert all(
        set(hit) == {"rank", "id", "score", "media_url", "metadata", "seconds"} for hit in body["hits"]
    )
    assert all((hit["seconds"] is not None) == (target == "captions") for hit in body["hits"])


def test_an_indexed_item_finds_itself_with_its_metadata(client: TestClient, corpus: Path) -> None:
    body = client.post("/v1/search/captions?k=1", content=(corpus / "clip3.wav").read_bytes()).json()
    assert body["query"] == {"modality": "speech", "seconds": 1.2, "truncated": False}
    hit = body["hits"][0]
    assert hit["id"] == "scene-3_0"
    assert hit["score"] == pytest.approx(1, abs=1e-4)
    assert hit["metadata"] == {"text": "number 3", "image_id": "scene-3"}
    assert client.get(hit["media_url"]).content == (corpus / "clip3.wav").read_bytes()


def test_a_clip_longer_than_the_model_hears_is_cut_and_says_so(client: TestClient) -> None:
    body = client.post("/v1/search/images", content=make_wav(9.5)).json()
    assert body["query"] == {"modality": "speech", "seconds": 9.5, "truncated": True}


def test_a_picture_is_described_by_its_size(client: TestClient) -> None:
    body = client.post("/v1/search/images", content=PICTURE).json()
    assert body["query"] == {"modality": "image", "width": 160, "height": 120}


def test_k_is_cut_to_what_is_there_and_ten_where_it_is_not_said(client: TestClient) -> None:
    assert len(client.post("/v1/search/images?k=200", content=CLIP).json()["hits"]) == len(IMAGE_IDS)
    assert len(client.post("/v1/search/captions", content=CLIP).json()["hits"]) == len(CAPTION_IDS)


def test_timings_stand_in_the_body_and_in_a_header(client: TestClient) -> None:
    answer = client.post("/v1/search/images", content=CLIP)
    timings = answer.json()["timings_ms"]
    assert list(timings) == ["decode", "queue", "encode", "search"]
    assert all(ms >= 0 for ms in timings.values())
    header = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(header) == list(timings)
    assert float(header["encode"]) == pytest.approx(timings["encode"], abs=0.01)


def test_the_same_bytes_give_the_same_vector_alone_and_among_others(
    client: TestClient, tiny_bundle: Bundle
) -> None:
    alone = client.post("/v1/embeddings", content=CLIP).json()
    files = [("file", ("a", make_wav(3.0, 700))), ("file", ("b", PICTURE)), ("file", ("c", CLIP))]
    among = client.post("/v1/embeddings", files=files).json()
    assert alone["object"] == among["object"] == "list"
    assert [datum["index"] for datum in among["data"]] == [0, 1, 2]
    assert {datum["object"] for datum in among["data"]} == {"embedding"}
    np.testing.assert_allclose(among["data"][2]["embedding"], alone["data"][0]["embedding"], atol=1e-5)
    encoder = Encoder(tiny_bundle, provider="cpu")
    offline_1D = encoder.speech([decode_speech(CLIP, tiny_bundle.manifest.media)])
    np.testing.assert_allclose([alone["data"][0]["embedding"]], offline_1D, atol=1e-6)
    assert among["usage"] == {"prompt_tokens": 0, "total_tokens": 0, "audio_seconds": 3.8, "images": 1}
    assert alone["model"] == tiny_bundle.fingerprint[:12]
    assert alone["generation"] == among["generation"]


def test_one_bad_file_of_several_is_named(client: TestClient) -> None:
    files = [("file", ("a", CLIP)), ("file", ("b", b"no media at all"))]
    answer = client.post("/v1/embeddings", files=files)
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("File 2: ")


@pytest.mark.parametrize("data", [CLIP, PICTURE])
def test_a_query_needs_no_disk(client: TestClient, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    padded = data + b"\0" * 3_000_000  # more than a form parser keeps in memory by itself
    assert client.post("/v1/search/images", files={"file": ("x", padded)}).status_code == 200
