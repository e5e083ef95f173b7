"""Several files in one search: each its own answer or its own problem, let in and counted as one request."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from indexer.encoder import EncoderError
from indexer.media import Extent, Waveform
from service.admission import Admission, Ticket
from service.app import create_app
from service.schemas import BatchAnswer, ProblemAnswer, SearchAnswer
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_png, make_wav

CALL = "/v1/search/images/batch"
CLIP, PICTURE = make_wav(0.8, 290, seed=1), make_png(1, width=160, height=120)
LONG = make_wav(130.0, sample_rate_hz=8000)
MIXED = [CLIP, b"", PICTURE, b"no media at all", LONG, CLIP, make_wav(0.05), CLIP[: len(CLIP) // 2]]
STATUSES = [200, 422, 200, 415, 413, 200, 422, 422]


def form(files: list[bytes], field: str = "file") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (f"{n}.wav", data)) for n, data in enumerate(files)]


OWN = ("timings_ms", "instance", "request_id")  # what two requests for the same thing do not share


def without_its_own(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OWN}


@pytest.mark.parametrize("target", ["images", "captions"])
def test_every_file_gets_what_the_single_call_would_have_answered(client: TestClient, target: str) -> None:
    answer = client.post(f"/v1/search/{target}/batch?k=3", files=form(MIXED))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"target", "generation", "model", "results", "timings_ms"}
    assert [result.get("status", 200) for result in body["results"]] == STATUSES
    for data, result in zip(MIXED, body["results"], strict=True):
        single = client.post(f"/v1/search/{target}?k=3", files=form([data])).json()
        if "hits" in result:
            for hits in (result["hits"], single["hits"]):  # padded with others, the last digit may differ
                for hit in hits:
                    hit["score"] = pytest.approx(hit["score"], abs=1e-5)
            assert result["generation"] == body["generation"]
            assert all(ms >= 0 for ms in result["timings_ms"].values())
        else:
            assert result["instance"] == f"/v1/search/{target}/batch"
        assert without_its_own(result) == without_its_own(single)


def test_the_answer_is_of_the_types_it_says(client: TestClient) -> None:
    answer = client.post(CALL, files=form(MIXED))
    parsed = TypeAdapter(BatchAnswer).validate_python(answer.json())
    wanted = [SearchAnswer if status == 200 else ProblemAnswer for status in STATUSES]
    assert [type(result) for result in parsed.results] == wanted
    header = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(header) == ["decode", "queue", "encode", "search"]
    assert float(header["encode"]) == pytest.approx(parsed.timings_ms.encode, abs=0.01)


def test_one_file_is_enough_and_none_that_can_be_used_is_an_answer_too(client: TestClient) -> None:
    (one,) = client.post(CALL, files=form([CLIP])).json()["results"]
    assert one["query"]["modality"] == "speech"
    bad = client.post(CALL, files=form([b"", b"text"]))
    assert bad.status_code == 200
    assert [result["status"] for result in bad.json()["results"]] == [422, 415]
    assert bad.json()["generation"]


def problem(answer: Any, status: int, name: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{name}"
    return str(answer.json()["detail"])


def test_what_is_wrong_with_the_request_is_wrong_for_all(client: TestClient) -> None:
    limit = client.get("/v1/limits").json()["max_files"]
    assert client.post(CALL, files=form([CLIP] * limit)).status_code == 200
    detail = problem(client.post(CALL, files=form([CLIP] * (limit + 1))), 400, "bad-upload")
    assert detail == f"This call takes at most {limit} files."
    kind = {"content-type": "multipart/form-data; boundary=x"}
    empty = client.post(CALL, content=b"--x--\r\n", headers=kind)
    assert "no field at all" in problem(empty, 400, "bad-upload")
    assert "it has 'files'" in problem(client.post(CALL, files=form([CLIP], "files")), 400, "bad-upload")
    for raw in (CLIP, b""):
        assert "not a raw body" in problem(client.post(CALL, content=raw), 400, "bad-upload")
    problem(client.post(f"{CALL}?k=0", files=form([CLIP])), 400, "bad-parameter")
    problem(client.post(f"{CALL}?q=1", files=form([CLIP])), 400, "bad-parameter")
    problem(client.get(CALL), 405, "wrong-method")


@pytest.fixture(scope="module")
def limited(index: Path) -> Iterator[TestClient]:
    settings = Settings(
        index=index, threads=1, max_files=3, max_body_bytes=100_000, rate_limit=0.001, rate_burst=6
    )
    with LocalClient(create_app(settings)) as client:
        yield client


def test_limits_hold_for_all_files_together(limited: TestClient) -> None:
    assert limited.get("/v1/limits").json()["max_files"] == 3
    assert problem(limited.post(CALL, files=form([b""] * 4)), 400, "bad-upload").endswith("most 3 files.")
    problem(limited.post(CALL, files=form([make_wav(2.0)] * 2)), 413, "body-too-large")
    assert limited.post(CALL, files=form([CLIP] * 3)).status_code == 200  # of a burst of 6, two are left
    assert limited.post(CALL, files=form([CLIP] * 3)).status_code == 200  # let in all the same
    refused = limited.post("/v1/search/images", content=CLIP)
    problem(refused, 429, "too-fast")
    assert int(refused.headers["retry-after"]) > 1900  # two queries from now, at one in 1,000 s


def test_what_the_model_refuses_of_one_file_is_that_files_alone(app: FastAPI, client: TestClient) -> None:
    encoder = app.state.service.keeper.holder.current.encoder
    encode = encoder.speech

    def picky(waveforms: list[Waveform]) -> NDArray[np.float32]:
        if any(waveform.source_seconds == 1.5 for waveform in waveforms):
            raise EncoderError("The model gave values that are not finite.")
        vectors_ND: NDArray[np.float32] = encode(waveforms)
        return vectors_ND

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "speech", picky)
        results = client.post(CALL, files=form([CLIP, make_wav(1.5), CLIP])).json()["results"]
        assert client.post("/v1/embeddings", files=form([CLIP, make_wav(1.5)])).status_code == 503
    assert [result.get("type", "answered") for result in results] == [
        "answered",
        "/problems/encoder-failed",
        "answered",
    ]


def test_a_fault_of_ours_is_no_answer_to_any(app: FastAPI, client: TestClient) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("a secret path /srv/secret")

        patch.setattr(app.state.service.searcher._way, "_decode", fail)
        answer = client.post(CALL, files=form([CLIP, PICTURE]))
    problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert app.state.service.keeper.holder._readers == {}
    assert app.state.service.admission._tickets == set()


def test_all_files_pass_admission_once_by_what_they_cost_together(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission: Admission = app.state.service.admission
    asked: list[float] = []
    settled: list[float] = []
    admit, settle = admission.admit, admission.settle

    def noted_admit(cost: float) -> AbstractAsyncContextManager[Ticket]:
        asked.append(cost)
        return admit(cost)

    def noted_settle(ticket: Ticket, cost: float) -> None:
        settled.append(cost)
        settle(ticket, cost)

    monkeypatch.setattr(admission, "admit", noted_admit)
    monkeypatch.setattr(admission, "settle", noted_settle)
    sound = [make_wav(1.0), make_wav(2.0), PICTURE]
    client.post(f"{CALL}?k=3", files=form(sound))
    prices = app.state.service.keeper.holder.current.prices
    each = []
    for data in sound:
        client.post("/v1/search/images?k=3", content=data)
        each.append(asked.pop())
    assert asked == [pytest.approx(sum(each))]
    settled.clear()
    client.post(f"{CALL}?k=3", files=form([make_wav(1.0), b"text", CLIP[: len(CLIP) // 2]]))
    # What it came to: the one sound file, and next to nothing for the one that was cut off.
    least = prices.of(Extent(seconds=1.0), 3)
    assert least <= settled[-1] < least + prices.of(Extent(seconds=2.0), 3)


def test_a_deadline_passes_for_all(index: Path) -> None:
    app = create_app(Settings(index=index, threads=2, deadline_seconds=0.5, canary_seconds=600))
    released = threading.Event()
    with live_server(app) as port, pytest.MonkeyPatch.context() as patch:
        encoder = app.state.service.keeper.holder.current.encoder
        encode = encoder.speech
        patch.setattr(encoder, "speech", lambda media: (released.wait(60), encode(media))[1])
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + data + b"\r\n"
            for data in (CLIP, PICTURE, b"text")
        )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", CALL, body + b"--x--\r\n", kind)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        released.set()
        assert (answer.status, told["type"]) == (503, "/problems/out-of-time")
        assert int(answer.headers["Retry-After"]) >= 1
        assert app.state.service.admission._tickets == set()
