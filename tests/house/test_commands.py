"""The commands in the README and docs/ exist with their options; curl lines and scripts work as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

import indexer.__main__
import service.__main__
import training.__main__
from indexer.build import build
from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import live_server
from training.scenes import render_corpus
from training.speak import speak

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    "indexer": typer.main.get_command(indexer.__main__.app),
    "service": typer.main.get_command(service.__main__.app),
    "training": typer.main.get_command(training.__main__.app),
}


def shell_lines(text: str) -> list[str]:
    """Every command of the ```sh blocks, continuation lines joined, remarks gone."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def own_commands() -> list[str]:
    """What follows `python -m` in the docs, and after the entry point of the compose services."""
    ours = re.compile(r"(?:python -m|compose run .*?\bserve) ((?:indexer|service|training)\b.*)")
    lines = [line for page in PAGES for line in shell_lines(page.read_text())]
    return sorted({call.group(1) for call in map(ours.search, lines) if call})


@pytest.mark.parametrize("line", own_commands())
def test_the_docs_name_commands_and_options_that_exist(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    command = PROGRAMS[program]
    if isinstance(command, TyperGroup):
        if program == "service" and words[0].startswith("--"):
            words.insert(0, "serve")
        assert words[0] in command.commands, f"{program} has {', '.join(command.commands)}"
        command = command.commands[words.pop(0)]
    named = [(option, parameter) for parameter in command.params for option in parameter.opts]
    options = {option: parameter for option, parameter in named if option[0] == "-"}
    given = {word for word in words if word.startswith("--")} - {"--help"}
    assert given - options.keys() == set()
    assert {option for option, parameter in options.items() if parameter.required} - given == set()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A folder with a small .demo/ made by the steps of `make demo`, and the port that serves it."""
    folder = tmp_path_factory.mktemp("readme")
    corpus = folder / ".demo" / "corpus"
    render_corpus(corpus, 8, 1909, test=8)
    speak(corpus, corpus, voices="reserved-espeak", workers=1)
    index = folder / ".demo" / "index"
    bundle, images, captions = ROOT / "demo" / "bundle", corpus / "images.jsonl", corpus / "captions.jsonl"
    build(bundle, index, images=images, captions=captions, promote_it=True)
    with live_server(create_app(Settings(index=index))) as port:
        yield folder, port


CURLS = [line for line in shell_lines(PAGES[0].read_text()) if line.startswith("curl")]


@pytest.mark.curl
@pytest.mark.parametrize("line", CURLS)
def test_the_curl_lines_of_the_readme_work_as_printed(
    line: str, demo: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = demo
    here = line.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("/tmp/", f"{tmp_path}/")
    words = [*shlex.split(here), "--fail-with-body", "--silent", "--show-error", "--max-time", "30"]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


SCRIPTS = [
    pytest.param(script, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", ROOT / "docs" / "client.md")
    for number, script in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL), 1
    )
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_of_the_docs_work_as_printed(script: str, demo: tuple[Path, int]) -> None:
    folder, port = demo
    ran = subprocess.run(
        [sys.executable, "-c", script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "scene-0" in ran.stdout or "/problems/" in ran.stdout
    assert "failed" not in ran.stdout


QUERIES = [
    line
    for page in (ROOT / "README.md", ROOT / "docs" / "client.md")
    for line in shell_lines(page.read_text())
    if line.startswith("python -m service query")
]


@pytest.mark.parametrize("line", QUERIES)
def test_the_queries_of_the_docs_work_as_printed(line: str, demo: tuple[Path, int]) -> None:
    folder, port = demo
    ran = subprocess.run(
        ["bash", "-c", line.replace("python", shlex.quote(sys.executable), 1)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SAYSEE_SERVER": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "scene-0" in ran.stdout
