"""The page, the OpenAPI page, the document behind it, and the headers that keep a browser safe."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from service.app import create_app
from service.connection import Connection
from service.schemas import ProblemAnswer
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav


def test_the_page_comes_from_here_and_may_load_only_from_here(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'self'",
        "media-src": "'self' blob:",
        "img-src": "'self' blob: data:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["permissions-policy"].startswith("microphone=(self)")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert client.head("/").headers["etag"] == answer.headers["etag"]
    again = client.get("/", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/page/").text == answer.text


@pytest.mark.parametrize("page", ["/", "/operator"])
def test_everything_the_page_names_is_there(client: TestClient, page: str) -> None:
    text = client.get(page).text
    named = re.findall(r'(?:src|href)="([^"#:]+)(?:#[^"]*)?"', text)
    assert named
    for address in named:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["x-content-type-options"] == "nosniff"
        if address.endswith(".js"):
            assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("page", ["/operator", "/docs"])
def test_a_slash_too_many_leads_to_the_page_and_nowhere_else(client: TestClient, page: str) -> None:
    for asked in (f"{page}/", f"{page}/?next=//elsewhere.example", f"{page}/?"):
        answer = client.get(asked, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (308, page)
    assert client.head(f"{page}/", follow_redirects=False).status_code == 308
    assert client.get(f"{page}/").text == client.get(page).text
    for wrong in (f"//elsewhere.example{page}/", f"{page}//", f"{page}//elsewhere.example"):
        assert client.get(f"http://localhost{wrong}", follow_redirects=False).status_code == 404, wrong


def test_the_openapi_page_needs_no_other_host(client: TestClient) -> None:
    text = client.get("/docs").text
    assert "http" not in text
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', text):
        assert client.get(address).status_code == 200, address
    assert (
        "script-src" not in client.get("/docs").headers["content-security-policy"]
    )  # so default-src 'self' holds
    for call in ("/docs", "/"):
        assert client.head(call).status_code == 200


@pytest.mark.parametrize(
    "call",
    ["/livez", "/readyz", "/metrics", "/v1/index", "/v1/items/images", "/problems/too-fast"],
)
def test_head_is_answered_as_get_is(client: TestClient, call: str) -> None:
    answer, whole = client.head(call), client.get(call)
    assert answer.status_code == 200
    assert whole.status_code == 200
    assert answer.headers["content-type"] == whole.headers["content-type"]


def test_head_says_how_long_the_body_is(client: TestClient) -> None:
    answer, whole = client.head("/problems/too-fast"), client.get("/problems/too-fast")
    assert int(answer.headers["content-length"]) == len(whole.content)


def test_head_of_what_there_is_not(client: TestClient) -> None:
    assert client.head("/v1/nothing").status_code == 404
    assert client.head("/v1/search/images").status_code == 405


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_the_openapi_document_is_valid_and_whole(document: dict[str, Any]) -> None:
    validate(document)
    assert set(document["paths"]) == {
        "/v1/search/images",
        "/v1/search/captions",
        "/v1/search/images/batch",
        "/v1/search/captions/batch",
        "/v1/embeddings",
        "/v1/items/{collection}",
        "/v1/items/{collection}/{id}",
        "/v1/items/{collection}/{id}/media",
        "/v1/items/{collection}/{id}/thumbnail",
        "/v1/items/{collection}/{id}/neighbours",
        "/v1/index",
        "/v1/limits",
        "/v1/index/generations",
        "/v1/map",
        "/v1/index/promote",
        "/v1/index/rollback",
        "/livez",
        "/readyz",
        "/metrics",
        "/problems/{name}",
    }


def test_the_document_says_which_calls_take_which_key(
    index: Path, document: dict[str, Any], client: TestClient
) -> None:
    """What it says is what the server does, where reading takes a key and where it does not."""
    line = f"read tests {sha256(b'a key').hexdigest()}"
    settings = Settings(index=index, threads=1, keys=line, operator_key="an operator")  # type: ignore[arg-type]
    reader = {"authorization": "Bearer a key"}
    with LocalClient(create_app(settings)) as keyed:
        guarded = keyed.get("/openapi.json").json()
        validate(guarded)
        for asked, told in ((keyed, guarded), (client, document)):
            schemes = told["components"]["securitySchemes"]
            assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
                "readKey": "bearer",
                "operatorKey": "bearer",
            }
            for path, calls in told["paths"].items():
                for method, call in calls.items():
                    security = call.get("security", [{}])
                    address = path.format(collection="images", id="scene-0", name="not-ready")
                    status = asked.request(method, address, content=make_wav(0.5)).status_code
                    if security == [{"operatorKey": []}]:
                        assert status in (401, 403), path  # 403: there is no operator key at all
                        assert keyed.request(method, address, headers=reader).status_code == 403, path
                    else:
                        assert (status == 401) == ({} not in security), path
                        assert ({"readKey": []} in security) == path.startswith(("/v1/", "/metrics"))


def test_every_call_is_described_and_says_how_it_fails(document: dict[str, Any]) -> None:
    for path, calls in document["paths"].items():
        for call in calls.values():
            assert call["summary"], path
            assert re.fullmatch("[a-z_]+", call["operationId"]), path
            assert call["description"], path
            assert list(call["responses"]["default"]["content"]) == ["application/problem+json"], path
            assert "422" not in call["responses"], path  # a wrong parameter is 400 here


def test_a_file_can_be_sent_from_the_openapi_page(document: dict[str, Any]) -> None:
    for path in ("/v1/search/images", "/v1/search/captions", "/v1/embeddings"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert {"multipart/form-data", "audio/*", "image/*", "application/octet-stream"} == set(content)
        field = content["multipart/form-data"]["schema"]["properties"]["file"]
        assert field.get("format") == "binary" or field["items"]["format"] == "binary"
    for path in ("/v1/search/images/batch", "/v1/search/captions/batch"):
        ((kind, content),) = document["paths"][path]["post"]["requestBody"]["content"].items()
        assert kind == "multipart/form-data"
        assert content["schema"]["properties"]["file"]["items"]["format"] == "binary"


def test_examples_are_there_and_true_to_their_schemas(document: dict[str, Any]) -> None:
    from service import schemas

    answers = [name for name in document["components"]["schemas"] if name.endswith("Answer")]
    assert len(answers) >= 9
    for name in answers:
        model = getattr(schemas, name)
        config = getattr(model, "model_config", None) or model.__pydantic_config__
        (example,) = config["json_schema_extra"]["examples"]
        answer = TypeAdapter(model)
        assert answer.dump_python(answer.validate_python(example), mode="json", exclude_none=True)
    assert ProblemAnswer.__name__ in answers


def test_answers_are_what_the_document_says(client: TestClient) -> None:
    from service import schemas

    for call, model in (
        ("/v1/index", schemas.IndexAnswer),
        ("/v1/limits", schemas.LimitsAnswer),
        ("/v1/map", schemas.MapAnswer),
        ("/readyz", schemas.ReadyAnswer),
        ("/livez", schemas.LiveAnswer),
        ("/v1/items/images", schemas.ItemsPage),
        ("/v1/items/images/scene-0", schemas.ItemAnswer),
        ("/v1/items/images/scene-0/neighbours", schemas.SearchAnswer),
    ):
        TypeAdapter(model).validate_python(client.get(call).json())


def test_every_limit_of_a_connection_and_of_the_queue_is_told(client: TestClient, app: FastAPI) -> None:
    told = client.get("/v1/limits").json()
    of_a_connection = {
        name: value
        for name, value in vars(Connection).items()
        if not name.startswith("_") and isinstance(value, int | float)
    }
    assert of_a_connection.keys() > {"max_head_bytes", "head_seconds", "idle_seconds"}
    assert of_a_connection.items() <= told.items()
    assert told["longest_wait_seconds"] == app.state.service.admission.longest_wait_seconds == 9.0
    settings = app.state.service.settings
    of_the_settings = {name for name in Settings.model_fields if name.startswith(("max_", "min_", "rate_"))}
    for name in of_the_settings - {"max_batch"}:  # that one refuses nothing
        assert told[name] == getattr(settings, name)


def test_the_index_says_how_it_was_built(client: TestClient) -> None:
    body = client.get("/v1/index").json()
    assert (body["name"], body["dim"], body["parent"]) == ("tiny-0", 16, None)
    assert body["fingerprint"].startswith(body["model"])
    assert body["collections"]["images"]["count"] == 8
    assert body["collections"]["images"]["recall_at_10"] == 1.0
    assert body["provider"] == "CPUExecutionProvider"


def test_metrics_count_by_route_and_stage(client: TestClient) -> None:
    client.post("/v1/search/images", content=b"")
    client.get("/v1/items/images/scene-0/media")
    client.get("/nothing/of/the/kind")
    client.request("BREW", "/v1/limits")
    text = client.get("/metrics").text
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'saysee_requests_total{method="POST",route="/v1/search/images",status="422"}' in text
    assert 'route="/v1/items/{collection}/{id:path}/media",status="200"' in text
    assert 'saysee_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert 'method="other"' in text
    for stage in ("decode", "queue", "encode", "search"):
        assert f'saysee_stage_seconds_bucket{{le="0.001",stage="{stage}"}}' in text
    assert re.search(
        r'saysee_generation_info\{generation="[^"]+",model="[0-9a-f]{12}",provider="CPUExec', text
    )
    assert 'saysee_generation_items{collection="images"} 8.0' in text
    assert "saysee_ready 1.0" in text
    assert "process_resident_memory_bytes" in text
    assert "scene-0" not in text  # no label grows with what clients ask for
