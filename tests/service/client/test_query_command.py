"""`python -m service query` as a person runs it: tables, lines of JSON, saved media, sentences, status."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.app import create_app
from service.query.files import named_media
from service.schemas import LimitsAnswer, SearchAnswer
from service.settings import Settings
from tests.fixtures.both_clients import example
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_wav
from tests.fixtures.scripted_server import Asked, Told, free_port, scripted_server
from tests.fixtures.tiny_index import IMAGE_IDS

ROOT = Path(__file__).parents[3]
READ = "a key to read with"


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SAYSEE_", "COLUMNS"))}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables}


def query(
    *arguments: object, stdin: bytes = b"", cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "service", "query", *map(str, arguments)],
        input=stdin,
        env=environment(**variables),
        cwd=cwd or ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )


def lines(ran: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[str]:
    with live_server(create_app(Settings(index=index, threads=2))) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_table_for_each_file_and_a_sentence_for_what_is_wrong(
    server: str, corpus: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no media")
    ran = query(
        corpus / "clip3.wav",
        notes,
        corpus / "picture1.png",
        "--server",
        server,
        "--target",
        "captions",
        "--k",
        2,
    )
    assert ran.returncode == 1
    told = [" ".join(line.split()) for line in ran.stdout.decode().splitlines()]
    assert told[0] == f"{corpus / 'clip3.wav'} 1.2 s of speech; nearest captions:"
    assert told[1] == "rank id score text"
    assert told[3] == "1 scene-3_0 1.000 number 3"
    assert told[4].startswith("2 scene-")
    assert told[6] == f"{corpus / 'picture1.png'} a picture, 160 × 120; nearest captions:"
    assert ran.stderr.decode().startswith(f"error: {notes}: This is text")
    assert ran.stderr.count(b"\n") == 1
    nearest = query(corpus / "picture1.png", "--server", server, "--k", 1)
    assert nearest.returncode == 0
    assert nearest.stderr == b""
    assert nearest.stdout.decode().splitlines()[1].split() == ["rank", "id", "score"]  # these have no text


def test_lines_of_json_with_what_was_saved(server: str, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "clip3.wav"
    other.parent.mkdir()
    shutil.copy(corpus / "clip2.wav", other)
    files = [corpus / "clip3.wav", other, tmp_path / "empty.wav"]
    files[2].touch()
    hits = tmp_path / "hits"
    ran = query(*files, "--json", "--k", 200, "--save", hits, SAYSEE_SERVER=server)
    assert ran.returncode == 1
    first, second, third = lines(ran)
    assert [one["file"] for one in (first, second, third)] == [str(file) for file in files]
    assert third["error"]["type"] == "/problems/empty-media"
    assert third["error"]["status"] == 422
    assert set(third) == {"file", "error"}
    assert sorted(hit["id"] for hit in first["answer"]["hits"]) == sorted(IMAGE_IDS)
    for one, folder in ((first, "clip3"), (second, "clip3-2")):
        saved = [Path(path) for path in one["saved"]]
        assert sorted((hits / folder).iterdir()) == sorted(saved)
        for hit, path in zip(one["answer"]["hits"], saved, strict=True):
            number = IMAGE_IDS.index(hit["id"])
            assert path.read_bytes() == (corpus / f"picture{number}.png").read_bytes()
            assert path.name.startswith(f"{hit['rank']}-")
            assert path.suffix == ".png"
    assert {path.name for path in hits.iterdir()} == {"clip3", "clip3-2"}


def test_standard_input_is_a_file_too(server: str, corpus: Path) -> None:
    data = (corpus / "clip3.wav").read_bytes()
    ran = query("-", "--json", "--target", "captions", "--k", 1, stdin=data, SAYSEE_SERVER=server)
    (one,) = lines(ran)
    assert (ran.returncode, one["file"]) == (0, "<stdin>")
    assert one["answer"]["hits"][0]["id"] == "scene-3_0"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 clips in folders, and what is to be left out."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(40):
        path = folder / f"part{number % 3}" / f"clip {number:02}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_wav(0.3, 200 + 10.0 * number, seed=number))
    (folder / ".hidden").write_bytes(b"x")
    (folder / "part0" / "round").symlink_to(folder)
    return folder


def test_a_folder_and_a_pattern_of_many_with_progress(server: str, many: Path) -> None:
    ran = query(many.name, "--json", "--k", 1, cwd=many.parent, SAYSEE_SERVER=server)
    assert ran.returncode == 0, ran.stderr
    every = sorted(
        str(path.relative_to(many.parent)) for path in many.rglob("*.wav") if "round" not in path.parts
    )
    assert [one["file"] for one in lines(ran)] == every
    assert ran.stderr.startswith(b"search: 40 in ")
    ran = query("part?/clip 1?.wav", "part0/clip 00.wav", "--json", "--k", 1, cwd=many, SAYSEE_SERVER=server)
    assert [Path(one["file"]).name for one in lines(ran)][-1] == "clip 00.wav"
    assert {Path(one["file"]).name for one in lines(ran)} == {
        "clip 00.wav",
        *(f"clip {number}.wav" for number in range(10, 20)),
    }
    assert ran.stderr == b""


@pytest.mark.parametrize("pattern", ["round", "round/**", "r*/**/*.wav", "**/**/c*", "{here}/**/?lip 0.wav"])
def test_links_that_lead_back_are_gone_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    deep = Path("round") / "in [1]" / "**"
    deep.mkdir(parents=True)
    (deep / "clip 0.wav").touch()
    for name in ("one", "two", "three"):  # so many ways that glob would not come to an end
        (deep / name).symlink_to(tmp_path / "round")
        (tmp_path / "round" / name).symlink_to(deep.absolute())
    (deep / "clip itself").symlink_to("clip itself")
    (deep / ".hidden").mkdir()
    (deep / ".hidden" / "clip 1.wav").touch()
    found = [Path(str(path)) for path in named_media([pattern.format(here=tmp_path)])]
    assert [path.name for path in found if path.name != "clip itself"] == ["clip 0.wav"]


def on_terminal(*arguments: object, piped: bool, **variables: str) -> tuple[bytes, bytes, int]:
    """What a terminal 100 columns wide shows, what came on a piped standard output, and the status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "service", "query", *map(str, arguments)],
        env=environment(COLUMNS="100", **variables),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if piped else theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            seen += some
        os.close(ours)
        came = process.stdout.read() if process.stdout else b""
        return seen, came, process.wait(60)


def test_on_a_terminal_tables_come_above_a_bar(server: str, many: Path) -> None:
    seen, _, status = on_terminal(many, "--k", 1, piped=False, SAYSEE_SERVER=server)
    text = seen.decode()
    assert status == 0
    assert text.count("nearest images:") == 40
    assert "\x1b[1m" in text
    assert "40/40" in text
    assert "━" in text


def test_a_bar_does_not_swallow_what_goes_into_a_pipe(server: str, many: Path) -> None:
    for flags in ((), ("--json",)):
        seen, came, status = on_terminal(many, "--k", 1, *flags, piped=True, SAYSEE_SERVER=server)
        assert status == 0
        assert came.count(b"clip ") == 40
        assert b"\x1b" not in came
        assert b"40/40" in seen
        assert b"clip " not in seen


def test_who_has_read_enough_may_go(server: str, many: Path) -> None:
    for flags in ("--json", ""):
        command = f"{sys.executable} -m service query '{many}' {flags} | head -c 10"
        ran = subprocess.run(
            ["bash", "-c", command],
            env=environment(SAYSEE_SERVER=server),
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        assert len(ran.stdout) == 10
        assert b"Traceback" not in ran.stderr
        assert b"BrokenPipe" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing argument"),
        (("no-such-file.wav",), "There is no file no-such-file.wav"),
        (("README.md", "-", "-"), "can be read once"),
        (("README.md", "--k", "0"), "--k"),
        (("README.md", "--target", "films"), "--target"),
        (("README.md", "--server", "localhost:8000"), "is no address of a server"),
        (("README.md", "--key", "a\nb"), "The key holds"),
        (("README.md", "--save", "README.md"), "--save"),
        (("README.md", "--colour"), "--colour"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(arguments: tuple[str, ...], says: str) -> None:
    ran = query(*arguments, SAYSEE_SERVER=f"http://127.0.0.1:{free_port()}")
    assert ran.returncode == 2
    assert says in " ".join(ran.stderr.decode().split())
    assert ran.stdout == b""


def test_a_folder_without_files_is_wrong_usage(tmp_path: Path) -> None:
    ran = query(tmp_path)
    assert ran.returncode == 2
    assert b"There is no file in" in ran.stderr


def test_nobody_there_is_one_sentence_at_once(corpus: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    query("no-such-file.wav", "--server", address)
    asked = time.monotonic()
    ran = query(corpus / "clip0.wav", "--server", address)
    ended = time.monotonic()
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr.decode().startswith(f"error: Nobody answers at {address} (")
    assert ran.stderr.count(b"\n") == 1
    assert (ended - asked) - (asked - began) < 0.25 + 0.5 + 1 + 2  # the pauses that the client would make


def test_a_server_that_is_busy_at_first_or_goes_away_in_the_middle_is_asked_again(tmp_path: Path) -> None:
    answer = example(SearchAnswer)
    whole = {name: answer[name] for name in ("target", "generation", "model", "timings_ms")}
    limits = Told(body=json.dumps(example(LimitsAnswer)).encode())
    found = Told(body=json.dumps({**whole, "results": [answer]}).encode())
    busy = Told(503, headers={"Retry-After": "0"})
    script = [busy, busy, limits, Told(0), busy, found]
    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"clip")
    with scripted_server(lambda asked: script.pop(0)) as server:
        ran = query(clip, "--json", "--server", server.address)
    assert (ran.returncode, script) == (0, []), ran.stderr


def test_a_key_comes_from_the_variable_or_the_option(index: Path, corpus: Path) -> None:
    line = f"read alice {sha256(READ.encode()).hexdigest()}"
    with live_server(create_app(Settings(index=index, threads=1, keys=SecretStr(line)))) as port:
        address = f"http://127.0.0.1:{port}"
        ask = (corpus / "clip0.wav", "--json", "--k", 1, "--server", address)
        missing, wrong = query(*ask), query(*ask, SAYSEE_KEY="another")
        assert (missing.returncode, wrong.returncode) == (1, 1)
        assert missing.stderr == b"error: The server takes a key: give it in SAYSEE_KEY, or with --key.\n"
        assert b"is not a key of this server. It came from --key or SAYSEE_KEY.\n" in wrong.stderr
        below = query(corpus / "clip0.wav", "--server", f"{address}/v2", "--key", READ)
        assert below.returncode == 1
        assert b"The server has no /v2/v1/" in below.stderr
        assert b"give its address without a path.\n" in below.stderr
        assert query(*ask, SAYSEE_KEY=READ).returncode == 0
        assert query(*ask, "--key", READ, SAYSEE_KEY="another").returncode == 0


def test_what_a_server_says_steers_no_terminal_and_leads_to_no_other_folder(tmp_path: Path) -> None:
    answer = example(SearchAnswer)
    hit = {**answer["hits"][0], "id": "../../\x1b[31mid", "metadata": {"text": "\x1b]0;title\x07 \u202eevil"}}
    answer["hits"] = [hit]
    whole = {name: answer[name] for name in ("target", "generation", "model", "timings_ms")}

    def tell(asked: Asked) -> Told:
        if asked.path.endswith("/limits"):
            return Told(body=json.dumps(example(LimitsAnswer)).encode())
        if asked.path.endswith("/media"):
            return Told(
                body=b"bytes", headers={"Content-Disposition": "inline; filename*=UTF-8''x.%2F%2E%2E"}
            )
        return Told(body=json.dumps({**whole, "results": [answer]}).encode())

    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"clip")
    with scripted_server(tell) as server:
        ran = query(clip, "--server", server.address, "--save", tmp_path / "in" / "hits")
    assert ran.returncode == 0, ran.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.stdout.decode())
    assert "evil" in ran.stdout.decode()
    (saved,) = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert saved == tmp_path / "in" / "hits" / "clip" / "1-31mid"
    assert saved.read_bytes() == b"bytes"


def test_media_that_is_gone_is_told_and_the_rest_is_saved(tmp_path: Path) -> None:
    answer = example(SearchAnswer)
    answer["hits"] = [{**answer["hits"][0], "rank": rank, "id": f"item-{rank}"} for rank in range(1, 12)]
    whole = {name: answer[name] for name in ("target", "generation", "model", "timings_ms")}

    def tell(asked: Asked) -> Told:
        if asked.path.endswith("/limits"):
            return Told(body=json.dumps(example(LimitsAnswer)).encode())
        if asked.path.endswith("item-3/media"):
            gone = b'{"type": "/problems/media-gone", "detail": "The file of item-3 is gone."}'
            return Told(410, gone, {"Content-Type": "application/problem+json"})
        if asked.path.endswith("/media"):
            return Told(headers={"Content-Disposition": "inline; filename*=UTF-8''item.jpg"})
        return Told(body=json.dumps({**whole, "results": [answer]}).encode())

    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"clip")
    with scripted_server(tell) as server:
        ran = query(clip, "--server", server.address, "--json", "--save", tmp_path / "hits")
    assert ran.returncode == 1
    assert ran.stderr.decode() == f"error: {clip}: The file of item-3 is gone.\n"
    (line,) = lines(ran)
    names = [f"{rank:02}-item-{rank}.jpg" for rank in range(1, 12) if rank != 3]
    assert line["saved"] == [str(tmp_path / "hits" / "clip" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "hits" / "clip").iterdir()) == names
