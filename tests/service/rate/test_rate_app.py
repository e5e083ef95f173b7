"""The rating page's calls: what a rater is told, and what they are never told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.__main__ import app as program
from service.problems import PROBLEMS
from service.rate.desk import Desk
from service.rate.faults import RATING_PROBLEMS, RATING_TABLE
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.rating_app import rating
from tests.fixtures.rating_tasks import make_tasks_folder


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with rating(tmp_path) as client:
        yield client


def test_a_turn_tells_nothing_of_right_or_rank(client: TestClient) -> None:
    turn = client.post("/v1/turn", params={"rater": "Ana"})
    assert turn.json() == {
        "question": "Does it fit?",
        "pair": {
            "id": "p000000",
            "text": "",
            "image_url": "/v1/pairs/p000000/image",
            "speech_url": "/v1/pairs/p000000/speech",
        },
        "rated": 0,
        "of": 6,
        "ratings": 0,
        "ratings_wanted": 6,
        "can_take_back": False,
    }
    assert turn.headers["cache-control"] == "no-store"
    picture, clip = (client.get(turn.json()["pair"][kind]) for kind in ("image_url", "speech_url"))
    assert picture.headers["content-type"] == "image/png"
    assert clip.headers["content-type"].startswith("audio/")
    assert "content-disposition" not in picture.headers


def test_rating_gives_the_next_turn(client: TestClient) -> None:
    after = client.post("/v1/ratings", params={"rater": "Ana", "pair": "p000000", "verdict": "good"}).json()
    assert (after["pair"]["id"], after["rated"], after["can_take_back"]) == ("p000001", 1, True)
    back = client.post("/v1/ratings/withdraw", params={"rater": "Ana"}).json()
    assert (back["pair"]["id"], back["rated"]) == ("p000000", 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/turn", 400),
        ("POST", "/v1/turn?rater=%20", 400),
        ("POST", "/v1/ratings?rater=Ana&pair=p000000&verdict=perhaps", 400),
        ("POST", "/v1/ratings?rater=Ana&pair=nothing&verdict=good", 409),
        ("POST", "/v1/ratings/withdraw?rater=Ana", 409),
        ("GET", "/v1/pairs/nothing/image", 404),
        ("GET", "/v1/pairs/p000000/id", 404),
        ("GET", "/v1/turn?rater=Ana", 405),
        ("GET", "/nothing", 404),
        ("GET", "/rate/../app.py", 404),
        ("GET", "/problems/nothing", 404),
        ("POST", "/v1/turn?rater=Ana&verdict=good", 400),
        ("POST", "/v1/turn?rater=Ana&rater=Bo", 400),
        ("POST", "/v1/ratings/withdraw?rater=Ana&pair=p000000", 400),
        ("GET", "/v1/pairs/p000000/image?v=1", 400),
    ],
)
def test_faults_are_problems(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    assert body["detail"].endswith(".")
    explained = client.get(body["type"]).json()
    assert (explained["type"], explained["status"]) == (body["type"], status)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/v1/turn?ratr=Ana&rater=Ana", "There is no parameter 'ratr' here; this call takes 'rater'."),
        (
            "/v1/ratings?rater=A&pair=p",
            "The parameter 'verdict' is missing or wrong; it takes good or bad.",
        ),
        ("/v1/turn", "The parameter 'rater' is missing or wrong; it takes a name."),
    ],
)
def test_a_parameter_that_is_wrong_is_named(client: TestClient, path: str, detail: str) -> None:
    assert client.post(path).json()["detail"] == detail


def test_every_fault_has_its_meaning() -> None:
    assert set(RATING_TABLE.values()) <= set(RATING_PROBLEMS)
    assert set(RATING_PROBLEMS) - set(PROBLEMS) <= set(RATING_TABLE.values())


def test_a_fault_of_ours_says_nothing_of_our_insides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"a secret path {tmp_path}")

    monkeypatch.setattr(Desk, "turn", fail)
    with rating(tmp_path, raise_faults=False) as client:
        answer = client.post("/v1/turn?rater=Ana")
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
        (tmp_path / "tasks" / "images" / "0.png").unlink()
        gone = client.get("/v1/pairs/p000000/image")
        assert (gone.status_code, gone.json()["type"]) == (404, "/problems/no-such-pair")
    assert str(tmp_path) not in answer.text + gone.text


def test_what_a_file_is_called_decides_nothing(tmp_path: Path) -> None:
    """Tasks may come from others: what would be a page or a script for a browser is never sent as one."""
    tasks = make_tasks_folder(tmp_path / "tasks", raters=1)
    picture = (tmp_path / "tasks" / "images" / "0.png").read_bytes()
    page = b"<html><script src=/v1/pairs/p000002/image></script></html>"
    drawing = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    content = json.loads(tasks.read_text())
    files = {"a.html": picture, "b.html": page, "c.js": b"alert(1)", "d.svg": drawing, "e.png": make_wav()}
    for number, (name, data) in enumerate(files.items()):
        (tmp_path / "tasks" / name).write_bytes(data)
        content["pairs"][number]["image"] = name
    tasks.write_text(json.dumps(content))
    with rating(tmp_path, tasks) as client:
        answers = [client.get(f"/v1/pairs/p{number:06d}/image") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 404, 404]
    assert answers[0].headers["content-type"] == "image/png"
    assert answers[0].headers["x-content-type-options"] == "nosniff"


def test_the_page_and_what_it_loads_are_there(client: TestClient) -> None:
    page = client.get("/")
    assert "content-security-policy" in page.headers
    for address in (
        "/rate/rate.js",
        "/rate/rate.css",
        "/page/base.css",
        "/page/icons.svg",
        "/page/favicon.svg",
    ):
        assert address in page.text
        assert client.get(address).status_code == 200


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    words = ["rate", "--tasks", str(tmp_path / "no.json"), "--ratings", str(tmp_path / "r.jsonl")]
    refused = CliRunner().invoke(program, words)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ")
    assert "python -m training rating-tasks" in refused.stderr
    assert CliRunner().invoke(program, ["rate"]).exit_code == 2
    assert "--ratings" in CliRunner().invoke(program, ["rate", "--help"]).stdout
    assert "--index" in CliRunner().invoke(program, ["--help"]).stdout
