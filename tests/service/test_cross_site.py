"""Pages from elsewhere: names pointed at this machine, and forms and scripts of other origins."""

import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav

CLIP = make_wav(0.6)
EVERY_KIND = ("/", "/page/main.js", "/docs", "/openapi.json", "/livez", "/metrics", "/v1/limits", "/nothing")


def host(name: str) -> dict[str, str]:
    return {"host": name}


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.8.8.8",
        "[::1]",
        "[::1]:8000",
        "localhost",
        "LocalHost:8000",
        "localhost.:8000",
        "192.168.1.5:8000",  # an address cannot be pointed elsewhere
    ],
)
def test_loopback_and_addresses_are_answered(client: TestClient, name: str) -> None:
    assert client.get("/v1/limits", headers=host(name)).status_code == 200


@pytest.mark.parametrize("path", EVERY_KIND)
def test_a_name_that_was_pointed_here_gets_nothing(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=host("evil.example:8000"))
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "/problems/wrong-host"
    assert body["detail"] == (
        "The request asks 'evil.example:8000', a name that this server is not served under: use another, or "
        "have it started with --allowed-host NAME."
    )


@pytest.mark.parametrize(
    "name",
    [
        "evil.localhost.example",
        "127.0.0.1.nip.example",
        "localhost.evil.example:8000",
        "localhost@evil.example",
        "evil.example#localhost",
        "127.0.0.1:8000@evil.example",
        "localhost:8000:80",
        "localhost:eighty",
        "[::1",
        "[evil.example]",
        "",
        " ",
        "x" * 5000,
        "\u00e9",
    ],
)
def test_what_only_looks_like_one_of_our_names_is_refused(client: TestClient, name: str) -> None:
    answer = client.get("/v1/limits", headers=[(b"host", name.encode())])
    assert answer.status_code == 421
    assert len(answer.json()["detail"]) < 400


def test_without_a_host_or_with_two_there_is_no_answer(index: Path) -> None:
    with live_server(create_app(Settings(index=index, threads=1))) as port:
        two = b"Host: localhost\r\nHost: evil.example\r\n"
        for lines, said in ((b"", b"names no host: send a Host header"), (two, b"'localhost, evil.example'")):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(b"GET /v1/limits HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n")
                received = b"".join(iter(lambda: connection.recv(4096), b""))
                assert received.startswith(b"HTTP/1.1 421 ")
                assert said in received


def test_names_can_be_added(index: Path) -> None:
    for given in (["find.example", "Find.Lan"], "find.example, find.lan"):
        settings = Settings(index=index, threads=1, allowed_hosts=given, host="here.example", no_auth=True)  # type: ignore[arg-type]
        with LocalClient(create_app(settings)) as client:
            for name in ("find.example", "FIND.example.:443", "find.lan:80", "here.example", "localhost"):
                assert client.get("/v1/limits", headers=host(name)).status_code == 200
            for name in ("evil.example", "sub.find.example", "find.example.evil.example"):
                assert client.get("/v1/limits", headers=host(name)).status_code == 421


@pytest.mark.parametrize(
    "origin", ["foo", "app.example", "https://app.example/", "https://app.example/x", "null", "*.example"]
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="scheme, host and port alone"):
        Settings(index=Path("x"), cors_origins=f"https://good.example:8443, {origin}")


@pytest.mark.parametrize("name", ["http://find.example", "find.example:80", "find.example/x", "*", "a b"])
def test_what_is_no_name_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="without scheme, port and path"):
        Settings(index=Path("x"), allowed_hosts=(name,))


@pytest.fixture(scope="module")
def keyed(index: Path) -> Iterator[TestClient]:
    line = f"read tests {sha256(b'a key').hexdigest()}"
    settings = Settings(index=index, threads=1, keys=line, host="0.0.0.0", operator_key="operator")  # type: ignore[arg-type]
    with LocalClient(create_app(settings)) as client:
        yield client


def test_where_reading_takes_a_key_any_name_will_do_until_names_are_given(
    keyed: TestClient, index: Path
) -> None:
    key = {"authorization": "Bearer a key"}
    assert keyed.get("/v1/limits", headers=host("find.example") | key).status_code == 200
    assert keyed.get("/v1/limits", headers=host("find.example")).status_code == 401
    line = f"read tests {sha256(b'a key').hexdigest()}"
    named = Settings(index=index, threads=1, keys=line, allowed_hosts=("find.example",))  # type: ignore[arg-type]
    with LocalClient(create_app(named)) as client:
        assert client.get("/v1/limits", headers=host("find.example") | key).status_code == 200
        assert client.get("/v1/limits", headers=host("evil.example") | key).status_code == 421


FROM_ELSEWHERE: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:3000"},  # another server of this machine
    {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "http://["},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"},
    {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
]


@pytest.mark.parametrize("said", FROM_ELSEWHERE, ids=str)
@pytest.mark.parametrize(
    "call", ["/v1/search/images", "/v1/embeddings", "/v1/index/promote?generation=x", "/v1/index/rollback"]
)
def test_a_page_of_another_origin_may_send_nothing(
    client: TestClient, keyed: TestClient, call: str, said: dict[str, str]
) -> None:
    for asked, key in ((client, {}), (keyed, {"authorization": "Bearer operator"})):
        answer = asked.post(call, content=CLIP, headers=said | key)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/other-origin")
        assert answer.json()["detail"].endswith("pages of other origins may send nothing here.")


@pytest.mark.parametrize(
    "said",
    [
        {},  # no browser
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "none"},
        # A proxy with TLS that hands on a Host of its own: the browser knows what it asked.
        {"sec-fetch-site": "same-origin", "origin": "https://find.example"},
    ],
    ids=str,
)
def test_our_own_page_and_programs_may(client: TestClient, said: dict[str, str]) -> None:
    assert client.post("/v1/search/images", content=CLIP, headers=said).status_code == 200


def test_reading_is_what_other_origins_cannot_do_by_their_browsers_own_rules(client: TestClient) -> None:
    """No CORS header lets a script read an answer, and no picture or sound may be shown elsewhere."""
    asked = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    for path in ("/v1/limits", "/v1/items/images/scene-0/media", "/v1/items/images/scene-0/thumbnail", "/"):
        answer = client.get(path, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_listed_origin_may_send_and_show(index: Path) -> None:
    settings = Settings(index=index, threads=1, cors_origins="https://app.example")
    asked: dict[str, Any] = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    with LocalClient(create_app(settings)) as client:
        answer = client.post("/v1/search/images", content=CLIP, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        other = client.post(
            "/v1/search/images", content=CLIP, headers=asked | {"origin": "https://b.example"}
        )
        assert other.status_code == 403
    with LocalClient(create_app(Settings(index=index, threads=1, cors_origins="*"))) as client:
        assert client.post("/v1/search/images", content=CLIP, headers=asked).status_code == 200
