"""One line an event, whatever a client sends: who asked for what, how it ended, how long each stage took."""

import asyncio
import hashlib
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient
from starlette.types import Message

from indexer.bundle import Bundle
from service.app import create_app
from service.logs import AsJson, AsText, event
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.own_loop import run_async
from tests.fixtures.tiny_index import add_generation

KEY = "saysee_a-key-that-nobody-may-read"

Told = Callable[[], list[dict[str, Any]]]


def requests(told: Told) -> list[dict[str, Any]]:
    return [line for line in told() if line.get("event") == "request"]


def test_a_query_is_one_line_that_says_all(client: TestClient, told: Told) -> None:
    answer = client.post("/v1/search/images?k=2", content=make_wav(), headers={"x-request-id": "mine-1"})
    (line,) = requests(told)
    assert answer.headers["x-request-id"] == line["request_id"] == "mine-1"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/search/images", 200)
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["modality"] == "speech"
    assert line["generation"] == answer.json()["generation"]
    assert line["stages_ms"] == answer.json()["timings_ms"]
    assert sum(line["stages_ms"].values()) <= line["duration_ms"]
    assert "problem" not in line
    assert "key" not in line


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        (
            "POST",
            "/v1/search/images",
            b"RIFFxxxxWAVE",
            {"problem": "undecodable-media", "modality": "speech"},
        ),
        ("POST", "/v1/search/images?k=0", b"", {"problem": "bad-parameter", "status": 400}),
        (
            "GET",
            "/v1/items/images/nobody%22%7Bknows/media",
            b"",
            {"route": "/v1/items/{collection}/{id:path}/media"},
        ),
        ("GET", "/wp-admin%0A.php", b"", {"route": "unmatched", "problem": "no-such-address"}),
        ("BREW", "/v1/index", b"", {"method": "other", "status": 405}),
        ("GET", "/page/nothing.js", b"", {"route": "/page", "status": 404}),
        ("GET", "/docs", b"", {"route": "/docs", "status": 200}),
        ("GET", "/v1/items/images/scene-0/neighbours", b"", {"modality": "image", "status": 200}),
        ("GET", "/livez?x=1", b"", {"route": "/livez", "status": 400}),
    ],
)
def test_every_request_is_told_by_its_route(
    client: TestClient, told: Told, method: str, path: str, body: bytes, wanted: dict[str, Any]
) -> None:
    answer = client.request(method, path, content=body)
    (line,) = requests(told)
    assert line | wanted == line
    assert line["request_id"] == answer.headers["x-request-id"]


def test_what_is_asked_all_the_time_is_not_told(client: TestClient, told: Told) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/page/main.js", "/docs/assets/swagger-ui.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        if "etag" in answer.headers:
            again = client.get(path, headers={"if-none-match": answer.headers["etag"]})
            assert again.status_code == 304
    assert told() == []
    assert 'saysee_requests_total{method="GET",route="/page",status="304"}' in client.get("/metrics").text


@pytest.mark.parametrize("asked", ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "Root=1-67891233-abc", "a" * 128])
def test_a_plain_id_is_kept(client: TestClient, asked: str) -> None:
    assert client.get("/livez", headers={"x-request-id": asked}).headers["x-request-id"] == asked


@pytest.mark.parametrize(
    "asked", ["", "a" * 129, "two words", '"', "a\tb", "{}", "ä", "-a", "\x1b[31m", "<b>"]
)
def test_any_other_id_is_replaced(client: TestClient, asked: str) -> None:
    answer = client.get("/livez", headers={b"x-request-id": asked.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_a_fault_of_ours_is_found_by_the_id_of_its_answer(
    app: FastAPI, client: TestClient, told: Told
) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("two\nlines")

        patch.setattr(app.state.service.searcher._way, "_decode", fail)
        answer = client.post("/v1/search/images", content=make_wav())
    fault, request = told()
    assert fault["event"] == "fault"
    assert "RuntimeError: two\nlines" in fault["traceback"]
    assert fault["request_id"] == request["request_id"] == answer.json()["request_id"]
    assert (request["status"], request["problem"]) == (500, "internal-error")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_key_is_told_by_its_name_and_nothing_the_client_sent_is(index: Path, told: Told) -> None:
    line = f"read alice {hashlib.sha256(KEY.encode()).hexdigest()}"
    settings = Settings(index=index, threads=1, keys=SecretStr(line), operator_key=SecretStr("hush-hush"))
    bearer = {"authorization": f"Bearer {KEY}", "user-agent": "agent-smith", "cookie": "biscuit=1"}
    part = {"file": ("holiday-photo.png", make_png(3), "image/tell-tale")}
    with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
        client.post("/v1/search/images?k=1", files=part, headers=bearer)
        client.post("/v1/search/images", headers={"authorization": "Bearer wrong-one"}, content=make_wav())
        client.get("/v1/items/images/secret-place", headers=bearer)
        client.post("/v1/index/rollback", headers={"authorization": "Bearer hush-hush"})
    searched, refused, looked, rolled = requests(told)
    assert (searched["key"], searched["status"], searched["modality"]) == ("alice", 200, "image")
    assert (refused["route"], refused["problem"]) == ("/v1/search/images", "key-refused")
    assert "key" not in refused
    assert (looked["key"], looked["status"]) == ("alice", 404)
    assert rolled["problem"] == "nothing-to-roll-back"
    everything = json.dumps(told())
    sent = ("holiday", "tell-tale", "agent-smith", "biscuit", "secret-place", "wrong-one", "hush", KEY, "PNG")
    assert [word for word in sent if word in everything] == []


def test_generations_come_and_go_in_the_log(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, told: Told
) -> None:
    index = tmp_path / "index"
    first = add_generation(index, tiny_bundle, corpus)
    second = add_generation(index, tiny_bundle, corpus, promote=False)
    third = add_generation(index, tiny_bundle, corpus, promote=False)
    (index / "generations" / third / "images.faiss").write_bytes(b"nothing")
    bearer = {"authorization": "Bearer hush-hush", "x-request-id": "deploy-7"}
    settings = Settings(index=index, threads=1, operator_key=SecretStr("hush-hush"))
    with LocalClient(create_app(settings)) as client:
        for call in (f"promote?generation={second}", "rollback", f"promote?generation={third}"):
            client.post(f"/v1/index/{call}", headers=bearer)
    wanted = ("generation-served", "promoted", "rolled-back", "generation-refused", "stopped")
    events = [(line["event"], line.get("generation")) for line in told() if line.get("event") in wanted]
    assert events == [
        ("generation-served", first),
        ("generation-served", second),
        ("promoted", second),
        ("generation-served", first),
        ("rolled-back", first),
        ("generation-refused", third),
        ("stopped", None),
    ]
    (promoted,) = (line for line in told() if line.get("event") == "promoted")
    assert (promoted["previous"], promoted["key"], promoted["request_id"]) == (first, "operator", "deploy-7")


def test_a_request_that_the_server_cannot_wait_for_is_answered_and_told(app: FastAPI, told: Told) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def test() -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/search/images",
            "headers": [(b"host", b"127.0.0.1")],
        }
        call = app(scope | {"query_string": b"", "raw_path": b"/v1/search/images"}, receive, send)
        request = asyncio.ensure_future(call)
        await asyncio.sleep(0.2)
        request.cancel()
        await request

    run_async(test)
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["detail"].startswith("This server has stopped")
    (line,) = told()
    assert (line["event"], line["problem"], line["status"]) == ("request", "not-ready", 503)


HOSTILE = "x\n2026-01-01T00:00:00.000Z ERROR service: forged\r\x1b[2J\x85\u2028\u2029\x00end"


def record_of(message: str, *, raised: bool = False) -> logging.LogRecord:
    caught = None
    if raised:
        try:
            raise ValueError(message)
        except ValueError:
            caught = sys.exc_info()
    record = logging.LogRecord("service", logging.INFO, __file__, 1, "got %s", (message,), caught)
    record.__dict__.update(event("test", said=message, left_out=None))
    return record


@pytest.mark.parametrize("raised", [False, True])
def test_as_json_nothing_can_end_a_line(raised: bool) -> None:
    line = AsJson().format(record_of(HOSTILE, raised=raised))
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert read["message"] == f"got {HOSTILE}"
    assert (read["event"], read["said"]) == ("test", HOSTILE)
    assert "left_out" not in read
    assert ("ValueError" in read.get("traceback", "")) == raised


def test_as_text_nothing_can_look_like_another_event() -> None:
    assert AsText().format(record_of(HOSTILE)).isprintable()
    first, *rest = AsText().format(record_of(HOSTILE, raised=True)).split("\n")
    assert " INFO service: got x\\n2026" in first
    assert rest
    for line in rest:
        assert line.startswith("    ")
        assert line.isprintable()
