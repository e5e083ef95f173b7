"""Every fault is a problem+json of a known type, and no error of the indexer is left without a meaning."""

import importlib
import inspect
import pkgutil
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import indexer
from indexer.media.errors import MediaFault
from service.errors import MEDIA_TABLE, STATUS_TABLE, TABLE
from service.problems import PROBLEMS
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
    assert set(PROBLEMS) - named == {"bad-request", "internal-error"}


def check_problem(answer: Any, status: int, name: str) -> dict[str, Any]:
    """An RFC 9457 answer of that type, in one sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance"}
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


def test_a_bad_parameter_is_named_with_its_value(client: TestClient) -> None:
    detail = client.post("/v1/search/images?k=abc").json()["detail"]
    assert "'k'" in detail
    assert "'abc'" in detail
    assert "200" in client.post("/v1/search/images?k=201").json()["detail"]


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

        patch.setattr(app.state.service.searcher, "_decode", fail)
        answer = client.post("/v1/search/images", content=make_wav())
    body = check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert body["instance"] == "/v1/search/images"
