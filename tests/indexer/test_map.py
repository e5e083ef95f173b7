"""The map of a generation: one more immutable file, the same at every build, verified, and never needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.build import BuildError, build
from indexer.bundle import Bundle
from indexer.durable import sha256_file
from indexer.projection import can_project
from indexer.store import GenerationDamaged, NoMap, open_index, verify
from tests.fixtures.tiny_index import CAPTION_IDS, IMAGE_IDS, make_corpus

pytestmark = pytest.mark.skipif(not can_project(), reason="scikit-learn is not installed (extra `map`)")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def built(index: Path, bundle: Bundle, corpus: Path, **options: Any) -> Path:
    """The folder of a new generation, promoted."""
    sources = {name: corpus / f"{name}.jsonl" for name in ("images", "captions")}
    report = build(bundle.path, index, **(sources | options), threads=1, promote_it=True)
    return index / "generations" / report.generation


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, corpus: Path) -> Path:
    return built(tmp_path_factory.mktemp("once") / "index", tiny_bundle, corpus)


@pytest.fixture
def folder(once: Path, tmp_path: Path) -> Path:
    """A generation of its own to damage."""
    copied = shutil.copytree(once.parent.parent, tmp_path / "index")
    return Path(copied, "generations", once.name)


def manifest_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return document


def rewrite_manifest(folder: Path, document: dict[str, Any]) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text(json.dumps(document))


def replace_map(folder: Path, **arrays: Any) -> None:
    """Another map with a digest that fits, as a fault of ours would leave it."""
    (folder / "map.npz").unlink()
    np.savez(folder / "map.npz", **arrays)
    document = manifest_of(folder)
    size = (folder / "map.npz").stat().st_size
    document["files"]["map.npz"] = {"sha256": sha256_file(folder / "map.npz"), "bytes": size}
    rewrite_manifest(folder, document)


def test_every_item_has_its_place(once: Path) -> None:
    document = manifest_of(once)
    points = {"images": len(IMAGE_IDS), "captions": len(CAPTION_IDS)}
    assert document["map"] == {"method": "t-sne", "seed": 0, "points": points}
    opened = open_index(once.parent.parent)
    places = opened.map()
    opened.close()
    assert {place.id for place in places["images"]} == set(IMAGE_IDS)
    assert {place.id for place in places["captions"]} == set(CAPTION_IDS)
    assert len({(place.x, place.y) for place in places["images"]}) == len(IMAGE_IDS)
    assert verify(once.parent.parent, once.name) == []
    assert (once / "map.npz").stat().st_mode & 0o222 == 0


def test_the_same_corpus_gives_the_same_bytes(once: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    again = built(tmp_path / "again", tiny_bundle, make_corpus(tmp_path / "corpus"))
    assert (again / "map.npz").read_bytes() == (once / "map.npz").read_bytes()


def test_many_items_are_sampled(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.indexing.MOST_POINTS", 7)
    folder = built(tmp_path / "index", tiny_bundle, corpus)
    assert manifest_of(folder)["map"]["points"] == {"images": 4, "captions": 3}
    opened = open_index(tmp_path / "index")
    assert len(opened.map()["images"]) == 4
    opened.close()


@pytest.mark.parametrize("damage", ["altered", "cut", "missing"])
def test_verify_and_opening_find_damage(folder: Path, damage: str) -> None:
    file = folder / "map.npz"
    data = bytearray(file.read_bytes())
    file.unlink()
    if damage == "altered":
        data[len(data) // 2] ^= 0xFF
    if damage != "missing":
        file.write_bytes(data[:-1] if damage == "cut" else data)
    (problem,) = verify(folder.parent.parent, folder.name)
    assert "map.npz" in problem
    with pytest.raises(GenerationDamaged, match=r"map\.npz"):
        open_index(folder.parent.parent, folder.name)


def test_a_map_without_its_digest_is_found(folder: Path) -> None:
    document = manifest_of(folder)
    del document["files"]["map.npz"]
    rewrite_manifest(folder, document)
    assert "map.npz has no digest in the manifest" in verify(folder.parent.parent, folder.name)


ROWS = {"images": np.arange(len(IMAGE_IDS)), "captions": np.arange(len(CAPTION_IDS))}


@pytest.mark.parametrize(
    "wrong",
    [
        {"images_rows": np.arange(1, len(IMAGE_IDS) + 1)},
        {"images_rows": np.zeros(len(IMAGE_IDS), np.int32)},
        {"images_xy": np.zeros((2, 2))},
        {"images_xy": np.full((len(IMAGE_IDS), 2), np.nan)},
        {"images_xy": np.full((len(IMAGE_IDS), 2), 3.0)},
    ],
)
def test_places_that_cannot_be_are_damage(folder: Path, wrong: dict[str, Any]) -> None:
    arrays: dict[str, Any] = {}
    for name, rows_N in ROWS.items():
        arrays |= {f"{name}_rows": rows_N, f"{name}_xy": np.zeros((len(rows_N), 2))}
    replace_map(folder, **(arrays | wrong))
    (problem,) = verify(folder.parent.parent, folder.name)
    assert "places images that are not there" in problem


def test_a_map_of_something_else_is_damage(folder: Path) -> None:
    replace_map(folder, other=np.zeros(3))
    (problem,) = verify(folder.parent.parent, folder.name)
    assert "cannot be read as a map" in problem


def test_a_generation_of_before_there_were_maps_still_serves(folder: Path) -> None:
    document = manifest_of(folder)
    del document["map"], document["files"]["map.npz"]
    for part in document["collections"].values():
        del part["closeness"]
    rewrite_manifest(folder, document)
    (folder / "map.npz").unlink()
    assert verify(folder.parent.parent, folder.name) == []
    opened = open_index(folder.parent.parent)
    assert opened.search("images", opened.vector("images", "scene-0")[None], 1)[0][0].id == "scene-0"
    with pytest.raises(NoMap, match="without a map"):
        opened.map()
    opened.close()


def test_a_generation_deleted_while_it_serves_keeps_its_map(folder: Path) -> None:
    opened = open_index(folder.parent.parent)
    shutil.rmtree(folder)
    assert len(opened.map()["captions"]) == len(CAPTION_IDS)
    opened.close()


def test_no_map_where_none_is_wanted_or_can_be_made(
    tmp_path: Path, tiny_bundle: Bundle, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = built(tmp_path / "index", tiny_bundle, corpus, map_it=False)
    assert not (without / "map.npz").exists()
    monkeypatch.setattr("indexer.build.can_project", lambda: False)
    assert manifest_of(built(tmp_path / "index", tiny_bundle, corpus))["map"] is None
    with pytest.raises(BuildError, match=r"pip install 'saysee\[map\]'"):
        built(tmp_path / "index", tiny_bundle, corpus, map_it=True)


def test_one_collection_has_a_map_too(tmp_path: Path, tiny_bundle: Bundle, corpus: Path) -> None:
    folder = built(tmp_path / "index", tiny_bundle, corpus, captions=None)
    assert manifest_of(folder)["map"]["points"] == {"images": len(IMAGE_IDS)}
    assert set(manifest_of(folder)["collections"]["images"]["closeness"]) == {"image"}
