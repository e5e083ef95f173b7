"""`python -m service` as a person starts it: what it prints, what it refuses, and what it never imports."""

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from indexer.bundle import Bundle
from service.__main__ import _counts_folder, _settings
from service.settings import Settings, option_of
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.tiny_index import add_generation

ROOT = Path(__file__).parents[2]


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAYSEE_")}
    return kept | {"PYTHONPATH": str(ROOT)} | variables


def _run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *options],
        env=_environment(**variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(**variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _heed_ctrl_c() -> None:
    """In the background of a script it is ignored, and children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _running(*options: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address, and the line it printed when it was ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "service", *options],
        env=_environment(**variables),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                process.kill()
                pytest.fail(f"it printed {line!r} and {process.communicate()[1]!r}")
            yield process, found[0], line
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


def _get(address: str, **headers: str) -> dict[str, object]:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
        body: dict[str, object] = json.load(answer)
        return body


def test_it_prints_its_address_and_what_it_serves_then_ends_on_ctrl_c(index: Path) -> None:
    with _running("--index", str(index), "--port", "0") as (process, address, line):
        assert "8 images and 6 captions" in line
        assert "tiny-0" in line
        assert _get(f"{address}/readyz")["status"] == "ready"
    assert process.returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_answers_what_is_under_way_and_ends_with_status_0(
    index: Path, stop: signal.Signals, workers: str
) -> None:
    clip = make_wav()
    head = f"POST /v1/search/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(clip)}\r\n"
    with _running("--index", str(index), "--port", "0", "--workers", workers) as (process, address, _):
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the request is being read now
            process.send_signal(stop)
            with pytest.raises(OSError):  # noqa: PT011  refused, reset, or never taken up
                _refused_from_now_on(port)
            connection.sendall(clip)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


_BUSY_FOR_EVER = """
import runpy, sys, threading
from indexer.encoder import Encoder

image = Encoder.image

def for_ever(self, pictures):
    found = image(self, pictures)
    is_canary = any(thread.name == "canary-watch" for thread in threading.enumerate())
    while is_canary:
        image(self, pictures)
    return found

Encoder.image = for_ever
sys.argv = ["service", *sys.argv[1:]]
runpy.run_module("service", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("give_up_after", "status"), [("0", 0), ("2", 1)])
def test_a_model_that_never_comes_back_keeps_no_server_from_ending(
    index: Path, give_up_after: str, status: int
) -> None:
    """In the middle of a library: taken apart there, the process would end with an abort."""
    options = ("--index", str(index), "--port", "0", "--give-up-after", give_up_after)
    fast = ("--canary-seconds", "0.2", "--deadline-seconds", "1")
    with subprocess.Popen(
        [sys.executable, "-c", _BUSY_FOR_EVER, *options, *fast],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            if give_up_after == "0":
                _until(lambda: _is_unready(f"{address[0]}/readyz"))
                process.send_signal(signal.SIGTERM)
            told = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == status, told
    assert "left behind" in told
    assert ("SaySee cannot answer queries and ends" in told) == (status == 1)


def _is_unready(address: str) -> bool:
    try:
        _get(address)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 503
    return False


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_while_it_starts_it_ends_at_once_without_a_word(
    index: Path, stop: signal.Signals
) -> None:
    command = [sys.executable, "-m", "service", "--index", str(index), "--port", "0"]
    for after_seconds in (0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.4):
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_ctrl_c,
        ) as process:
            try:
                time.sleep(after_seconds)
                process.send_signal(stop)
                told = process.communicate(timeout=20)[1]
            finally:
                process.kill()
        assert process.returncode in (0, -stop, 128 + stop)  # the two others before the options are read
        assert "Traceback" not in told
        assert "terminate" not in told


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_with_time_to_drain_it_says_no_first_and_answers_all_the_same(index: Path, workers: str) -> None:
    clip = make_wav()
    head = f"POST /v1/search/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(clip)}\r\n"
    options = ("--index", str(index), "--port", "0", "--workers", workers, "--drain-seconds", "5")
    with _running(*options) as (process, address, _):
        port = int(address.rpartition(":")[2])
        _until(lambda: _get(f"{address}/readyz")["status"] == "ready")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            process.send_signal(signal.SIGTERM)
            _until(lambda: _says_no(f"{address}/readyz"))
            with urllib.request.urlopen(f"{address}/v1/search/images", clip, timeout=20) as answer:
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
            with pytest.raises(OSError):  # noqa: PT011  refused, reset, or never taken up
                _refused_from_now_on(port)
            connection.sendall(clip)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert process.wait(60) == 0


def _says_no(address: str) -> bool:
    try:
        _get(address)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 503 and "about to stop" in json.load(error)["detail"]
    return False


def test_a_rate_holds_for_all_workers_together(index: Path) -> None:
    clip = make_wav()
    rate = ("--rate-limit", "0.001", "--rate-burst", "5")
    with _running("--index", str(index), "--port", "0", "--workers", "2", *rate) as (_, address, _):
        _until(lambda: _get(f"{address}/readyz")["status"] == "ready")
        statuses = [_status(f"{address}/v1/search/images", clip) for _ in range(30)]
    assert (statuses.count(200), statuses.count(429)) == (5, 25)


def _status(address: str, body: bytes) -> int:
    """Of an answer on a connection of its own, which any worker may get."""
    try:
        with urllib.request.urlopen(address, body, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_variable_that_sets_nothing_is_named(index: Path) -> None:
    given = {"SAYSEE_MAX_BATCHES": "4", "SAYSEE_COLOUR": "red", "SAYSEE_KEY": "x", "SAYSEE_DATA": "/tmp"}
    with _running("--index", str(index), "--port", "0", **given) as (process, _, _):
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    warned = [line.partition("variable ")[2] for line in said.splitlines() if "The variable" in line]
    assert warned == [
        "SAYSEE_COLOUR sets nothing: 'python -m service --help' names those that do.",
        "SAYSEE_MAX_BATCHES sets nothing: SAYSEE_MAX_BATCH does.",
    ]


def test_a_second_sigterm_waits_for_nothing(index: Path) -> None:
    with _running("--index", str(index), "--port", "0", "--drain-seconds", "600") as (process, address, _):
        _until(lambda: _get(f"{address}/readyz")["status"] == "ready")
        process.send_signal(signal.SIGTERM)
        _until(lambda: _says_no(f"{address}/readyz"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_workers_without_a_folder_to_count_in_are_one_sentence(
    index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("service.__main__.TemporaryDirectory", full)
    with pytest.raises(SystemExit):
        _counts_folder(Settings(index=index))
    assert "or name one in TMPDIR." in capsys.readouterr().err


def _refused_from_now_on(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not connection.recv(1):
                raise ConnectionResetError
        time.sleep(0.05)


@pytest.mark.parametrize(("workers", "first"), [(1, "ready"), (2, "starting")])
def test_as_json_every_line_from_start_to_stop_is_an_object(index: Path, workers: int, first: str) -> None:
    options = ("--index", str(index), "--port", "0", "--workers", str(workers), "--log-format", "json")
    command = [sys.executable, "-m", "service", *options]
    with subprocess.Popen(
        command, env=_environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        told: list[dict[str, object]] = []
        while not told or told[-1].get("event") != first:
            told.append(json.loads(process.stderr.readline()))
        found = re.search(r"http://[\w.:]+", str(told[-1]["message"]))
        assert found is not None
        _until(lambda: _get(f"{found[0]}/v1/index")["generation"] is not None)
        process.send_signal(signal.SIGTERM)
        printed, rest = process.communicate(timeout=60)
    told += map(json.loads, rest.splitlines())
    assert printed == ""
    assert process.returncode == 0
    events = [line["event"] for line in told if "event" in line]
    assert events.count("generation-served") == events.count("stopped") == workers
    (request,) = (line for line in told if line.get("event") == "request")
    assert (request["route"], request["status"]) == ("/v1/index", 200)


def test_as_json_a_failed_start_is_an_object(tmp_path: Path) -> None:
    done = _run("--index", str(tmp_path / "nothing"), "--log-format", "json")
    assert done.returncode == 1
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["level"]) == ("failed", "critical")
    assert "indexer build" in line["message"]
    done = _run("--index", str(tmp_path), "--host", "0.0.0.0", "--log-format", "json")
    assert done.returncode == 2
    (line,) = map(json.loads, done.stderr.splitlines())
    assert line["event"] == "failed"
    assert "--no-auth" in line["message"]


def test_variables_say_what_options_do_not(index: Path) -> None:
    with _running(SAYSEE_INDEX=str(index), SAYSEE_PORT="0", SAYSEE_MAX_K="7", SAYSEE_DEFAULT_K="3") as (
        _,
        address,
        _line,
    ):
        limits = _get(f"{address}/v1/limits")
        assert (limits["max_k"], limits["default_k"]) == (7, 3)


def test_workers_share_the_port(index: Path) -> None:
    with _running("--index", str(index), "--port", "0", "--workers", "2") as (process, address, line):
        assert "2 workers" in line
        deadline = time.monotonic() + 30
        while True:
            try:
                assert _get(f"{address}/readyz")["status"] == "ready"
                break
            except OSError:
                assert time.monotonic() < deadline
    assert process.returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_names_to_be_served_under_come_from_options_and_from_a_variable(index: Path, workers: str) -> None:
    options = ("--index", str(index), "--port", "0", "--workers", workers)
    named = ("--allowed-host", "one.example", "--allowed-host", "two.example")
    for given, variables in ((named, {}), ((), {"SAYSEE_ALLOWED_HOSTS": "one.example, two.example"})):
        with _running(*options, *given, **variables) as (_, address, _line):
            _until(lambda address=address: _get(f"{address}/readyz")["status"] == "ready")  # type: ignore[misc]
            for name in ("one.example", "two.example:8000"):
                assert _get(f"{address}/livez", Host=name)["status"] == "alive"
            with pytest.raises(urllib.error.HTTPError, match="421") as refused:
                _get(f"{address}/livez", Host="evil.example")
            refused.value.close()


def test_workers_count_together_and_all_take_up_what_one_is_told_to(
    index: Path, tmp_path: Path, tiny_bundle: Bundle, corpus: Path
) -> None:
    path = Path(shutil.copytree(index, tmp_path / "index"))
    new = add_generation(path, tiny_bundle, corpus, promote=False)
    options = ("--index", str(path), "--port", "0", "--workers", "2", "--poll-seconds", "0.1")
    with _running(*options, SAYSEE_OPERATOR_KEY="told to nobody") as (_, address, _line):
        _until(lambda: _swaps(address) == 2)
        told = urllib.request.Request(
            f"{address}/v1/index/promote?generation={new}",
            method="POST",
            headers={"Authorization": "Bearer told to nobody"},
        )
        with urllib.request.urlopen(told, timeout=20) as answer:
            assert json.load(answer)["generation"] == new
        _until(lambda: all(_get(f"{address}/v1/index")["generation"] == new for _ in range(20)))
        _until(lambda: _swaps(address) == 4)  # both workers, the other one at its next look
        for _ in range(10):  # whichever answers, it knows of all
            with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
                text = answer.read().decode()
            found = re.search(r'saysee_requests_total\{[^}]*route="/v1/index",[^}]*\} (\d+)', text)
            assert found is not None
            assert int(found[1]) >= 20
            assert 'saysee_swaps_total{outcome="swapped"} 4.0' in text
            assert f'saysee_generation_info{{generation="{new}"' in text


def _swaps(address: str) -> int:
    """How many generations the workers have taken up, all together."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
        counted = re.search(r'saysee_swaps_total\{outcome="swapped"\} (\d+)', answer.read().decode())
    return int(counted[1]) if counted else 0


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while True:
        with suppress(OSError):
            if true():
                return
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def _one_sentence(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_a_start_that_cannot_be_is_one_sentence(tmp_path: Path, index: Path) -> None:
    assert "indexer build" in _one_sentence(_run("--index", str(tmp_path / "nothing")), 1)
    assert "indexer build" in _one_sentence(_run("--index", str(tmp_path / "nothing"), "--workers", "2"), 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = _one_sentence(_run("--index", str(index), "--port", port), 1)
    assert f"Port {port}" in said
    assert "--port" in said


def test_a_start_with_nothing_sound_says_what_is_damaged(tmp_path: Path, index: Path) -> None:
    damaged = Path(shutil.copytree(index, tmp_path / "index"))
    (graph,) = (damaged / "generations").glob("*/bundle/image.onnx")
    graph.unlink()
    graph.write_bytes(b"no graph")
    done = _run("--index", str(damaged), "--port", "0")
    assert "image.onnx" in _one_sentence(done, 1)
    with_traceback = _run("--index", str(damaged), "--port", "0", "--debug")
    assert with_traceback.returncode == 1
    assert "Traceback" in with_traceback.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--port", "70000"], "SAYSEE_PORT"),
        (["--default-k", "500"], "fit together: --default-k is 500 and may be at most --max-k"),
        (["--max-waiting-bytes", "20000"], "is 20000 and may not be less than --max-body-bytes, which is 25"),
        (["--provider", "tpu"], "--provider"),
        (["--allowed-host", "http://find.example"], "--allowed-host (SAYSEE_ALLOWED_HOSTS)"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_is_status_2(index: Path, options: list[str], named: str) -> None:
    done = _run("--index", str(index), *options)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_setting_never_shows_a_secret(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = {"SAYSEE_OPERATOR_KEY": "hush-operator", "SAYSEE_KEYS": "hush-keys"}
    said = _one_sentence(_run("--index", str(index), "--default-k", "500", **secrets), 2)
    assert "--max-k" in said
    assert "hush" not in said
    assert "--settings" not in said
    for name in ("operator_key", "keys"):
        with pytest.raises(SystemExit):
            _settings({"index": index, name: ["hush"]})
        said = capsys.readouterr().err
        assert f"SAYSEE_{name.upper()}" in said
        assert "hush" not in said


def test_every_setting_has_an_option_and_a_variable_and_the_key_only_the_variable() -> None:
    shown = re.sub(r"\s+", "", _run("--help").stdout)
    for name, field in Settings.model_fields.items():
        assert f"SAYSEE_{name.upper()}" in shown
        option = re.search(rf"{option_of(name, field)}(?![a-z-])", shown)
        assert (option is not None) == (name not in ("operator_key", "keys"))


def test_the_help_names_the_commands_and_says_defaults_in_words() -> None:
    shown = _run("--help", COLUMNS="200").stdout
    assert all(f"`{command}`" in shown for command in ("query", "rate", "key"))
    assert "Default: 8000." in shown
    assert "[default:" not in shown


def test_a_command_there_is_not_is_told_with_those_there_are() -> None:
    done = _run("nonsense", COLUMNS="200")
    assert done.returncode == 2
    assert "There is no command 'nonsense'. There are: serve, query, rate, key." in done.stderr


def test_settings_are_frozen_and_hide_the_key() -> None:
    settings = Settings(index=Path("x"), operator_key="a secret")  # type: ignore[arg-type]
    assert "a secret" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_serving_never_imports_torch_nor_what_only_tests_and_training_need(index: Path) -> None:
    program = """
import sys
from pathlib import Path
from tests.fixtures.local_client import LocalClient
before = set(sys.modules)
from service.app import create_app
from service.settings import Settings
with LocalClient(create_app(Settings(index=Path(sys.argv[1])))) as client:
    assert client.get("/readyz").json()["status"] == "ready"
heavy = {"torch", "torchvision", "timm", "transformers", "onnx", "scipy", "pandas", "matplotlib", "soundfile"}
heavy |= {"opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "requests"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(index)],
        env=_environment(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_any_module_of_the_service_does_nothing(tmp_path: Path) -> None:
    program = """
import logging, pkgutil, importlib, os, sys, threading
import service
before = dict(os.environ)
for module in pkgutil.walk_packages(service.__path__, "service."):
    importlib.import_module(module.name)
assert dict(os.environ) == before
assert not logging.getLogger().handlers
assert threading.active_count() == 1
assert not os.listdir(".")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_threads_are_told_before_they_are_counted(index: Path) -> None:
    program = """
import os, sys
from service import __main__
from service.settings import Settings
assert "numpy" not in sys.modules and "onnxruntime" not in sys.modules and "faiss" not in sys.modules
__main__._limit_threads(Settings(index="x", threads=3))
print(os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])
"""
    done = _python(program, OPENBLAS_NUM_THREADS="5")
    assert done.stdout.split() == ["3", "5"], done.stderr


def test_the_openapi_document_is_made_before_the_first_client(index: Path) -> None:
    program = f"""
import gc
from service.app import create_app
from service.server import make_ready
from service.settings import Settings

settings = Settings(index={str(index)!r}, threads=1, max_waiting=2)
app = create_app(settings)
made = []
app.openapi = lambda openapi=app.openapi: made.append(len(openapi()["paths"]))
make_ready(app, settings)
print(len(made), made[0] > 10, gc.get_freeze_count() > 0)
"""
    done = _python(program)
    assert done.stdout.split() == ["1", "True", "True"], done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is up to the C library")
def test_a_full_queue_of_bodies_finds_its_memory_touched() -> None:
    program = """
import resource
from service.server import take_memory

def touched_for(bodies):
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    kept = [b"\\1" * size for size in (60_000, 30_000) for _ in range(bodies)]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

pages = touched_for(256)
take_memory(256)
print(pages, touched_for(256))
"""
    done = _python(program)
    at_first, later = map(int, done.stdout.split())
    assert later < at_first / 10, done.stderr
