"""Who may read and who may promote; where keys come from; what is never told; what a start demands."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.__main__ import app as program
from service.app import create_app
from service.keys import COOKIE, Keys, KeysUnusable, load_keys, operator_key_is_short
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav

ROOT = Path(__file__).parents[2]
CLIP = make_wav(0.6)


def make_key(file: Path, role: str = "read", name: str = "alice") -> str:
    made = CliRunner().invoke(program, ["key", "--role", role, "--name", name, "--file", str(file)])
    assert made.exit_code == 0, made.output
    return made.stdout.strip().splitlines()[-1]


def loaded(**given: Any) -> Keys:
    return load_keys(Settings(index=Path("x"), **given))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    file.write_text("# who may ask\n\n")
    made = {role: make_key(file, role, f"{role}-name") for role in ("read", "operator")}
    return {**made, "file": str(file)}


@pytest.fixture(scope="module")
def guarded(index: Path, keys: dict[str, str]) -> Iterator[TestClient]:
    settings = Settings(index=index, threads=1, keys_file=Path(keys["file"]), host="0.0.0.0")
    with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_a_key_is_shown_once_and_only_its_digest_kept(keys: dict[str, str]) -> None:
    kept = Path(keys["file"]).read_text()
    for role in ("read", "operator"):
        assert len(keys[role]) > 40
        assert keys[role] not in kept
        assert re.search(rf"^{role} {role}-name [0-9a-f]{{64}}$", kept, re.MULTILINE)
    assert keys["read"] != keys["operator"]


GUARDED = [
    ("POST", "/v1/search/images"),
    ("POST", "/v1/search/captions"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/items/images"),
    ("GET", "/v1/items/images/scene-0"),
    ("GET", "/v1/items/images/scene-0/media"),
    ("GET", "/v1/items/images/scene-0/thumbnail"),
    ("GET", "/v1/items/images/scene-0/neighbours"),
    ("GET", "/v1/index"),
    ("GET", "/v1/limits"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_reading_takes_a_key_whatever_is_read(
    guarded: TestClient, keys: dict[str, str], method: str, path: str
) -> None:
    body = CLIP if method == "POST" else None
    missing = guarded.request(method, path, content=body)
    assert (missing.status_code, missing.json()["type"]) == (401, "/problems/key-missing")
    assert missing.headers["www-authenticate"].startswith("Bearer")
    for wrong in ("nonsense", keys["read"] + "x", keys["read"][:-1], "\u00e9"):
        headers = [(b"authorization", f"Bearer {wrong}".encode())]
        refused = guarded.request(method, path, content=body, headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/key-refused")
        assert wrong not in refused.text
    for role in ("read", "operator"):
        assert guarded.request(method, path, content=body, headers=bearer(keys[role])).status_code == 200
    cookie = {"cookie": f"other=1; {COOKIE}={keys['read']}"}  # as the page sends it
    assert guarded.request(method, path, content=body, headers=cookie).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/docs", "/livez", "/readyz", "/problems/key-missing"]
)
def test_what_tells_nothing_of_the_index_is_open(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_only_an_operator_key_promotes_and_only_by_header(guarded: TestClient, keys: dict[str, str]) -> None:
    call = "/v1/index/promote?generation=nothing"
    assert guarded.post(call, headers=bearer(keys["read"])).status_code == 403
    by_cookie = guarded.post(call, headers={"cookie": f"{COOKIE}={keys['operator']}"})
    assert (by_cookie.status_code, by_cookie.json()["type"]) == (401, "/problems/key-missing")
    assert guarded.post(call, headers=bearer(keys["operator"])).status_code == 404


def test_what_takes_a_key_is_kept_in_no_cache_that_is_shared(
    guarded: TestClient, keys: dict[str, str]
) -> None:
    generation = guarded.get("/v1/index", headers=bearer(keys["read"])).json()["generation"]
    for what in ("media", "thumbnail"):
        path = f"/v1/items/images/scene-0/{what}?v={generation}"
        assert "private" in guarded.get(path, headers=bearer(keys["read"])).headers["cache-control"]


def test_the_cookie_is_found_among_any_others_and_read_as_the_page_wrote_it(keys: dict[str, str]) -> None:
    made = loaded(keys_file=Path(keys["file"]), operator_key="100% my; s\u00e9cret")
    for before in ("", "a=1; ", 'odd[name]={"x": 1}; ', "\u00e9=1; ", "no value; "):
        for key, name in ((keys["read"], "read-name"), ("100% my; s\u00e9cret", "operator")):
            known = made.reader("", f"{before}{COOKIE}={quote(key, safe='')}; after=1")
            assert known is not None
            assert known.name == name


def test_a_key_gets_a_line_of_its_own_that_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    first = make_key(file, name="alice")
    file.write_text(file.read_text().rstrip("\n"))  # as an editor may leave it
    second = make_key(file, name="b\u00f6b")
    made = loaded(keys_file=file)
    for key, name in ((first, "alice"), (second, "b\u00f6b")):
        known = made.reader(f"Bearer {key}")
        assert known is not None
        assert known.name == name


@pytest.mark.parametrize("name", ["a#b", "#", "a;b", "a b", ""])
def test_a_name_that_could_not_be_read_back_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "keys.txt"
    refused = CliRunner().invoke(program, ["key", "--name", name, "--file", str(file)])
    assert refused.exit_code == 2
    assert not file.exists()


def test_what_is_no_key_file_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk\n", encoding="utf-8")
    refused = CliRunner().invoke(program, ["key", "--file", str(file)])
    assert refused.exit_code == 2
    assert "no key is added" in " ".join(refused.output.split())
    assert "saysee_" not in refused.output
    assert file.read_text(encoding="utf-8") == "buy milk\n"


def test_a_key_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    for file in (tmp_path / "nowhere" / "keys.txt", tmp_path):
        refused = CliRunner().invoke(program, ["key", "--file", str(file)])
        assert refused.exit_code == 2
        assert "cannot be written" in " ".join(refused.output.split())
        assert "saysee_" not in refused.output


def test_keys_come_from_the_environment_as_well(keys: dict[str, str]) -> None:
    lines = ";".join(Path(keys["file"]).read_text().splitlines()[2:])
    made = loaded(keys=lines, host="::")
    assert not made.reading_is_open
    known = made.reader(f"Bearer {keys['read']}")
    assert known is not None
    assert known.name == "read-name"
    only_operator = loaded(operator_key="a secret")
    assert only_operator.reading_is_open
    assert only_operator.operator("bearer  a secret ").role == "operator"


@pytest.mark.parametrize(
    ("key", "short"), [("", False), ("9 letters", True), ("x" * 15, True), ("x" * 16, False)]
)
def test_an_operator_key_that_can_be_guessed_is_noticed(key: str, short: bool) -> None:
    assert operator_key_is_short(Settings(index=Path("x"), operator_key=SecretStr(key))) is short


@pytest.mark.parametrize(
    "line", ["read alice", "admin alice " + "0" * 64, "a key in plain text", "read a b " + "0" * 64]
)
def test_a_broken_line_is_named_by_its_number_and_not_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# fine\n{line}\n")
    with pytest.raises(KeysUnusable, match="Key 2 of") as refused:
        loaded(keys_file=file)
    assert line not in str(refused.value)
    with pytest.raises(KeysUnusable, match="cannot be read"):
        loaded(keys_file=tmp_path / "nothing.txt")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_everybody_may_read(host: str) -> None:
    assert loaded(host=host).reading_is_open


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_beyond_loopback_it_takes_keys_or_the_express_wish(host: str, keys: dict[str, str]) -> None:
    for too_few in ({}, {"operator_key": "a secret"}):
        with pytest.raises(KeysUnusable, match=r"--keys-file .* --no-auth"):
            loaded(host=host, **too_few)
    assert loaded(host=host, no_auth=True).reading_is_open
    assert not loaded(host=host, keys_file=Path(keys["file"])).reading_is_open
    with pytest.raises(KeysUnusable, match="drop one"):
        loaded(host=host, no_auth=True, keys_file=Path(keys["file"]))


def test_a_start_without_keys_beyond_loopback_is_one_sentence(index: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAYSEE_")}
    done = subprocess.run(
        [sys.executable, "-m", "service", "--index", str(index), "--host", "0.0.0.0", "--port", "0"],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--no-auth" in done.stderr.splitlines()[-1]


def test_each_key_has_a_rate_of_its_own(index: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    alice, bob = make_key(file, name="alice"), make_key(file, name="bob")
    settings = Settings(index=index, threads=1, keys_file=file, rate_limit=0.01, rate_burst=2)
    with LocalClient(create_app(settings)) as client:
        statuses = [
            client.post("/v1/search/images", content=CLIP, headers=bearer(alice)).status_code for _ in "123"
        ]
        assert statuses == [200, 200, 429]
        assert client.post("/v1/search/images", content=CLIP, headers=bearer(bob)).status_code == 200


def test_two_keys_of_one_name_have_a_rate_each(index: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    keys = [make_key(file, name="alice") for _ in range(2)]
    settings = Settings(index=index, threads=1, keys_file=file, rate_limit=0.01, rate_burst=1)
    with LocalClient(create_app(settings)) as client:
        for wanted in (200, 429):
            for key in keys:
                answer = client.post("/v1/search/images", content=CLIP, headers=bearer(key))
                assert answer.status_code == wanted


@pytest.mark.parametrize("again", ["read bob", "operator alice", "read alice"])
def test_one_key_twice_is_refused_by_the_names_it_has(tmp_path: Path, again: str) -> None:
    file = tmp_path / "keys.txt"
    key = make_key(file, name="alice")
    digest = file.read_text().split()[2]
    with pytest.raises(KeysUnusable, match=f"'alice' and '{again.split()[1]}' are one and the same"):
        loaded(keys_file=file, keys=f"{again} {digest}")
    with pytest.raises(KeysUnusable, match="'alice' and 'operator'"):
        loaded(keys_file=file, operator_key=key)


def test_a_key_file_that_anybody_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    make_key(file)
    assert not loaded(keys_file=file).reading_is_open
    file.chmod(0o666)
    with pytest.raises(KeysUnusable, match=f"chmod o-w {file}"):
        loaded(keys_file=file)


def test_other_origins_may_ask_only_where_they_are_listed(index: Path, client: TestClient) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in client.options("/v1/search/images", headers=asked).headers
    assert "access-control-allow-origin" not in client.get("/v1/limits", headers=asked).headers
    settings = Settings(index=index, threads=1, cors_origins="https://app.example, https://b.example")
    with LocalClient(create_app(settings)) as listed:
        allowed = listed.options("/v1/search/images", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        other = listed.get("/v1/limits", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
