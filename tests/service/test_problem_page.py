"""What a person sees who opens a wrong address in a browser: a page in words, with the right status."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from service.problems import PROBLEMS
from tests.service.test_errors import check_problem

OPENED = {"Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("/nothing/here", 404, "no-such-address"),
        ("/v1/items/images/nothing/media", 404, "unknown-item"),
        ("/v1/search/images", 405, "wrong-method"),
        ("/problems/nothing", 404, "unknown-problem"),
    ],
)
def test_an_opened_address_is_answered_with_a_page(
    client: TestClient, path: str, status: int, name: str
) -> None:
    answer = client.get(path, headers=OPENED)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert f"<h1>{PROBLEMS[name].title}</h1>" in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "style=" not in answer.text, "the policy of the page forbids it"
    check_problem(client.get(path), status, name)
    check_problem(client.get(path, headers={"Sec-Fetch-Dest": "image"}), status, name)


def test_headers_of_the_answer_stay(client: TestClient) -> None:
    path = "/v1/search/images"
    assert client.get(path, headers=OPENED).headers["allow"] == client.get(path).headers["allow"] == "POST"


def test_under_another_name_there_is_no_page_since_it_would_have_no_looks(client: TestClient) -> None:
    check_problem(client.get("/", headers=OPENED | {"Host": "other.example"}), 421, "wrong-host")


def test_only_reading_is_opening(client: TestClient) -> None:
    check_problem(client.post("/nothing/here", headers=OPENED), 404, "no-such-address")


def test_what_the_address_says_is_text(client: TestClient) -> None:
    answer = client.get("/problems/<script>alert(1)</script>", headers=OPENED)
    assert "<script" not in answer.text
    answer = client.get("/problems/<b>bold", headers=OPENED)
    assert "&lt;b&gt;bold" in answer.text


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_type_of_a_problem_opens_as_a_page(client: TestClient, name: str) -> None:
    answer = client.get(PROBLEMS[name].type, headers=OPENED)
    assert answer.status_code == 200
    assert re.search("<title>(.*) · SaySee</title>", answer.text)
    assert client.get(PROBLEMS[name].type).json()["title"] == PROBLEMS[name].title
