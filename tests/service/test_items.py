"""Pages, metadata, bytes with ranges, thumbnails and neighbours, for ids of every kind."""

import hashlib
import io
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS


def _url(item_id: str, call: str = "", collection: str = "images") -> str:
    return f"/v1/items/{collection}/{quote(item_id, safe='')}{call}"


def test_pages_list_every_item_once_in_order(client: TestClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        body = client.get(f"/v1/items/images?limit=3{cursor}").json()
        assert body["total"] == len(IMAGE_IDS)
        assert len(body["items"]) <= 3
        seen += [item["id"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={quote(body['next_cursor'])}"
    assert seen == sorted(IMAGE_IDS)


@pytest.mark.parametrize("item_id", IMAGE_IDS)
def test_every_address_that_is_given_works_for_any_id(client: TestClient, corpus: Path, item_id: str) -> None:
    body = client.get(_url(item_id)).json()
    number = IMAGE_IDS.index(item_id)
    assert body["id"] == item_id
    assert body["metadata"] == {"number": number, "note": None}
    assert (body["width"], body["height"], body["seconds"]) == (160, 120, None)
    assert body["media_type"] == "image/png"
    assert client.get(body["media_url"]).content == (corpus / f"picture{number}.png").read_bytes()
    thumbnail = Image.open(io.BytesIO(client.get(body["thumbnail_url"]).content))
    assert thumbnail.format == "WEBP"
    hits = client.get(_url(item_id, "/neighbours?target=images&k=200")).json()["hits"]
    assert {hit["id"] for hit in hits} == set(IMAGE_IDS) - {item_id}


def test_a_slash_in_an_id_may_come_unencoded(client: TestClient) -> None:
    assert client.get("/v1/items/images/park/dog%20and%20ball").json()["id"] == "park/dog and ball"
    assert client.get("/v1/items/images/park/dog%20and%20ball/media").headers["content-type"] == "image/png"


def test_an_id_that_ends_in_a_call_is_told_from_the_call(client: TestClient) -> None:
    assert client.get("/v1/items/images/product%2Fthumbnail").json()["id"] == "product/thumbnail"
    assert client.get("/v1/items/images/product/thumbnail").headers["content-type"] == "image/webp"


def test_an_item_of_captions_says_what_is_known(client: TestClient, corpus: Path) -> None:
    body = client.get("/v1/items/captions/scene-2_0").json()
    assert body["metadata"] == {"text": "number 2", "image_id": "scene-2"}
    assert body["modality"] == "speech"
    assert body["seconds"] == pytest.approx(1.0)
    assert body["bytes"] == (corpus / "clip2.wav").stat().st_size


@pytest.mark.parametrize("collection", ["images", "captions"])
@pytest.mark.parametrize("target", ["images", "captions", None])
def test_neighbours_of_an_item(client: TestClient, collection: str, target: str | None) -> None:
    item_id = "scene-1" if collection == "images" else "scene-1_0"
    asked = f"&target={target}" if target else ""
    body = client.get(_url(item_id, f"/neighbours?k=3{asked}", collection)).json()
    assert body["target"] == (target or ("captions" if collection == "images" else "images"))
    modality = "image" if collection == "images" else "speech"
    assert body["query"] == {"modality": modality, "item": {"collection": collection, "id": item_id}}
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3]
    assert item_id not in [hit["id"] for hit in body["hits"]]


def test_neighbours_of_an_item_are_those_of_its_bytes(client: TestClient, corpus: Path) -> None:
    by_item = client.get("/v1/items/captions/scene-4_0/neighbours?k=5").json()["hits"]
    by_bytes = client.post("/v1/search/images?k=5", content=(corpus / "clip4.wav").read_bytes()).json()[
        "hits"
    ]
    assert [hit["id"] for hit in by_item] == [hit["id"] for hit in by_bytes]
    assert [hit["score"] for hit in by_item] == pytest.approx([hit["score"] for hit in by_bytes], abs=1e-5)


# Bytes.

CLIP = "/v1/items/captions/scene-0_0/media"


@pytest.fixture
def clip(corpus: Path) -> bytes:
    return (corpus / "clip0.wav").read_bytes()


def test_media_come_whole_with_their_type_and_digest(client: TestClient, clip: bytes) -> None:
    same_id = {"x-request-id": "1"}
    answer = client.get(CLIP, headers=same_id)
    assert answer.content == clip
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == str(len(clip))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(clip).hexdigest()}"'
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''scene-0_0.wav"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.head(CLIP, headers=same_id)
    assert head.content == b""
    assert dict(head.headers) == dict(answer.headers)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, None),
        ("bytes=100-199", 100, 199),
        ("bytes=-50", -50, None),
        ("bytes=1000-999999999999", 1000, None),
        ("bytes=-999999999", 0, None),
        ("Bytes = 4 - 5", 4, 5),
    ],
)
def test_one_range(client: TestClient, clip: bytes, header: str, first: int, last: int | None) -> None:
    answer = client.get(CLIP, headers={"range": header})
    wanted = clip[first : None if last is None else last + 1]
    assert answer.status_code == 206
    assert answer.content == wanted
    start = first % len(clip)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(clip)}"
    assert answer.headers["content-length"] == str(len(wanted))


@pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0", "bytes=999999999-999999999999"])
def test_a_range_outside_the_file(client: TestClient, clip: bytes, header: str) -> None:
    answer = client.get(CLIP, headers={"range": header})
    assert answer.status_code == 416
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-range"] == f"bytes */{len(clip)}"


@pytest.mark.parametrize(
    "header", ["bytes=5-2", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", "bytes=-", "bytes=" + "9" * 400 + "-"]
)
def test_a_range_that_means_nothing_gives_the_whole_file(
    client: TestClient, clip: bytes, header: str
) -> None:
    answer = client.get(CLIP, headers={"range": header})
    assert answer.status_code == 200
    assert answer.content == clip


def test_a_range_of_a_head_is_ignored(client: TestClient, clip: bytes) -> None:
    for header in ("bytes=0-3", "bytes=999999999-"):
        answer = client.head(CLIP, headers={"range": header})
        assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(clip)))


def test_a_copy_that_is_known_already_is_not_sent_again(client: TestClient, clip: bytes) -> None:
    etag = client.get(CLIP).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(CLIP, headers={"if-none-match": known})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == etag
    assert client.get(CLIP, headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get(CLIP, headers={"range": "bytes=0-3", "if-range": etag}).status_code == 206
    assert client.get(CLIP, headers={"range": "bytes=0-3", "if-range": '"other"'}).content == clip


def test_an_address_that_names_its_generation_may_be_kept_for_good(client: TestClient) -> None:
    item = client.get("/v1/items/captions/scene-0_0").json()
    kept = client.get(item["thumbnail_url"])
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    asked_again = client.get(item["thumbnail_url"].split("?")[0])
    assert asked_again.headers["cache-control"] == "no-cache"
    known = client.get(item["thumbnail_url"], headers={"if-none-match": kept.headers["etag"]})
    assert known.status_code == 304
    assert client.head(item["thumbnail_url"]).headers["content-length"] == str(len(kept.content))


def test_a_caption_has_a_waveform_for_a_thumbnail(client: TestClient) -> None:
    answer = client.get("/v1/items/captions/scene-0_0/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size[0] > 100


@pytest.mark.parametrize(
    "item_id", ["", "nothing", "../CURRENT", "../../../../etc/passwd", "scene-0\0", "x" * 9000, "\ud800"]
)
@pytest.mark.parametrize("call", ["", "/media", "/thumbnail", "/neighbours"])
def test_an_unknown_id_is_not_found(client: TestClient, item_id: str, call: str) -> None:
    part = quote(item_id, safe="", errors="surrogatepass")
    answer = client.get(f"/v1/items/images/{part}{call}")
    assert answer.status_code == 404, answer.text
    assert answer.json()["type"] == "/problems/unknown-item"
    assert answer.json()["detail"].endswith(".")
    assert len(answer.json()["detail"]) < 300


def test_every_caption_is_there(client: TestClient) -> None:
    body = client.get("/v1/items/captions?limit=200").json()
    assert [item["id"] for item in body["items"]] == list(CAPTION_IDS)
    assert body["next_cursor"] is None
