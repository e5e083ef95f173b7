"""Every fault is a problem+json of a known type, and no error of the indexer is left without a meaning."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

import indexer
from indexer.media.errors import MediaFault
from service.app import create_app
from service.errors import MEDIA_TABLE, STATUS_TABLE, TABLE
from service.parameters import taken_values
from service.problems import PROBLEMS
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav

# Raised while building or evaluating, which the service never does.
NOT_SERVED = {"BuildError", "CorpusError", "DiskFull", "EmbeddingsError", "RecallError", "Unusable"}


def _indexer_errors() -> dict[str, type[Exception]]:
    found = {}
    for module in pkgutil.walk_packages(indexer.__path__, "indexer."):
        if module.name.endswith("__main__"):
            continue
        for name, thing in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(thing, Exception) and thing.__module__.startswith("indexer") and name[0] != "_":
                found[name] = thing
    return found


def test_every_error_of_the_indexer_has_its_meaning() -> None:
    unmapped = {
        name
        for name, error in _indexer_errors().items()
        if name not in NOT_SERVED
        and name != "MediaError"
        and not any(kind in TABLE for kind in error.__mro__)
    }
    assert not unmapped, f"say in service/errors.py what these mean over HTTP: {sorted(unmapped)}"


def test_every_kind_of_media_fault_has_its_meaning() -> None:
    assert set(MEDIA_TABLE) == set(get_args(MediaFault))


def test_the_tables_name_known_problems() -> None:
    named = {*TABLE.values(), *MEDIA_TABLE.values(), *STATUS_TABLE.values()}
    assert named <= set(PROBLEMS)
    # Seen before there is a request to answer.
    of_connections = {"request-too-slow", "head-too-large", "too-many-ahead"}
    assert set(PROBLEMS) - named - of_connections == {"bad-request", "internal-error"}


def check_problem(answer: Any, status: int, name: str) -> dict[str, Any]:
    """An RFC 9457 answer of that type, in one sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == f"/problems/{name}"
    assert body["status"] == status
    assert body["title"] == PROBLEMS[name].title
    assert body["detail"].endswith(".")
    assert "\n" not in body["detail"]
    return body


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nothing/here", 404, "no-such-address"),
        ("GET", "/v1/items/videos", 404, "unknown-collection"),
        ("GET", "/v1/items/images/", 404, "unknown-item"),
        ("GET", "/page/nothing.js", 404, "no-such-address"),
        ("GET", "/page/..%2Fapp.py", 404, "no-such-address"),
        ("GET", "/problems/nothing", 404, "unknown-problem"),
        ("GET", "/v1/search/images", 405, "wrong-method"),
        ("DELETE", "/v1/items/images/scene-0", 405, "wrong-method"),
        ("PUT", "/livez", 405, "wrong-method"),
        ("POST", "/", 405, "wrong-method"),
        ("POST", "/page/index.html", 405, "wrong-method"),
        ("POST", "/v1/search/images?k=0", 400, "bad-parameter"),
        ("POST", "/v1/search/images?k=-1", 400, "bad-parameter"),
        ("POST", "/v1/search/images?k=201", 400, "bad-parameter"),
        ("POST", "/v1/search/images?k=1000000000", 400, "bad-parameter"),
        ("POST", "/v1/search/images?k=" + "9" * 5000, 400, "bad-parameter"),
        ("POST", "/v1/search/captions?k=abc", 400, "bad-parameter"),
        ("POST", "/v1/search/captions?k=", 400, "bad-parameter"),
        ("POST", "/v1/search/captions?k=1.5", 400, "bad-parameter"),
        ("GET", "/v1/items/images?limit=0", 400, "bad-parameter"),
        ("GET", "/v1/items/images?limit=201", 400, "bad-parameter"),
        ("GET", "/v1/items/images?cursor=%00nonsense", 400, "bad-parameter"),
        ("GET", "/v1/items/images?cursor=" + "A" * 5000, 400, "bad-parameter"),
        ("GET", "/v1/items/images/scene-0/neighbours?target=videos", 400, "bad-parameter"),
        ("GET", "/v1/items/images/scene-0/neighbours?k=0", 400, "bad-parameter"),
        ("POST", "/v1/index/promote?generation=x", 403, "operator-calls-off"),
        ("POST", "/v1/index/rollback", 403, "operator-calls-off"),
    ],
)
def test_a_wrong_request(client: TestClient, method: str, path: str, status: int, name: str) -> None:
    body = check_problem(client.request(method, path), status, name)
    assert body["instance"].startswith(path.split("?")[0][:4])


def test_a_wrong_method_says_which_is_right(client: TestClient) -> None:
    assert client.get("/v1/search/images").headers["allow"] == "POST"


NEIGHBOURS = "/v1/items/images/scene-0/neighbours"


@pytest.mark.parametrize(
    ("method", "address", "detail"),
    [
        ("POST", "/v1/search/images?k=0", "The parameter 'k' is '0'; it takes a whole number from 1 to 200."),
        (
            "POST",
            "/v1/search/captions?k=1000000000",
            "The parameter 'k' is '1000000000'; it takes a whole number from 1 to 200.",
        ),
        ("GET", f"{NEIGHBOURS}?k=abc", "The parameter 'k' is 'abc'; it takes a whole number from 1 to 200."),
        ("GET", f"{NEIGHBOURS}?k=", "The parameter 'k' is empty; it takes a whole number from 1 to 200."),
        (
            "GET",
            f"{NEIGHBOURS}?target=Images",
            "The parameter 'target' is 'Images'; it takes images or captions.",
        ),
        (
            "GET",
            "/v1/items/images?limit=1e3",
            "The parameter 'limit' is '1e3'; it takes a whole number from 1 to 200.",
        ),
        (
            "GET",
            "/v1/items/images?cursor=%00",
            "The cursor '\\x00' is none of this index: start again without one.",
        ),
        ("GET", "/v1/items/videos", "There is no collection 'videos'; there are images and captions."),
        ("POST", "/v1/search/images?topk=3", "There is no parameter 'topk' here; this call takes 'k'."),
        ("GET", f"{NEIGHBOURS}?K=3", "There is no parameter 'K' here; this call takes 'k' and 'target'."),
        ("GET", f"{NEIGHBOURS}?=3", "There is no parameter '' here; this call takes 'k' and 'target'."),
        ("GET", "/livez?verbose", "There is no parameter 'verbose' here; this call takes none."),
        ("POST", "/v1/search/images?k=3&k=5", "The parameter 'k' is given 2 times; it is taken once."),
        (
            "GET",
            f"{NEIGHBOURS}?k=3&target=images&k=3",
            "The parameter 'k' is given 2 times; it is taken once.",
        ),
    ],
)
def test_a_bad_parameter_is_one_sentence_that_says_what_is_taken(
    client: TestClient, method: str, address: str, detail: str
) -> None:
    assert client.request(method, address).json()["detail"] == detail


def test_a_value_of_any_length_makes_a_short_sentence(client: TestClient) -> None:
    for query in ("k=" + "9" * 5000, "x" * 5000):
        assert len(client.post(f"/v1/search/images?{query}").json()["detail"]) < 150


def test_every_call_refuses_what_it_would_not_heed(client: TestClient) -> None:
    calls = [(m, path) for path, ms in client.get("/openapi.json").json()["paths"].items() for m in ms]
    assert len(calls) >= 16
    for method, path in [*calls, ("head", "/v1/items/{collection}/{id}/media")]:
        address = path.format(collection="images", id="scene-0", name="not-ready") + "?nonsense=1"
        answer = client.request(method, address, content=make_wav())
        assert answer.status_code == 400, path
        if method != "head":
            check_problem(answer, 400, "bad-parameter")


def test_every_parameter_is_explained(app: FastAPI) -> None:
    named = {
        parameter["name"]
        for calls in app.openapi()["paths"].values()
        for call in calls.values()
        for parameter in call.get("parameters", ())
        if parameter["in"] == "query"
    }
    assert named == set(taken_values(app.state.service.settings))


def test_the_pages_leave_their_query_string_to_the_browser(client: TestClient) -> None:
    for page in ("/", "/page/", "/docs", "/openapi.json"):
        assert client.get(f"{page}?anything=1").status_code == 200


def test_without_the_generation_a_promote_says_what_it_takes(index: Path) -> None:
    settings = Settings(index=index, threads=1, operator_key=SecretStr("a key"))
    with LocalClient(create_app(settings)) as client:
        answer = client.post("/v1/index/promote", headers={"authorization": "Bearer a key"})
    body = check_problem(answer, 400, "bad-parameter")
    assert body["detail"].startswith("The parameter 'generation' is missing; it takes the id of a generation")


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_type_can_be_opened(client: TestClient, name: str) -> None:
    answer = client.get(PROBLEMS[name].type)
    assert answer.status_code == 200
    assert answer.json()["status"] == PROBLEMS[name].status
    assert answer.json()["about"].endswith(".")


def test_a_fault_of_ours_says_nothing_of_our_insides(app: FastAPI, client: TestClient) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("a secret path /srv/secret")

        patch.setattr(app.state.service.searcher._way, "_decode", fail)
        answer = client.post("/v1/search/images", content=make_wav())
    body = check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert body["instance"] == "/v1/search/images"
