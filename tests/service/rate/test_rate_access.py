"""Who may rate, and from where."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.__main__ import app as program
from service.keys import COOKIE, Key, Keys
from tests.fixtures.rating_app import rating
from tests.fixtures.rating_tasks import make_tasks_folder
from tests.service.rate.test_ledger import start

CALLS = [
    ("POST", "/v1/turn?rater=Eve"),
    ("POST", "/v1/ratings?rater=Ana&pair=p000000&verdict=good"),
    ("POST", "/v1/ratings/withdraw?rater=Ana"),
    ("GET", "/v1/pairs/p000000/image"),
    ("GET", "/v1/pairs/p000000/speech"),
]
CHANGES = [call for method, call in CALLS if method == "POST"]


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[TestClient]:
    keys = Keys([Key("read", "ana", sha256(b"a key").digest())])
    with rating(tmp_path, keys=keys, names=None) as client:
        yield client


def test_every_call_takes_a_key_where_there_are_keys(keyed: TestClient, tmp_path: Path) -> None:
    for method, call in CALLS:
        missing = keyed.request(method, call)
        assert (missing.status_code, missing.json()["type"]) == (401, "/problems/key-missing")
        assert missing.headers["www-authenticate"].startswith("Bearer")
        refused = keyed.request(method, call, headers={"authorization": "Bearer another"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/key-refused")
    assert (tmp_path / "ratings.jsonl").read_bytes() == b""
    for header in (
        {"authorization": "Bearer a key"},
        {"cookie": f"{COOKIE}=a%20key"},
    ):  # as the page sends it
        for method, call in CALLS:
            assert keyed.request(method, call, headers=header).status_code == 200


def test_the_page_itself_is_open_and_tells_nothing(keyed: TestClient) -> None:
    for path in ("/", "/rate/rate.js", "/page/keyring.js", "/problems/key-missing"):
        assert keyed.get(path).status_code == 200


@pytest.mark.parametrize("call", CHANGES)
@pytest.mark.parametrize(
    "said",
    [
        {"origin": "https://evil.example", "content-type": "application/x-www-form-urlencoded"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"},
    ],
    ids=str,
)
def test_no_form_of_another_page_rates(tmp_path: Path, call: str, said: dict[str, str]) -> None:
    with rating(tmp_path) as client:
        client.post("/v1/ratings?rater=Ana&pair=p000001&verdict=good")
        before = (tmp_path / "ratings.jsonl").read_bytes()
        refused = client.post(call, headers=said)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/other-origin")
        assert (tmp_path / "ratings.jsonl").read_bytes() == before
        # Nor was a pair held: Ana holds the first, has rated the second, and Bo gets the third.
        assert client.post("/v1/turn?rater=Bo").json()["pair"]["id"] == "p000002"


def test_a_name_that_was_pointed_here_gets_nothing(tmp_path: Path) -> None:
    with rating(tmp_path, names=("rate.example",)) as client:
        for method, call in [*CALLS, ("GET", "/"), ("GET", "/rate/rate.js")]:
            answer = client.request(method, call, headers={"host": "evil.example:8001"})
            assert (answer.status_code, answer.json()["type"]) == (421, "/problems/wrong-host")
        assert client.get("/", headers={"host": "rate.example"}).status_code == 200


def words(tmp_path: Path, *more: str) -> list[str]:
    tasks = tmp_path / "tasks" / "tasks.json"
    if not tasks.exists():
        make_tasks_folder(tasks.parent)
    return ["rate", "--tasks", str(tasks), "--ratings", str(tmp_path / "r.jsonl"), "--port", "0", *more]


def test_beyond_loopback_it_starts_with_keys_or_by_express_wish_alone(tmp_path: Path) -> None:
    for more, sentence in (
        (("--host", "0.0.0.0"), "give --keys-file keys.txt, or let everybody in with --no-auth"),
        (("--host", "0.0.0.0", "--keys-file", str(tmp_path / "no.txt")), "cannot be read"),
        (("--allowed-host", "http://rate.example"), "--allowed-host (SAYSEE_ALLOWED_HOSTS) is"),
    ):
        refused = CliRunner().invoke(program, words(tmp_path, *more))
        assert refused.exit_code == 2
        assert sentence in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "r.jsonl").exists()
    # It gets as far as the host, which is none.
    away = ("--host", "no.such.host.invalid", "--no-auth")
    assert "cannot be listened on" in CliRunner().invoke(program, words(tmp_path, *away)).stderr


@pytest.mark.parametrize("source", ["option", "variable"])
def test_the_command_takes_keys_and_names(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.txt"
    made = CliRunner().invoke(program, ["key", "--name", "ana", "--file", str(file)])
    key = made.stdout.strip()
    more = ["--allowed-host", "one.example", "--allowed-host", "two.example"]
    if source == "option":
        more += ["--keys-file", str(file)]
    else:
        monkeypatch.setenv("SAYSEE_KEYS", file.read_text().strip())
        monkeypatch.setenv("SAYSEE_ALLOWED_HOSTS", "one.example,two.example")
        more = []
    process, address = start(*words(tmp_path, *more)[1:])
    try:
        for headers, status in (
            ({}, 401),
            ({"Authorization": f"Bearer {key}"}, 200),
            ({"Authorization": f"Bearer {key}", "Host": "two.example"}, 200),
            ({"Authorization": f"Bearer {key}", "Host": "evil.example"}, 421),
        ):
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
            with closing(connection):
                connection.request("POST", "/v1/turn?rater=Ana", headers=headers)
                assert connection.getresponse().status == status
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
