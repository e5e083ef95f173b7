"""A generation is replaced while clients query: no failed request, none that mixes two, the old one freed."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from indexer import store
from indexer.bundle import Bundle
from indexer.encoder import Encoder
from indexer.media import decode_speech
from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.tiny_bundle import make_tiny_bundle
from tests.fixtures.tiny_index import add_generation, make_corpus
from tests.service.conftest import OPERATOR_KEY

ROOT = Path(__file__).parents[2]
OPERATOR = {"authorization": f"Bearer {OPERATOR_KEY}"}
CLIP = make_wav(0.9, 333, seed=8)


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "other", seed=1)


@pytest.fixture(scope="module")
def two_generations(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, other_bundle: Bundle, corpus: Path
) -> Path:
    """An index with a generation of each bundle; the first one is current. Copied by each test."""
    path = tmp_path_factory.mktemp("two") / "index"
    first = add_generation(path, tiny_bundle, corpus)
    add_generation(path, other_bundle, corpus)
    store.promote(path, first)
    return path


@pytest.fixture
def index(two_generations: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_generations, tmp_path / "index"))


@pytest.fixture
def ids(index: Path) -> tuple[str, str]:
    """The generations: the one being served first."""
    second, first = [listed.id for listed in store.list_generations(index)]
    return first, second


def _app(index: Path, **settings: Any) -> FastAPI:
    defaults: dict[str, Any] = {
        "threads": 2, "poll_seconds": 0.02, "canary_seconds": 0.05, "operator_key": OPERATOR_KEY,
        "give_up_after": 0,
    }  # fmt: skip
    return create_app(Settings(index=index, **(defaults | settings)))


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def _serves(app: FastAPI, generation: str) -> bool:
    return bool(app.state.service.keeper.holder.current.id == generation)


def _more_than(answers: list[Any], number: int) -> bool:
    return len(answers) > number


def _offline(index: Path, bundle: Bundle, generation: str) -> list[tuple[str, float]]:
    encoder = Encoder(bundle, provider="cpu", threads=1)
    vectors_1D = encoder.speech([decode_speech(CLIP, bundle.manifest.media)])
    opened = store.open_index(index, generation)
    hits = [(hit.id, hit.score) for hit in opened.search("images", vectors_1D, 5)[0]]
    opened.close()
    return hits


def test_eight_clients_while_it_is_swapped(
    index: Path, ids: tuple[str, str], tiny_bundle: Bundle, other_bundle: Bundle
) -> None:
    wanted = {
        ids[0]: (tiny_bundle.fingerprint[:12], _offline(index, tiny_bundle, ids[0])),
        ids[1]: (other_bundle.fingerprint[:12], _offline(index, other_bundle, ids[1])),
    }
    app = _app(index)
    answers: list[tuple[int, dict[str, Any]]] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def query(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            while not stop.is_set():
                connection.request("POST", "/v1/search/images?k=5", CLIP)
                response = connection.getresponse()
                answers.append((response.status, json.loads(response.read())))
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails on it
            failures.append(error)
        finally:
            connection.close()

    with live_server(app) as port:
        clients = [threading.Thread(target=query, args=(port,)) for _ in range(8)]
        for client in clients:
            client.start()
        keeper = app.state.service.keeper
        for turn in range(8):
            new = ids[(turn + 1) % 2]
            if turn % 2:  # by another process, noticed by looking
                store.promote(index, new)
                _until(partial(_serves, app, new))
            else:
                # A connection of its own: one kept for later may have been idle for too long by then.
                operator = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                operator.request("POST", f"/v1/index/promote?generation={new}", headers=OPERATOR)
                response = operator.getresponse()
                assert (response.status, json.loads(response.read())["generation"]) == (200, new)
                operator.close()
            _until(partial(_more_than, answers, len(answers) + 24))
        stop.set()
        for client in clients:
            client.join(30)
        _until(lambda: keeper.holder._readers == {})
        held = keeper.holder.current.id
    assert not failures
    assert {status for status, _ in answers} == {200}
    assert {body["generation"] for _, body in answers} == set(ids)
    assert held == ids[0]
    for _, body in answers:
        model, hits = wanted[body["generation"]]
        assert body["model"] == model
        assert [hit["id"] for hit in body["hits"]] == [item_id for item_id, _ in hits]
        assert [hit["score"] for hit in body["hits"]] == pytest.approx([score for _, score in hits], abs=1e-5)


def test_an_old_generation_is_closed_when_its_last_reader_leaves(index: Path, ids: tuple[str, str]) -> None:
    app = _app(index, poll_seconds=60)
    with LocalClient(app) as client:
        holder = app.state.service.keeper.holder
        with holder.borrow() as kept:
            assert client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR).status_code == 200
            assert holder.current.id == ids[1]
            assert kept.generation.item("images", "scene-0").id == "scene-0"  # still open
        with pytest.raises(store.GenerationClosed):
            _until(lambda: kept.generation.item("images", "scene-0") is None)


def test_generations_of_one_model_share_its_encoder(
    index: Path, ids: tuple[str, str], tiny_bundle: Bundle, corpus: Path
) -> None:
    third = add_generation(index, tiny_bundle, corpus, promote=False)
    app = _app(index, poll_seconds=60)
    with LocalClient(app) as client:
        holder = app.state.service.keeper.holder
        encoder = holder.current.encoder
        client.post(f"/v1/index/promote?generation={third}", headers=OPERATOR)
        assert holder.current.id == third
        assert holder.current.encoder is encoder
        client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        assert holder.current.encoder is not encoder


def test_a_model_is_warmed_before_it_takes_over_and_after_it_is_the_first(
    index: Path, ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    warming, warmed = Encoder.warming, list[tuple[Encoder, str | None]]()

    def noted(encoder: Encoder) -> Iterator[tuple[int, ...]]:
        for shape in warming(encoder):
            serving = app.state.service.keeper.holder.current
            warmed.append((encoder, serving.id if serving is not None else None))
            yield shape

    monkeypatch.setattr(Encoder, "warming", noted)
    app = _app(index, poll_seconds=60)
    with LocalClient(app) as client:
        first = app.state.service.keeper.holder.current.encoder
        shapes = len(list(warming(first)))
        _until(lambda: len(warmed) == shapes)
        assert warmed == [(first, ids[0])] * shapes
        client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        second = app.state.service.keeper.holder.current.encoder
        assert warmed[shapes:] == [(second, ids[0])] * shapes, "aside, while the first one served"


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_share_the_memory_of_an_index(
    index: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    opened, mapped = store.open_index, list[bool]()

    def noted(*arguments: Any, **options: Any) -> store.Generation:
        mapped.append(options["mapped"])
        return opened(*arguments, **options)

    monkeypatch.setattr(store, "open_index", noted)
    with LocalClient(_app(index, workers=workers)):
        assert mapped == [workers == 2]


def test_promote_and_rollback(index: Path, ids: tuple[str, str], other_bundle: Bundle) -> None:
    with LocalClient(_app(index, poll_seconds=60)) as client:
        answer = client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        model = other_bundle.fingerprint[:12]
        assert answer.json() == {"generation": ids[1], "previous": ids[0], "model": model}
        assert client.get("/v1/index").json()["generation"] == ids[1]
        assert store.current_generation(index) == ids[1]
        again = client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        assert again.json() == {"generation": ids[1], "previous": ids[1], "model": model}
        back = client.post("/v1/index/rollback", headers=OPERATOR)
        assert (back.json()["generation"], back.json()["previous"]) == ids
        assert client.get("/v1/index").json()["generation"] == ids[0]
        assert store.current_generation(index) == ids[0]


@pytest.mark.parametrize(
    ("authorization", "status", "name"),
    [
        (None, 401, "key-missing"),
        ("", 401, "key-missing"),
        ("Basic YTpi", 401, "key-missing"),
        ("Bearer ", 401, "key-missing"),
        ("Bearer wrong", 403, "key-refused"),
        (f"Bearer {OPERATOR_KEY}x", 403, "key-refused"),
        ("Bearer \xe9\xff", 403, "key-refused"),
    ],
)
def test_only_the_operator_may(
    index: Path, ids: tuple[str, str], authorization: str | None, status: int, name: str
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    with LocalClient(_app(index)) as client:
        for call in (f"promote?generation={ids[1]}", "rollback"):
            answer = client.post(f"/v1/index/{call}", headers=headers)
            assert answer.status_code == status
            assert answer.json()["type"] == f"/problems/{name}"
            assert ("www-authenticate" in answer.headers) == (status == 401)
        assert client.get("/v1/index").json()["generation"] == ids[0]


def test_without_a_key_the_calls_are_off_and_say_how_to_set_one(index: Path, ids: tuple[str, str]) -> None:
    with LocalClient(_app(index, operator_key="")) as client:
        for headers in ({}, OPERATOR, {"authorization": "Bearer "}):
            answer = client.post(f"/v1/index/promote?generation={ids[1]}", headers=headers)
            assert answer.status_code == 403
            assert "SAYSEE_OPERATOR_KEY" in answer.json()["detail"]


def test_an_index_that_cannot_be_written_is_served_and_left_alone(index: Path, ids: tuple[str, str]) -> None:
    app = _app(index)
    with LocalClient(app) as client:
        client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        lock = index / "promote.lock"
        lock.unlink()
        lock.mkdir()  # as good as a read-only volume, also for root
        for call in (f"promote?generation={ids[0]}", "rollback"):
            answer = client.post(f"/v1/index/{call}", headers=OPERATOR)
            assert answer.status_code == 409
            assert answer.json()["type"] == "/problems/index-unwritable"
            assert "python -m indexer promote" in answer.json()["detail"]
            assert str(index) not in answer.text
        assert _serves(app, ids[1])


def test_an_unknown_generation_and_nothing_to_roll_back(index: Path, ids: tuple[str, str]) -> None:
    (index / "promotions.jsonl").unlink()
    with LocalClient(_app(index)) as client:
        for unknown in ("20200101T000000-000000", "../../etc", "", "x" * 3000):
            answer = client.post("/v1/index/promote", params={"generation": unknown}, headers=OPERATOR)
            assert answer.status_code == 404
            assert answer.json()["type"] == "/problems/unknown-generation"
        missing = client.post("/v1/index/promote", headers=OPERATOR)
        assert (missing.status_code, missing.json()["type"]) == (400, "/problems/bad-parameter")
        nothing = client.post("/v1/index/rollback", headers=OPERATOR)
        assert (nothing.status_code, nothing.json()["type"]) == (409, "/problems/nothing-to-roll-back")


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()  # never through a hard link that another generation shares
    path.write_bytes(data)


def _swap_the_bundle(generation: Path, other: Path) -> None:
    shutil.rmtree(generation / "bundle")
    shutil.copytree(other / "bundle", generation / "bundle")


def _damage(how: str, index: Path, ids: tuple[str, str]) -> None:
    folder = index / "generations" / ids[1]
    match how:
        case "altered graph":
            _flip_a_byte(folder / "bundle" / "speech.onnx")
        case "altered vectors":
            _flip_a_byte(folder / "images.faiss")
        case "altered items":
            _flip_a_byte(folder / "items.sqlite")
        case "another bundle":
            _swap_the_bundle(folder, index / "generations" / ids[0])
        case "no manifest":
            (folder / "manifest.json").unlink()


DAMAGES = ["altered graph", "altered vectors", "altered items", "another bundle", "no manifest"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_generation_is_refused_and_the_old_one_serves_on(
    index: Path, ids: tuple[str, str], how: str
) -> None:
    _damage(how, index, ids)
    with LocalClient(_app(index)) as client:
        answer = client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/generation-refused"
        detail = answer.json()["detail"]
        assert ids[1] in detail
        assert detail.endswith(".")
        assert "\n" not in detail
        assert store.current_generation(index) == ids[0]
        # Said by another process in spite of it all.
        (index / "CURRENT").write_text(ids[1] + "\n")
        _until(lambda: "generation" in client.get("/readyz").json()["degraded"])
        ready = client.get("/readyz").json()
        assert (ready["status"], ready["generation"]) == ("degraded", ids[0])
        assert ids[1] in ready["degraded"]["generation"]
        assert client.post("/v1/search/images", content=CLIP).json()["generation"] == ids[0]
        metrics = client.get("/metrics").text
        assert 'saysee_swaps_total{outcome="refused"} 2.0' in metrics
        assert 'saysee_degraded{reason="generation"} 1.0' in metrics
        # Put right again, nothing is degraded.
        store.promote(index, ids[0])
        _until(lambda: client.get("/readyz").json()["status"] == "ready")


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_newest_generation_never_stops_a_start(index: Path, ids: tuple[str, str], how: str) -> None:
    store.promote(index, ids[1])
    _damage(how, index, ids)
    with LocalClient(_app(index)) as client:
        ready = client.get("/readyz").json()
        assert (ready["status"], ready["generation"]) == ("degraded", ids[0])
        assert ids[1] in ready["degraded"]["generation"]
        assert client.post("/v1/search/images", content=CLIP).status_code == 200


def test_a_build_that_finds_no_room_costs_no_answer(
    index: Path, ids: tuple[str, str], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "corpus", seed=5)
    options = {"bundle": tiny_bundle.path, "images": corpus / "images.jsonl", "index": index}
    command = [sys.executable, "-m", "indexer", "build", "--promote"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    little_room = 'ulimit -f 40 && exec "$@"'  # times 512 bytes, in any one file
    with LocalClient(_app(index)) as client:
        built = subprocess.run(
            ["sh", "-c", little_room, "-", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert built.returncode == 1
        (said,) = [line for line in built.stderr.splitlines() if line.startswith("error: ")]
        assert "Nothing more can be written" in said
        assert client.post("/v1/search/images", content=CLIP).json()["generation"] == ids[0]
        assert client.get("/readyz").json()["status"] == "ready"


def test_a_current_that_names_nothing_is_told_and_survived(index: Path, ids: tuple[str, str]) -> None:
    with LocalClient(_app(index)) as client:
        for text in ("", "nonsense\n", "../../etc/passwd\n", "20200101T000000-000000\n"):
            (index / "CURRENT").write_text(text)
            _until(lambda: client.get("/readyz").json()["status"] == "degraded")
            assert client.post("/v1/search/images", content=CLIP).json()["generation"] == ids[0]
            store.promote(index, ids[0])
            (index / "CURRENT").write_text(ids[0] + "\n")
            _until(lambda: client.get("/readyz").json()["status"] == "ready")
        (index / "CURRENT").unlink()
        _until(lambda: client.get("/readyz").json()["status"] == "degraded")
        assert client.post("/v1/search/images", content=CLIP).status_code == 200


def test_a_start_on_a_current_that_names_nothing(index: Path, ids: tuple[str, str]) -> None:
    (index / "CURRENT").write_text("nonsense\n")
    with LocalClient(_app(index)) as client:
        ready = client.get("/readyz").json()
        assert (ready["status"], ready["generation"]) == ("degraded", ids[0])
        assert "CURRENT" in ready["degraded"]["generation"]


def test_a_rollback_that_fails_restores_what_is_served(index: Path, ids: tuple[str, str]) -> None:
    app = _app(index, poll_seconds=60)
    with LocalClient(app) as client:
        client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        with pytest.MonkeyPatch.context() as patch:

            def fail(_: str) -> None:
                raise store.GenerationDamaged("It does not load.")

            patch.setattr(app.state.service.keeper, "_load", fail)
            answer = client.post("/v1/index/rollback", headers=OPERATOR)
        assert answer.status_code == 409
        assert store.current_generation(index) == ids[1]
        assert client.get("/v1/index").json()["generation"] == ids[1]
        assert client.post("/v1/index/rollback", headers=OPERATOR).json()["generation"] == ids[0]


@pytest.mark.parametrize("fails", [False, True], ids=["loads", "does not load"])
def test_a_promotion_during_a_rollback_is_taken_up(index: Path, ids: tuple[str, str], fails: bool) -> None:
    """By whoever it was: another worker, or the command line; and what a rollback puts back is not it."""
    app = _app(index)
    with LocalClient(app) as client:
        client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR)
        load, history = app.state.service.keeper._load, index / "promotions.jsonl"
        changes = len(history.read_text().splitlines())

        def meanwhile(generation: str) -> Any:
            store.promote(index, ids[1])
            if fails:
                raise store.GenerationDamaged("It does not load.")
            return load(generation)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app.state.service.keeper, "_load", meanwhile)
            answer = client.post("/v1/index/rollback", headers=OPERATOR)
        assert answer.status_code == (409 if fails else 200)
        assert store.current_generation(index) == ids[1]
        assert len(history.read_text().splitlines()) == changes + 2  # the rollback and the promotion alone
        _until(lambda: _serves(app, ids[1]))


def test_a_rollback_names_what_it_replaced_whatever_this_process_served(
    index: Path, ids: tuple[str, str]
) -> None:
    with LocalClient(_app(index, poll_seconds=60)) as client:
        store.promote(index, ids[1])  # as another worker does
        told = client.post("/v1/index/rollback", headers=OPERATOR).json()
    assert (told["generation"], told["previous"]) == (ids[0], ids[1])


def test_a_promotion_of_what_others_serve_already_names_what_this_process_served(
    index: Path, ids: tuple[str, str]
) -> None:
    with LocalClient(_app(index, poll_seconds=60)) as client:
        store.promote(index, ids[1])
        told = client.post(f"/v1/index/promote?generation={ids[1]}", headers=OPERATOR).json()
    assert (told["generation"], told["previous"]) == (ids[1], ids[0])


def test_an_index_that_is_damaged_while_it_serves_takes_readiness(index: Path, ids: tuple[str, str]) -> None:
    """What was read of it before hides nothing: one connection's pages in memory would serve it for ever."""
    items = index / "generations" / ids[0] / "items.sqlite"
    with LocalClient(_app(index)) as client:
        items.chmod(0o644)
        with items.open("r+b") as file:
            file.write(bytes(items.stat().st_size))
        _until(lambda: client.get("/readyz").status_code == 503)
        assert "items.sqlite cannot be read" in client.get("/readyz").json()["detail"]


def test_it_gives_up_when_the_golden_pair_fails_again_and_again(
    index: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[dict[str, Any]]]
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *signal: sent.append(signal))
    app = _app(index, give_up_after=3)
    with LocalClient(app):
        keeper = app.state.service.keeper
        encoder = keeper.holder.current.encoder
        image, fails = encoder.image, [True, True, False, True, True, True, True]

        def now_and_then(pictures: Any) -> Any:
            if fails and fails.pop(0):
                raise MemoryError
            return image(pictures)

        monkeypatch.setattr(encoder, "image", now_and_then)
        _until(lambda: not fails)
        _until(lambda: bool(keeper.readiness.ready))
    assert sent == [(os.getpid(), signal.SIGTERM)]  # once: two in a row were not enough
    assert "3 times in a row" in keeper.gave_up
    assert [line["level"] for line in told() if line.get("event") == "gave-up"] == ["critical"]


def test_it_gives_up_when_the_golden_pair_does_not_come_back(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *signal: sent.append(signal))
    app, gate = _app(index, give_up_after=2, deadline_seconds=0.5), threading.Event()
    with LocalClient(app):
        encoder = app.state.service.keeper.holder.current.encoder
        monkeypatch.setattr(encoder, "image", lambda _: gate.wait() and None)
        _until(lambda: bool(sent))
    # And the end came without it.
    gate.set()
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert "under way for 1 s" in app.state.service.keeper.gave_up


def test_a_canary_that_fails_takes_readiness_and_its_return_gives_it_back(index: Path) -> None:
    app = _app(index)
    with LocalClient(app) as client:
        with pytest.MonkeyPatch.context() as patch:

            def fail(_: object) -> None:
                raise MemoryError

            patch.setattr(app.state.service.keeper.holder.current.encoder, "image", fail)
            _until(lambda: client.get("/readyz").status_code == 503)
            answer = client.get("/readyz")
            assert answer.json()["type"] == "/problems/not-ready"
            assert int(answer.headers["retry-after"]) >= 1
            assert client.get("/livez").status_code == 200
            assert "saysee_ready 0.0" in client.get("/metrics").text
        _until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json()["degraded"] == {}


def test_a_canary_that_comes_after_the_end_is_no_failure(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = _app(index, canary_seconds=600)
    with LocalClient(app):
        keeper = app.state.service.keeper
    keeper._canary.send()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert "canary" not in keeper.readiness.degraded


def test_a_canary_that_never_ends_takes_readiness(index: Path) -> None:
    app, gate = _app(index, deadline_seconds=2), threading.Event()
    with LocalClient(app) as client:
        encoder = app.state.service.keeper.holder.current.encoder
        with pytest.MonkeyPatch.context() as patch:
            image = encoder.image
            patch.setattr(encoder, "image", lambda pictures: (gate.wait(60), image(pictures))[1])
            _until(lambda: client.get("/readyz").status_code == 503)
            assert "within 2 s" in app.state.service.keeper.readiness.degraded["canary"]
        gate.set()
        _until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json()["degraded"] == {}
