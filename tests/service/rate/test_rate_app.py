"""The rating page's calls: what a rater is told, and what they are never told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from service.__main__ import app as program
from service.rate.app import create_app
from service.rate.desk import Desk
from service.rate.ledger import Ledger
from service.rate.tasks import read_tasks
from tests.fixtures.local_client import LocalClient
from tests.fixtures.rating_tasks import make_tasks_folder


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    path = make_tasks_folder(tmp_path / "tasks", raters=1, audio=True)
    tasks = read_tasks(path)
    ledger = Ledger(tmp_path / "ratings.jsonl", tasks.id)
    with LocalClient(create_app(Desk(tasks, ledger), path.parent)) as client:
        yield client
    ledger.close()


def test_a_turn_tells_nothing_of_right_or_rank(client: TestClient) -> None:
    turn = client.get("/v1/turn", params={"rater": "Ana"})
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
        ("GET", "/v1/turn", 400),
        ("GET", "/v1/turn?rater=%20", 400),
        ("POST", "/v1/ratings?rater=Ana&pair=p000000&verdict=perhaps", 400),
        ("POST", "/v1/ratings?rater=Ana&pair=nothing&verdict=good", 409),
        ("POST", "/v1/ratings/withdraw?rater=Ana", 409),
        ("GET", "/v1/pairs/nothing/image", 404),
        ("GET", "/v1/pairs/p000000/id", 404),
    ],
)
def test_faults_are_problems(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


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
