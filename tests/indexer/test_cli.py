"""`python -m indexer` as an operator meets it: results on stdout, a sentence on stderr, status 0, 1 or 2."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner, Result

from indexer import __main__ as cli
from indexer import ann, encoder
from indexer.bundle import Bundle
from indexer.store import current_generation
from tests.fixtures.pairs import Pairs, make_pairs

COMMANDS = ("build", "list", "show", "verify", "promote", "rollback", "prune", "doctor")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(one) for one in arguments])


def answer(*arguments: object) -> Any:
    """The JSON answer of a command that must succeed."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def assert_fails(result: Result, says: str, status: int = 1) -> None:
    assert result.exit_code == status
    assert result.stdout == ""
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return make_pairs(tmp_path / "corpus", 3)


@pytest.fixture
def sources(pairs: Pairs, tiny_bundle: Bundle, index: Path) -> tuple[object, ...]:
    """The arguments of a build that works."""
    places = ("--bundle", tiny_bundle.path, "--images", pairs.images, "--captions", pairs.captions)
    return (*places, "--index", index)


def test_from_build_to_prune(sources: tuple[object, ...], index: Path) -> None:
    built = run("build", *sources)
    assert built.exit_code == 0, built.stderr
    assert "images: 3 (3 embedded now, 0 reused), recall@10 1.000" in built.stdout
    # Plain lines, as this is no terminal.
    assert re.search(r"^images: vectors: 3 in .* s; 3 embedded now, 0 reused$", built.stderr, re.MULTILINE)
    assert "map: 3 images and 3 captions, t-sne, seed 0" in built.stdout
    (first,) = answer("list", "--index", index)
    assert not first["current"]
    following = f"Next, to serve it: python -m indexer promote {first['id']} --index {index}"
    assert built.stdout.splitlines()[-1] == following

    assert answer("promote", "newest", "--index", index) == {"generation": first["id"], "previous": None}
    again = run("build", *sources, "--promote", "--no-map")
    assert "map" not in again.stdout + again.stderr
    assert "images: 3 (0 embedded now, 3 reused)" in again.stdout
    assert re.search(r"^images: vectors: 3 in .* s; 0 embedded now, 3 reused$", again.stderr, re.MULTILINE)
    back = f"It serves now in place of {first['id']}; to go back: python -m indexer rollback --index {index}"
    assert again.stdout.splitlines()[-1] == back
    second = answer("show", "newest", "--index", index)
    assert second["parent"] == first["id"]
    assert current_generation(index) == second["id"]

    listed = run("list", "--index", index)
    assert listed.stdout.splitlines()[0].startswith(f"* {second['id']}  3 images, 3 captions, by tiny-0")
    assert "recall@10 1.000 over 3 queries" in run("show", "--index", index).stdout

    assert answer("verify", "--index", index) == {second["id"]: [], first["id"]: []}
    refused = run("prune", "--keep", 1, "--index", index)
    assert_fails(refused, f"error: Keeping 1 would delete {first['id']}, which a rollback returns to")
    pruned = run("prune", "--keep", 2, "--index", index)
    assert pruned.stdout.splitlines() == [
        "Deleted: nothing.",
        f"Kept: {second['id']} (current), {first['id']} (a rollback returns to it).",
    ]
    assert answer("rollback", "--index", index)["generation"] == first["id"]
    assert_fails(run("rollback", "--index", index), "error: No sound generation was promoted")
    assert run("prune", "--keep", 1, "--index", index).stdout.splitlines() == [
        f"Deleted: {second['id']}.",
        f"Kept: {first['id']} (current).",
        "There is nothing to roll back to.",
    ]


def test_a_generation_has_the_same_names_everywhere(sources: tuple[object, ...], index: Path) -> None:
    first, second = (answer("build", *sources)["generation"] for _ in range(2))
    answer("promote", first, "--index", index)
    for name, meant in (("newest", second), ("current", first), (first, first)):
        assert answer("show", name, "--index", index)["id"] == meant
        assert answer("verify", name, "--index", index) == {meant: []}
    assert answer("show", "--index", index)["id"] == first
    assert answer("promote", "current", "--index", index)["generation"] == first
    assert answer("promote", "newest", "--index", index) == {"generation": second, "previous": first}
    for command in ("show", "verify", "promote"):
        unknown = run(command, "latest", "--index", index)
        assert_fails(unknown, f"error: The index has no generation 'latest': it has {second}, {first}.")


def test_the_first_promoted_says_how_to_serve_it(sources: tuple[object, ...], index: Path) -> None:
    built = run("build", *sources, "--promote")
    following = f"It is promoted. Next: python -m service --index {index}"
    assert built.stdout.splitlines()[-1] == following


def test_only_what_its_metadata_say(pairs: Pairs, tiny_bundle: Bundle, index: Path) -> None:
    places = ("--bundle", tiny_bundle.path, "--captions", pairs.captions, "--index", index)
    built = run("build", *places, "--only", "text=number 0", "--only", "text=number 2")
    assert built.exit_code == 0, built.stderr
    assert "captions: 2 (2 embedded now, 0 reused)" in built.stdout
    assert "left out, not text=number 0 or number 2: 1, e.g. line 2" in built.stdout
    unknown = run("build", *places, "--only", "split=test")
    assert_fails(unknown, "captions.jsonl has the key 'split': there are image_id, text.")


def test_all_that_is_wrong_with_a_build_is_told_at_once(index: Path, tmp_path: Path) -> None:
    nope, x, y = (tmp_path / name for name in ("nope", "x", "y"))
    result = run("build", "--bundle", nope, "--images", x, "--captions", y, "--index", index)
    assert_fails(result, f"error: {nope} is not a model bundle")
    begins = [f"error: {nope} is not", f"error: {x} does not exist", f"error: {y} does not exist"]
    lines = result.stderr.splitlines()
    assert [line.startswith(begin) for line, begin in zip(lines, begins, strict=True)] == [True] * 3
    assert not index.exists()


def test_what_was_left_out_is_told(sources: tuple[object, ...], pairs: Pairs) -> None:
    (pairs.images / "words.png").write_text("only words")
    built = run("build", *sources)
    assert "left out, not an image: 1, e.g. words.png" in built.stdout


def test_a_damaged_generation(sources: tuple[object, ...], index: Path) -> None:
    generation = answer("build", *sources, "--promote")["generation"]
    path = index / "generations" / generation / "images.faiss"
    path.unlink()
    path.write_bytes(b"something else")
    verified = run("verify", generation, "--index", index)
    assert verified.exit_code == 1
    assert "images.faiss has 14 bytes where" in verified.stdout
    assert_fails(run("promote", generation, "--index", index), "is damaged: images.faiss has 14 bytes")
    (index / "generations" / generation / "manifest.json").unlink()
    assert "manifest.json cannot be read" in run("list", "--index", index).stdout
    assert_fails(run("show", "--index", index), "manifest.json cannot be read")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    helped = run(command, "--help")
    assert helped.exit_code == 0
    for word in ("--json", "--debug", "--help"):
        assert word in helped.stdout


@pytest.mark.parametrize("command", ["list", "show", "verify", "rollback", "prune", "promote"])
def test_no_index_there(command: str, tmp_path: Path) -> None:
    arguments = ("newest",) if command == "promote" else ()
    result = run(command, *arguments, "--index", tmp_path / "nowhere")
    assert_fails(result, f"error: There is no index at {tmp_path / 'nowhere'}: build one with")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "--bundle", "b", "--index", "i"),
        ("build", "--bundle", "b", "--images", "x"),
        ("build", "--bundle", "b", "--images", "x", "--index", "i", "--kind", "hnsw"),
        ("build", "--bundle", "b", "--images", "x", "--index", "i", "--engine", "ray"),
        ("build", "--bundle", "b", "--images", "x", "--index", "i", "--threads", "0"),
        ("build", "--bundle", "b", "--images", "x", "--index", "i", "--only", "split"),
        ("build", "--bundle", "b", "--images", "x", "--index", "i", "--only", "=test"),
        ("prune", "--index", "i", "--keep", "0"),
        ("promote", "--index", "i"),
        ("nothing",),
        ("list",),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_errors_are_one_sentence_and_debug_shows_more(sources: tuple[object, ...], tmp_path: Path) -> None:
    wrong = ("build", *sources[2:], "--bundle", tmp_path / "no-bundle")
    plain = run(*wrong)
    assert_fails(plain, f"error: {tmp_path / 'no-bundle'} is not a model bundle")
    debugged = run(*wrong, "--debug")
    assert debugged.exit_code == 1
    assert "Traceback" in debugged.stderr
    assert "BundleError" in debugged.stderr


def test_what_the_system_refuses_is_named_with_its_file(sources: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_fails(
        run("build", *sources, "--index", tmp_path / "file" / "index"), f"error: {tmp_path / 'file'}"
    )


def test_the_choices_are_those_there_are() -> None:
    """Written out beside the options: reading the tables would load FAISS and ONNX Runtime for --help."""
    assert set(get_args(cli.KindName)) == set(ann.KINDS)
    assert set(get_args(cli.ProviderName)) == set(get_args(encoder.Provider))


def test_as_a_program_of_its_own(sources: tuple[object, ...], index: Path) -> None:
    command = [sys.executable, "-m", "indexer", "build", *map(str, sources), "--promote", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generation"] == current_generation(index)


BROKEN = """
import sys
sys.modules["faiss"] = None
from indexer.__main__ import app
app(sys.argv[1:])
"""


def test_without_a_library_the_doctor_still_comes(sources: tuple[object, ...]) -> None:
    def start(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BROKEN, *map(str, arguments)], capture_output=True, text=True
        )

    built = start("build", *sources)
    assert built.returncode == 1
    assert "A library is missing or broken" in built.stderr
    assert "`python -m indexer doctor` has the fix" in built.stderr
    asked = start("doctor")
    assert asked.returncode == 1
    assert "wrong  faiss: cannot be imported" in asked.stdout
    assert "fix: " in asked.stdout
