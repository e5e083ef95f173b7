"""Generations whose vectors live in Milvus, by the real commands: built, served, pruned, shared, cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from indexer.__main__ import app
from indexer.ann import AnnError
from indexer.bundle import Bundle
from indexer.milvus import Milvus, MilvusUnavailable
from indexer.store import (
    GenerationDamaged,
    VectorsUnreachable,
    current_generation,
    list_generations,
    open_index,
    prune,
)
from indexer.store.layout import MILVUS_OWNER
from indexer.store.manifest import read_generation_manifest
from indexer.store.vectors import claim, collection_name, drop_orphans, owner_of
from tests.fixtures.milvus_server import MilvusServer, milvus_server
from tests.fixtures.pairs import Pairs

KILLED = """
import os, signal, sys
from pathlib import Path
from typing import cast
from indexer.build import build
from indexer.milvus import Milvus
from indexer.store.writer import GenerationWriter

bundle, index, corpus, uri, moment = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "filling":
    Milvus.fill.__globals__["blocks"] = die
elif moment == "between the two":
    fill = Milvus.fill
    Milvus.fill = lambda self, name, *rest: die() if name.endswith("captions") else fill(self, name, *rest)
else:
    GenerationWriter.commit = die
images, captions = Path(corpus) / "images", Path(corpus) / "captions.jsonl"
build(bundle, index, images=images, captions=captions, vectors=uri, map_it=False, promote_it=True)
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def build(index: Path, pairs: Pairs, bundle: Bundle, *more: str) -> str:
    """One more generation by `python -m indexer build`; its id."""
    sources = ("--images", pairs.images, "--captions", pairs.captions)
    result = run("build", "--bundle", bundle.path, *sources, "--index", index, "--json", "--no-map", *more)
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)["generation"])


def there(uri: str) -> set[str]:
    """The collections of that Milvus."""
    milvus = Milvus(uri)
    names = set(milvus.names())
    milvus.close()
    return names


def own(index: Path, generation: str) -> set[str]:
    """The collections that the manifest of a generation names."""
    manifest = read_generation_manifest(index / "generations" / generation)
    assert manifest.milvus is not None
    return {one.name for one in manifest.milvus.collections.values()}


def answers(index: Path, generation: str | None = None) -> dict[str, list[list[tuple[str, float]]]]:
    """What a generation finds for each of its own vectors, in both collections."""
    opened = open_index(index, generation)
    found = {}
    for name in ("images", "captions"):
        items, _ = opened.items(name, 100)
        vectors_ND = np.array([opened.vector(name, item.id) for item in items])
        hits = opened.search(name, vectors_ND, 10)
        found[name] = [[(hit.id, round(hit.score, 4)) for hit in one] for one in hits]
    opened.close()
    return found


def test_the_whole_life(index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str) -> None:
    first = build(index, pairs, tiny_bundle, "--promote")
    second = build(index, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    third = build(index, pairs, tiny_bundle, "--vectors", milvus_uri)
    assert answers(index, first) == answers(index, second) == answers(index, third)
    assert not list((index / "generations" / second).glob("*.faiss"))

    shown = json.loads(run("show", second, "--index", index, "--json").stdout)
    assert (shown["milvus"]["uri"], shown["milvus"]["metric"]) == (milvus_uri, "IP")
    assert shown["collections"]["images"]["recall_at_10"] == 1.0
    assert shown["collections"]["images"]["bytes"] == 6 * tiny_bundle.manifest.dim * 4
    names = own(index, second)
    assert all(second.replace("-", "_") in name for name in names)
    assert names | own(index, third) <= there(milvus_uri)
    assert f"vectors in {milvus_uri}: " in run("show", second, "--index", index).stdout

    verified = run("verify", "--index", index)
    assert verified.exit_code == 0, verified.output
    assert run("promote", third, "--index", index).exit_code == 0
    assert run("rollback", "--index", index).exit_code == 0
    assert current_generation(index) == second
    assert run("prune", "--index", index, "--keep", "2").exit_code == 0
    assert {one.id for one in list_generations(index)} == {first, second}
    assert names <= there(milvus_uri)
    assert not [name for name in there(milvus_uri) if third.replace("-", "_") in name]
    assert answers(index) == answers(index, first)


def test_vectors_that_were_touched_are_noticed(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str
) -> None:
    other = build(index, pairs, tiny_bundle, "--promote")
    generation = build(index, pairs, tiny_bundle, "--vectors", milvus_uri)
    images, captions = sorted(own(index, generation), reverse=True)
    milvus = Milvus(milvus_uri)
    dim = tiny_bundle.manifest.dim
    milvus.client.upsert(images, [{"row": 2, "vector": [0.5] * dim}])
    milvus.client.flush(images)
    told = run("verify", generation, "--index", index)
    assert (told.exit_code, told.stdout.count("vectors of its images in Milvus were altered")) == (1, 1)
    milvus.drop(captions)
    for command in (("verify", generation), ("promote", generation)):
        told = run(*command, "--index", index)
        assert told.exit_code == 1
        assert f"has no collection {captions}" in told.output
    milvus.fill(captions, np.ones((2, dim), np.float32), "flat")
    assert "2 vectors of" in run("promote", generation, "--index", index).output
    with pytest.raises(GenerationDamaged, match="6 by its manifest, 2 by its index"):
        open_index(index, generation)
    milvus.close()
    assert current_generation(index) == other


@pytest.mark.parametrize("moment", ["filling", "between the two", "at the end"])
def test_a_killed_build_leaves_what_the_next_one_clears(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str, moment: str
) -> None:
    serving = build(index, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    owner = (index / MILVUS_OWNER).read_text().split()[0]
    arguments = (tiny_bundle.path, index, pairs.images.parent, milvus_uri, moment)
    assert pairs.captions == pairs.images.parent / "captions.jsonl"
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert killed.returncode == -signal.SIGKILL
    orphans = {name for name in there(milvus_uri) if owner in name} - own(index, serving)
    assert len(orphans) == (1 if moment != "at the end" else 2)
    assert [one.id for one in list_generations(index)] == [serving]
    assert answers(index)

    following = build(index, pairs, tiny_bundle, "--vectors", milvus_uri)
    ours = {name for name in there(milvus_uri) if owner in name}
    assert ours == own(index, serving) | own(index, following)


def test_a_build_that_fails_leaves_nothing(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = there(milvus_uri)

    def fault(*_: object) -> None:
        raise AnnError("made up")

    monkeypatch.setattr("indexer.build.GenerationWriter.commit", fault)
    sources = ("--images", pairs.images, "--captions", pairs.captions)
    result = run("build", "--bundle", tiny_bundle.path, *sources, "--index", index, "--vectors", milvus_uri)
    assert (result.exit_code, "error: made up" in result.output) == (1, True)
    assert there(milvus_uri) == before
    assert list_generations(index) == []


def test_indices_that_share_a_milvus_never_harm_each_other(
    tmp_path: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str
) -> None:
    one, two, copy = tmp_path / "one", tmp_path / "two", tmp_path / "copy"
    foreign = Milvus(milvus_uri)
    foreign.fill("saysee_of_somebody_else", np.ones((1, 4), np.float32), "flat")
    first = build(one, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    shutil.copytree(one, copy)
    later = build(one, pairs, tiny_bundle, "--vectors", milvus_uri)  # unknown to the copy
    build(two, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    build(copy, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    assert (two / MILVUS_OWNER).read_text().split()[0] != (one / MILVUS_OWNER).read_text().split()[0]
    prune(two, 1)
    prune(copy, 1, drop_rollback=True)
    assert [listed.id for listed in list_generations(copy)] != [first]
    assert answers(one, first) == answers(one, later) == answers(copy)
    assert "saysee_of_somebody_else" in there(milvus_uri)
    foreign.close()


def test_a_copy_that_is_pruned_says_what_it_leaves_in_milvus(
    tmp_path: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str
) -> None:
    one, copy = tmp_path / "one", tmp_path / "copy"
    first = build(one, pairs, tiny_bundle, "--vectors", milvus_uri)
    build(one, pairs, tiny_bundle, "--promote")
    names = own(one, first)
    shutil.copytree(one, copy)
    shutil.copytree(one, tmp_path / "later")
    told = run("prune", "--index", copy, "--keep", "1")
    assert told.exit_code == 0, told.output
    left = [line for line in told.stdout.splitlines() if line.startswith(f"Left in {milvus_uri}, since")]
    assert [all(name in line for name in names) for line in left] == [True]
    assert names <= there(milvus_uri)

    assert prune(one, 1).left_in_milvus == {}
    assert not names & there(milvus_uri)
    assert prune(tmp_path / "later", 1).left_in_milvus == {}  # nothing is there any more


class _Names:
    """All that is asked of a Milvus to tidy up."""

    def __init__(self, *names: str) -> None:
        self.left = list(names)

    def names(self) -> list[str]:
        return list(self.left)

    def drop(self, name: str) -> None:
        self.left.remove(name)


def test_a_copy_is_another_owner_however_it_was_made(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    owner = owner_of(one)
    shutil.copytree(one, tmp_path / "copied")
    assert owner_of(tmp_path / "copied") != owner
    assert owner_of(one) == owner
    shutil.copytree(one, tmp_path / "linked", copy_function=os.link)
    assert owner_of(tmp_path / "linked") != owner


def test_only_what_it_made_itself_is_dropped_and_only_when_all_its_generations_are_seen(
    index: Path, pairs: Pairs, tiny_bundle: Bundle
) -> None:
    current = build(index, pairs, tiny_bundle, "--promote")
    owner, gone, later = owner_of(index), "20200101T000000-abcdef", "20300101T000000-abcdef"
    of_current, orphan, of_a_snapshot = (
        collection_name(owner, one, "images") for one in (current, gone, later)
    )
    claim(index, of_current)
    claim(index, orphan)
    folder = index / "generations"
    folder.rename(index / "elsewhere")
    folder.mkdir()
    milvus = _Names(of_current, orphan, of_a_snapshot, "another")
    drop_orphans(index, cast(Milvus, milvus))
    assert milvus.left == [of_current, orphan, of_a_snapshot, "another"]
    folder.rmdir()
    (index / "elsewhere").rename(folder)
    drop_orphans(index, cast(Milvus, milvus))
    assert milvus.left == [of_current, of_a_snapshot, "another"]


@pytest.fixture
def down(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path
) -> Iterator[tuple[str, MilvusServer]]:
    """An index with one generation, in a Milvus that went down since; the generation's id."""
    with milvus_server(tmp_path / "milvus") as server:
        generation = build(index, pairs, tiny_bundle, "--vectors", server.uri, "--promote")
        server.stop()
        yield generation, server


def test_a_milvus_that_is_down_is_one_sentence(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, down: tuple[str, MilvusServer]
) -> None:
    generation, server = down
    sources = ("--images", pairs.images, "--captions", pairs.captions)
    built = run("build", "--bundle", tiny_bundle.path, *sources, "--index", index, "--vectors", server.uri)
    assert built.exit_code == 1
    assert f"error: Milvus at {server.uri} did not connect within 5 s (no connection)" in built.output
    for command in (("verify", generation), ("promote", generation), ("doctor",)):
        told = run(*command, "--index", index)
        assert told.exit_code == 1
        assert f"Milvus at {server.uri} did not connect" in told.output
        assert "Traceback" not in told.output
    with pytest.raises(VectorsUnreachable, match=f"Generation {generation} has its vectors in Milvus"):
        open_index(index)
    assert run("list", "--index", index).exit_code == run("show", "--index", index).exit_code == 0


def test_while_it_is_down_files_serve_and_are_pruned_around(
    index: Path,
    pairs: Pairs,
    tiny_bundle: Bundle,
    down: tuple[str, MilvusServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    generation, server = down
    in_files = build(index, pairs, tiny_bundle, "--promote")
    assert answers(index)
    told = run("rollback", "--index", index)
    assert told.exit_code == 1
    assert f"(damaged, gone or out of reach: {generation})" in told.output

    names = own(index, generation)
    copy = index.with_name("copy")
    shutil.copytree(index, copy)
    assert prune(copy, 1, drop_rollback=True).left_in_milvus == {server.uri: sorted(names)}
    assert prune(index, 1, drop_rollback=True).left_in_milvus == {}
    assert [one.id for one in list_generations(index)] == [in_files]
    assert "stay until a later build with that Milvus" in caplog.text
    server.start()
    assert names <= there(server.uri)
    build(index, pairs, tiny_bundle, "--vectors", server.uri)
    assert not names & there(server.uri)


def test_the_doctor_hangs_up_on_a_milvus_that_answers_with_an_error(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(index, pairs, tiny_bundle, "--vectors", milvus_uri, "--promote")
    failed, closed = [], []
    close = Milvus.close

    def names(self: Milvus) -> list[str]:
        failed.append(self)
        raise MilvusUnavailable("made up")

    def noted(self: Milvus) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(Milvus, "names", names)
    monkeypatch.setattr(Milvus, "close", noted)
    assert "wrong  milvus: made up" in run("doctor", "--index", index).stdout
    assert len(failed) == 1
    assert failed[0] in closed


def test_the_last_sound_generation_serves_in_place_of_one_out_of_reach(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    in_files = build(index, pairs, tiny_bundle, "--promote")
    with milvus_server(tmp_path / "milvus") as server:
        away = build(index, pairs, tiny_bundle, "--vectors", server.uri, "--promote")
        found = run("doctor", "--index", index)
        assert f"{server.uri} answers in" in found.stdout
        server.stop()
        opened = open_index(index)
    assert (opened.id, away in str(opened.degraded)) == (in_files, True)
    opened.close()


def test_what_is_no_place_for_vectors(index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
    sources = ("--images", pairs.images, "--captions", pairs.captions)
    result = run("build", "--bundle", tiny_bundle.path, *sources, "--index", index, "--vectors", "http://a:1")
    assert (result.exit_code, "milvus://HOST:PORT" in result.output) == (1, True)
    assert not index.exists()


def test_a_manifest_that_says_it_wrong_is_damaged(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, milvus_uri: str
) -> None:
    generation = build(index, pairs, tiny_bundle, "--vectors", milvus_uri)
    path = index / "generations" / generation / "manifest.json"
    path.chmod(0o644)
    document = json.loads(path.read_text())
    for broken, told in (
        ({"uri": 7, "metric": "IP", "collections": {}}, "milvus.uri should be str"),
        (
            {"uri": "milvus://a:1", "metric": "IP", "collections": {}},
            "should hold an object at milvus.collections",
        ),
        ([], "milvus should be dict"),
    ):
        path.write_text(json.dumps({**document, "milvus": broken}))
        with pytest.raises(GenerationDamaged, match=told):
            read_generation_manifest(path.parent)
    path.write_text(json.dumps({**document, "milvus": None}))
    with pytest.raises(GenerationDamaged, match=r"captions\.faiss has no digest"):
        open_index(index, generation)
