"""Generations on disk: what is written is what is served; nothing that happens to a file goes unnoticed."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer import ann
from indexer.bundle import Bundle
from indexer.location import Location
from indexer.store import (
    COLLECTIONS,
    BadCursor,
    BuildConflict,
    CollectionManifest,
    FingerprintMismatch,
    Generation,
    GenerationClosed,
    GenerationDamaged,
    GenerationWriter,
    IndexNotFound,
    Item,
    MediaGone,
    NothingToRollBack,
    NoThumbnail,
    RollbackLost,
    Skipped,
    UnknownCollection,
    UnknownGeneration,
    UnknownItem,
    current_generation,
    find_generation,
    list_generations,
    open_index,
    promote,
    prune,
    rollback,
    sole_builder,
    verify,
)
from tests.fixtures.tiny_bundle import make_tiny_bundle

DIM = 16
COUNT = 12


def vectors_of(seed: int, count: int = COUNT) -> NDArray[np.float32]:
    vectors_ND = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True))


def item_id(collection: str, row: int) -> str:
    """Ids whose order is not that of the rows."""
    return f"{collection}/{(row * 5) % COUNT:02d} ä?#"


def add_generation(index: Path, bundle: Bundle, seed: int = 0, *, thumbnails: bool = True) -> str:
    """A generation of both collections whose vectors, media and metadata come from the seed; its id."""
    media = index.parent / "media"
    media.mkdir(parents=True, exist_ok=True)
    parts = {}
    with sole_builder(index), GenerationWriter(index, bundle) as writer:
        for name in COLLECTIONS:
            for row in range(COUNT):
                path = media / f"{name}-{row}.bin"
                if not path.exists():
                    path.write_bytes(f"{name} {row}".encode())
                item = Item(
                    id=item_id(name, row),
                    row=row,
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    mime="image/png" if name == "images" else "audio/wav",
                    location=Location(path, None, path.stat().st_size),
                    modified_ns=path.stat().st_mtime_ns,
                    seconds=None if name == "images" else row / 2,
                    width=40 if name == "images" else None,
                    height=30 if name == "images" else None,
                    metadata={"row": row, "seed": seed, "text": "ein Bär"},
                )
                writer.items.add(name, item, media, b"small" if thumbnails else None)
            index_of = ann.build("flat", vectors_of(seed))
            length_bytes = writer.add_index(name, index_of)
            skipped = {"missing file": Skipped(2, ("a", "b"))}
            parts[name] = CollectionManifest(
                COUNT, DIM, "flat", {}, 1.0, 10, length_bytes, skipped, "media", str(media), "../media"
            )
        return writer.commit(parts)


@pytest.fixture
def served(index: Path, tiny_bundle: Bundle) -> str:
    """One generation, promoted."""
    generation = add_generation(index, tiny_bundle)
    promote(index, generation)
    return generation


def damage(path: Path, *, at: int = -3) -> None:
    """Flip one byte, in a copy of its own so that files linked to it stay whole."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


class TestWriting:
    def test_manifest_says_what_is_there(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        (listed,) = list_generations(index)
        manifest = listed.manifest
        assert manifest is not None
        assert (manifest.id, manifest.parent, manifest.fingerprint) == (served, None, tiny_bundle.fingerprint)
        assert manifest.collections["images"].skipped == {"missing file": Skipped(2, ("a", "b"))}
        folder = index / "generations" / served
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {"manifest.json", *manifest.files}
        for name, record in manifest.files.items():
            data = (folder / name).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (record.sha256, record.bytes)

    def test_ids_sort_by_time_and_tell_content(self, index: Path, tiny_bundle: Bundle) -> None:
        first = add_generation(index, tiny_bundle, seed=1)
        second = add_generation(index, tiny_bundle, seed=2)
        again = add_generation(index, tiny_bundle, seed=1)
        assert first < second < again
        assert first.split("-")[1] == again.split("-")[1] != second.split("-")[1]
        assert [one.id for one in list_generations(index)] == [again, second, first]

    def test_parent_is_what_was_served(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        add_generation(index, tiny_bundle, seed=1)
        newest = list_generations(index)[0].manifest
        assert newest is not None
        assert newest.parent == served

    def test_a_build_that_fails_leaves_nothing(self, index: Path, tiny_bundle: Bundle) -> None:
        with pytest.raises(ZeroDivisionError), sole_builder(index), GenerationWriter(index, tiny_bundle):
            raise ZeroDivisionError
        assert list((index / "generations").iterdir()) == []

    def test_leftovers_of_killed_builds_are_cleared_by_the_next(
        self, index: Path, tiny_bundle: Bundle
    ) -> None:
        for name in (".tmp-0123", ".trash-20200101T000000-aaaaaa"):
            (index / "generations" / name / "bundle").mkdir(parents=True)
        assert list_generations(index) == []
        generation = add_generation(index, tiny_bundle)
        assert [path.name for path in (index / "generations").iterdir()] == [generation]

    def test_one_builder_at_a_time(self, index: Path) -> None:
        with sole_builder(index):
            with pytest.raises(BuildConflict, match=f"process {os.getpid()}"), sole_builder(index):
                pass
            with pytest.raises(BuildConflict):
                prune(index)
        with sole_builder(index):
            pass

    def test_the_bundle_is_copied_then_linked_between_generations(self, index: Path, tmp_path: Path) -> None:
        bundle = make_tiny_bundle(tmp_path / "bundle")
        first, second = (
            index / "generations" / add_generation(index, bundle, seed) / "bundle" for seed in (1, 2)
        )
        source_inode = (bundle.path / "image.onnx").stat().st_ino
        inodes = {(folder / "image.onnx").stat().st_ino for folder in (first, second)}
        assert len(inodes) == 1
        assert source_inode not in inodes
        # Writing into the operator's folder must not reach what serves.
        (bundle.path / "image.onnx").write_bytes(b"written over in place")
        assert verify(index, first.parent.name) == []

    def test_a_damaged_file_of_an_old_generation_is_not_linked(
        self, index: Path, tiny_bundle: Bundle
    ) -> None:
        first = add_generation(index, tiny_bundle, seed=1)
        damage(index / "generations" / first / "bundle" / "speech.onnx")
        second = add_generation(index, tiny_bundle, seed=2)
        assert verify(index, second) == []


class TestAsking:
    @pytest.mark.parametrize("row", [-1, COUNT])
    def test_rows_that_are_no_items_are_damage(
        self, index: Path, served: str, monkeypatch: pytest.MonkeyPatch, row: int
    ) -> None:
        """FAISS says -1 where vectors are not finite: in a mapped file, damaged while it serves."""
        generation = open_index(index)
        nothing = np.zeros((1, 1), np.float32), np.full((1, 1), row)
        with monkeypatch.context() as patch:
            patch.setitem(generation._indices, "images", SimpleNamespace(search=lambda *_: nothing))
            with pytest.raises(GenerationDamaged, match="rows that are no items"):
                generation.search("images", vectors_of(0, 1), 1)
        generation.close()

    def test_search_gives_the_nearest_with_their_ids(self, index: Path, served: str) -> None:
        generation = open_index(index)
        queries_QD = vectors_of(9, 3)
        expected = queries_QD @ vectors_of(0).T
        for hits, scores_N in zip(generation.search("captions", queries_QD, 4), expected, strict=True):
            rows = np.argsort(-scores_N)[:4].tolist()
            assert [hit.row for hit in hits] == rows
            assert [hit.id for hit in hits] == [item_id("captions", row) for row in rows]
            assert [hit.metadata["row"] for hit in hits] == rows
            np.testing.assert_allclose([hit.score for hit in hits], scores_N[rows], rtol=1e-5)
        generation.close()

    def test_k_beyond_the_collection(self, index: Path, served: str) -> None:
        generation = open_index(index)
        (hits,) = generation.search("images", vectors_of(9, 1), 10**9)
        assert sorted(hit.row for hit in hits) == list(range(COUNT))
        assert generation.search("images", vectors_of(9, 1)[:0], 5) == []
        generation.close()

    def test_many_threads_get_what_one_gets(self, index: Path, served: str) -> None:
        generation = open_index(index)
        queries = [vectors_of(seed, 2) for seed in range(40)]
        one_by_one = [generation.search("images", query, 5) for query in queries]
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(lambda query: generation.search("images", query, 5), queries)) == one_by_one
        generation.close()

    def test_an_item(self, index: Path, served: str) -> None:
        generation = open_index(index)
        item = generation.item("captions", item_id("captions", 3))
        assert (item.row, item.mime, item.seconds, item.width) == (3, "audio/wav", 1.5, None)
        assert item.metadata == {"row": 3, "seed": 0, "text": "ein Bär"}
        image = generation.item("images", item_id("images", 3))
        assert (image.seconds, image.width, image.height) == (None, 40, 30)
        np.testing.assert_array_equal(generation.vector("captions", item.id), vectors_of(0)[3])
        assert generation.thumbnail("captions", item.id) == (b"small", "image/webp")
        generation.close()

    @pytest.mark.parametrize(
        "unknown", ["", "nothing", "../../etc/passwd", "\ud800", "x" * 10_000, "a\0b", "'; --"]
    )
    def test_an_unknown_item(self, index: Path, served: str, unknown: str) -> None:
        generation = open_index(index)
        for ask in (generation.item, generation.media, generation.thumbnail, generation.vector):
            with pytest.raises(UnknownItem, match="There is no item") as caught:
                ask("images", unknown)
            assert len(str(caught.value)) < 250
        generation.close()

    def test_an_unknown_collection(self, index: Path, served: str) -> None:
        generation = open_index(index)
        with pytest.raises(UnknownCollection, match="has no 'videos': it has images and captions"):
            generation.search("videos", vectors_of(1, 1), 1)
        with pytest.raises(UnknownCollection):
            generation.items("items; DROP TABLE images", 1)
        generation.close()

    def test_no_thumbnail(self, index: Path, tiny_bundle: Bundle) -> None:
        promote(index, add_generation(index, tiny_bundle, thumbnails=False))
        generation = open_index(index)
        with pytest.raises(NoThumbnail):
            generation.thumbnail("images", item_id("images", 0))
        generation.close()

    def test_pages_hold_every_item_once_in_the_order_of_ids(self, index: Path, served: str) -> None:
        generation = open_index(index)
        for limit in (1, 5, COUNT, 100):
            found, cursor, pages = [], None, 0
            while True:
                page, cursor = generation.items("images", limit, cursor)
                found += [item.id for item in page]
                pages += 1
                if cursor is None:
                    break
            assert found == sorted(item_id("images", row) for row in range(COUNT))
            assert pages == -(-COUNT // limit)
        generation.close()

    def test_a_cursor_goes_on_in_the_next_generation(
        self, index: Path, tiny_bundle: Bundle, served: str
    ) -> None:
        old = open_index(index)
        page, cursor = old.items("images", 5)
        promote(index, add_generation(index, tiny_bundle, seed=3))
        new = open_index(index)
        rest, none = new.items("images", 100, cursor)
        assert [item.id for item in page + rest] == [item.id for item in old.items("images", 100)[0]]
        assert none is None
        old.close()
        new.close()

    @pytest.mark.parametrize("cursor", ["%%%", "é", "a", "_w", "x" * 5000])
    def test_a_cursor_of_nobody(self, index: Path, served: str, cursor: str) -> None:
        generation = open_index(index)
        with pytest.raises(BadCursor, match="is none of this index"):
            generation.items("images", 5, cursor)
        generation.close()

    def test_closed(self, index: Path, served: str) -> None:
        generation = open_index(index)
        generation.close()
        with pytest.raises(GenerationClosed):
            generation.item("images", "x")
        with pytest.raises(ann.AnnError, match="was closed"):
            generation.search("images", vectors_of(0, 1), 1)
        generation.close()

    def test_closing_waits_for_those_who_ask(self, index: Path, served: str) -> None:
        generation = open_index(index)
        stop, faults = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                try:
                    generation.items("images", 3)
                except GenerationClosed:
                    return
                except Exception as error:  # noqa: BLE001  any other one is what is looked for
                    faults.append(error)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        generation.close()
        stop.set()
        for thread in threads:
            thread.join(timeout=120)
            assert not thread.is_alive()
        assert faults == []


class TestMedia:
    def test_where_the_bytes_are(self, index: Path, served: str) -> None:
        generation = open_index(index)
        path, offset, size_bytes, mime = generation.media("images", item_id("images", 4))
        assert (path.read_bytes(), offset, size_bytes, mime) == (b"images 4", 0, 8, "image/png")
        generation.close()

    @pytest.mark.parametrize(
        "change", ["deleted", "longer", "same length", "folder in its place", "unreadable name"]
    )
    def test_gone_or_changed(self, index: Path, served: str, change: str) -> None:
        generation = open_index(index)
        path = index.parent / "media" / "images-4.bin"
        path.unlink()
        if change == "longer":
            path.write_bytes(b"images 4 and more")
        elif change == "same length":
            path.write_bytes(b"IMAGES 4")
        elif change == "folder in its place":
            path.mkdir()
        elif change == "unreadable name":
            path.symlink_to(path)
        with pytest.raises(MediaGone, match="build"):
            generation.media("images", item_id("images", 4))
        assert str(index.parent) not in _message(generation, item_id("images", 4))
        generation.close()

    def test_a_copy_of_another_time_is_the_same_media(self, index: Path, served: str) -> None:
        generation = open_index(index)
        path = index.parent / "media" / "images-4.bin"
        os.utime(path, ns=(1, 1))
        for _ in range(2):
            assert generation.media("images", item_id("images", 4)).path == path
        path.write_bytes(b"IMAGES 4")
        os.utime(path, ns=(2, 2))
        with pytest.raises(MediaGone):
            generation.media("images", item_id("images", 4))
        generation.close()

    def test_index_and_media_moved_together(self, index: Path, served: str, tmp_path: Path) -> None:
        moved = tmp_path / "moved"
        moved.mkdir()
        shutil.move(index, moved / "index")
        shutil.move(tmp_path / "media", moved / "media")
        generation = open_index(moved / "index")
        assert (
            generation.media("images", item_id("images", 4)).path.resolve()
            == moved / "media" / "images-4.bin"
        )
        generation.close()

    def test_a_slice_of_a_shard(self, index: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
        shard = tmp_path / "shards" / "0.tar"
        shard.parent.mkdir()
        shard.write_bytes(b"....media....")
        item = Item(
            id="one",
            row=0,
            sha256=hashlib.sha256(b"media").hexdigest(),
            mime="image/png",
            location=Location(shard, 4, 5),
            modified_ns=0,
            seconds=None,
            width=1,
            height=1,
            metadata={},
        )
        with sole_builder(index), GenerationWriter(index, tiny_bundle) as writer:
            writer.items.add("images", item, shard.parent, None)
            length_bytes = writer.add_index("images", ann.build("flat", vectors_of(0, 1)))
            part = CollectionManifest(
                1, DIM, "flat", {}, 1.0, 1, length_bytes, {}, "x", str(shard.parent), "../shards"
            )
            promote(index, writer.commit({"images": part}))
        generation = open_index(index)
        assert tuple(generation.media("images", "one")) == (shard, 4, 5, "image/png")
        with pytest.raises(UnknownCollection, match="it has images"):
            generation.search("captions", vectors_of(0, 1), 1)
        shard.write_bytes(b"....MEDIA....")
        with pytest.raises(MediaGone):
            generation.media("images", "one")
        generation.close()


def _message(generation: Generation, name: str) -> str:
    with pytest.raises(MediaGone) as caught:
        generation.media("images", name)
    return str(caught.value)


FILES = ("images.faiss", "captions.faiss", "items.sqlite", "bundle/speech.onnx", "bundle/golden/vectors.npz")


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_an_altered_file_is_seen_by_open_verify_and_promote(
        self, index: Path, served: str, tiny_bundle: Bundle, name: str
    ) -> None:
        damage(index / "generations" / served / name)
        assert verify(index, served) == [f"{name} was altered after the build"]
        with pytest.raises(GenerationDamaged, match=f"{name} was altered"):
            open_index(index, served)
        with pytest.raises(GenerationDamaged, match=f"{name} was altered"):
            promote(index, served)

    @pytest.mark.parametrize("name", [*FILES, "bundle/manifest.json", "manifest.json"])
    def test_a_missing_or_shortened_file_too(self, index: Path, served: str, name: str) -> None:
        path = index / "generations" / served / name
        data = path.read_bytes()
        path.unlink()
        assert verify(index, served)
        with pytest.raises(GenerationDamaged, match=Path(name).name):
            open_index(index, served)
        path.write_bytes(data[:-5])
        assert verify(index, served)
        with pytest.raises(GenerationDamaged):
            open_index(index, served)

    def test_every_byte_of_the_items_counts(self, index: Path, served: str) -> None:
        path = index / "generations" / served / "items.sqlite"
        whole = path.read_bytes()
        path.chmod(0o644)
        for at in np.random.default_rng(0).integers(0, len(whole), 20).tolist():
            damaged = bytearray(whole)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            assert verify(index, served) == ["items.sqlite was altered after the build"]

    def test_a_stray_file_is_told_and_harmless(self, index: Path, served: str) -> None:
        (index / "generations" / served / "notes.txt").write_text("hello")
        assert verify(index, served) == ["notes.txt is not one of its files"]
        open_index(index, served).close()

    def test_an_index_built_with_another_bundle(self, index: Path, served: str, tmp_path: Path) -> None:
        other = make_tiny_bundle(tmp_path / "other", seed=5)
        folder = index / "generations" / served / "bundle"
        shutil.rmtree(folder)
        shutil.copytree(other.path, folder)
        with pytest.raises(FingerprintMismatch, match=other.fingerprint[:12]):
            open_index(index, served)
        assert other.fingerprint[:12] in verify(index, served)[0] or "altered" in verify(index, served)[0]
        with pytest.raises(FingerprintMismatch):
            promote(index, served)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda document: document.pop("fingerprint"), "fingerprint should be str and is missing"),
            (
                lambda document: document.update(schema_version=99),
                "schema_version 99 and this SaySee reads 1",
            ),
            (
                lambda document: document.update(id="20200101T000000-000000"),
                "holds the manifest of generation",
            ),
            (
                lambda document: document["collections"]["images"].update(count="12"),
                "collections.images.count",
            ),
            (lambda document: document.update(files=[]), "files should be dict"),
            (lambda document: document["files"].pop("items.sqlite"), "items.sqlite has no digest"),
            (lambda document: document["collections"]["images"].update(count=11), "11 by its manifest"),
        ],
    )
    def test_a_manifest_that_is_wrong(self, index: Path, served: str, change: object, says: str) -> None:
        path = index / "generations" / served / "manifest.json"
        document = json.loads(path.read_text())
        assert callable(change)
        change(document)
        path.unlink()
        path.write_text(json.dumps(document))
        with pytest.raises(GenerationDamaged, match=says):
            open_index(index, served)
        assert says in "".join(verify(index, served))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null"])
    def test_a_manifest_that_is_none(self, index: Path, served: str, text: str) -> None:
        path = index / "generations" / served / "manifest.json"
        path.unlink()
        path.write_text(text)
        with pytest.raises(GenerationDamaged):
            open_index(index, served)
        (listed,) = list_generations(index)
        assert listed.manifest is None
        assert listed.problem is not None

    def test_a_database_that_is_none_is_named_even_unverified(self, index: Path, served: str) -> None:
        path = index / "generations" / served / "items.sqlite"
        path.unlink()
        path.write_bytes(b"no database" * 500)
        with pytest.raises(GenerationDamaged, match=r"items\.sqlite cannot be read"):
            open_index(index, served, verify=False)

    def test_items_and_index_of_different_builds(self, index: Path, served: str) -> None:
        """The digests are those of the files, and yet they do not belong together."""
        folder = index / "generations" / served
        ann.build("flat", vectors_of(0, COUNT - 1)).write(folder / "fewer.faiss")
        os.replace(folder / "fewer.faiss", folder / "images.faiss")
        with pytest.raises(GenerationDamaged, match=r"12 by its manifest, 11 by its index, 12 by its items"):
            open_index(index, served, verify=False)


class TestCurrent:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFound, match=r"python -m indexer build"):
            open_index(tmp_path / "nowhere")

    def test_nothing_promoted(self, index: Path, tiny_bundle: Bundle) -> None:
        generation = add_generation(index, tiny_bundle)
        with pytest.raises(IndexNotFound, match=f"python -m indexer promote {generation}"):
            open_index(index)
        open_index(index, generation).close()

    @pytest.mark.parametrize("name", ["20200101T000000-000000", "../../etc", "", "x" * 999])
    def test_an_unknown_generation(self, index: Path, served: str, name: str) -> None:
        for ask in (
            lambda: open_index(index, name),
            lambda: promote(index, name),
            lambda: verify(index, name),
        ):
            with pytest.raises(UnknownGeneration, match=f"it has {served}"):
                ask()

    def test_a_bad_newest_falls_back_loudly(
        self, index: Path, tiny_bundle: Bundle, served: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        newest = add_generation(index, tiny_bundle, seed=1)
        promote(index, newest)
        damage(index / "generations" / newest / "images.faiss")
        generation = open_index(index)
        assert generation.id == served
        assert generation.degraded is not None
        assert newest in generation.degraded
        assert "images.faiss was altered" in generation.degraded
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert current_generation(index) == newest
        generation.close()

    @pytest.mark.parametrize(
        "text", ["", "garbage\n", "20200101T000000-000000\n", "../../../etc\n", "\x00\xff"]
    )
    def test_a_bad_pointer_falls_back_too(self, index: Path, served: str, text: str) -> None:
        (index / "CURRENT").write_text(text, encoding="latin-1")
        generation = open_index(index)
        assert generation.id == served
        generation.close()

    def test_all_bad(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        newest = add_generation(index, tiny_bundle, seed=1)
        promote(index, newest)
        for name in (served, newest):
            damage(index / "generations" / name / "images.faiss")
        with pytest.raises(GenerationDamaged, match=newest):
            open_index(index)

    def test_a_sound_start_is_not_degraded(self, index: Path, served: str) -> None:
        generation = open_index(index)
        assert (generation.id, generation.degraded) == (served, None)
        generation.close()

    def test_whoever_reads_it_meanwhile_sees_one_or_the_other(
        self, index: Path, tiny_bundle: Bundle, served: str
    ) -> None:
        pair = (served, add_generation(index, tiny_bundle, seed=1))
        stop, seen = threading.Event(), set()

        def read() -> None:
            while not stop.is_set():
                seen.add((index / "CURRENT").read_text())

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(1, 21):
            promote(index, pair[turn % 2])
        stop.set()
        reader.join()
        assert seen <= {f"{one}\n" for one in pair}
        assert not list(index.glob(".CURRENT*"))

    def test_one_after_the_other_back_again(self, index: Path, tiny_bundle: Bundle) -> None:
        first, second, third = (add_generation(index, tiny_bundle, seed) for seed in (1, 2, 3))
        assert promote(index, first).previous is None
        assert promote(index, second).previous == first
        assert promote(index, third).previous == second
        assert (rollback(index).generation, current_generation(index)) == (second, second)
        assert rollback(index).generation == first
        with pytest.raises(NothingToRollBack, match=f"before {first}: `python -m indexer list"):
            rollback(index)
        assert current_generation(index) == first
        promote(index, third)
        assert rollback(index).generation == first

    def test_promoted_twice_is_promoted_once(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        second = add_generation(index, tiny_bundle, seed=1)
        promote(index, second)
        promote(index, second)
        assert rollback(index).generation == served

    def test_promoted_again_later_does_not_come_back_twice(self, index: Path, tiny_bundle: Bundle) -> None:
        first, second = (add_generation(index, tiny_bundle, seed) for seed in (1, 2))
        for one in (first, second, first):
            promote(index, one)
        assert rollback(index).generation == second
        with pytest.raises(NothingToRollBack):
            rollback(index)

    def test_nothing_sound_to_roll_back_to_is_one_sentence(
        self, index: Path, tiny_bundle: Bundle, served: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        second = add_generation(index, tiny_bundle, seed=1)
        promote(index, second)
        damage(index / "generations" / served / "items.sqlite")
        with pytest.raises(
            NothingToRollBack, match=rf"before {second} \(damaged, gone or out of reach: {served}\): "
        ):
            rollback(index)
        assert caplog.records == []

    def test_rollback_passes_over_what_is_damaged_or_gone(
        self, index: Path, tiny_bundle: Bundle, caplog: pytest.LogCaptureFixture
    ) -> None:
        four = [add_generation(index, tiny_bundle, seed) for seed in range(4)]
        for one in four:
            promote(index, one)
        shutil.rmtree(index / "generations" / four[1])
        damage(index / "generations" / four[2] / "items.sqlite")
        assert rollback(index).generation == four[0]
        told = [record.getMessage() for record in caplog.records]
        assert [one in line for one, line in zip((four[2], four[1]), told, strict=True)] == [True, True]

    def test_killed_between_pointer_and_log(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        second = add_generation(index, tiny_bundle, seed=1)
        (index / "CURRENT").write_text(f"{second}\n")  # and the process died before its line was whole
        with (index / "promotions.jsonl").open("a") as log:
            log.write('{"at": "2026-11-21T06:1')
        third = add_generation(index, tiny_bundle, seed=2)
        promote(index, third)
        lines = (index / "promotions.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["previous"] == second
        assert rollback(index).generation == served

    def test_promoting_from_several_processes_at_once(self, index: Path, tiny_bundle: Bundle) -> None:
        many = [add_generation(index, tiny_bundle, seed) for seed in range(3)]
        with ThreadPoolExecutor(
            3
        ) as pool:  # flock keeps threads apart like processes: each opens its own file
            list(pool.map(lambda one: promote(index, one), many * 5))
        entries = [json.loads(line) for line in (index / "promotions.jsonl").read_text().splitlines()]
        assert entries[-1]["generation"] == current_generation(index)
        for before, after in itertools.pairwise(entries):
            assert after["previous"] == before["generation"]


class TestFind:
    def test_by_id_and_by_words(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        second = add_generation(index, tiny_bundle, seed=1)
        found = {name: find_generation(index, name) for name in ("newest", "current", served, second)}
        assert found == {"newest": second, "current": served, served: served, second: second}

    def test_what_is_not_there(self, index: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFound, match="There is no index at"):
            find_generation(index, "newest")
        with sole_builder(index):
            pass
        for word in ("newest", "current"):
            with pytest.raises(IndexNotFound, match="has no generation: build one"):
                find_generation(index, word)
        only = add_generation(index, tiny_bundle)
        with pytest.raises(IndexNotFound, match=f"is promoted: `python -m indexer promote {only}"):
            find_generation(index, "current")
        with pytest.raises(UnknownGeneration, match=f"no generation 'latest': it has {only}"):
            find_generation(index, "latest")


class TestPrune:
    def test_keeps_current_and_the_way_back_then_the_newest(self, index: Path, tiny_bundle: Bundle) -> None:
        six = [add_generation(index, tiny_bundle, seed) for seed in range(6)]
        for number in (0, 2, 3):
            promote(index, six[number])
        pruned = prune(index, keep=3)
        assert pruned.deleted == (six[4], six[1], six[0])
        assert pruned.kept == (six[3], six[2], six[5])
        assert (pruned.current, pruned.rollback) == (six[3], six[2])
        assert [one.id for one in list_generations(index)] == [six[5], six[3], six[2]]
        assert prune(index, keep=2).deleted == (six[5],)
        assert rollback(index).generation == six[2]

    def test_what_cannot_be_served_goes_before_what_can(self, index: Path, tiny_bundle: Bundle) -> None:
        four = [add_generation(index, tiny_bundle, seed) for seed in range(4)]
        promote(index, four[0])
        os.truncate(index / "generations" / four[3] / "images.faiss", 10)
        (index / "generations" / four[2] / "manifest.json").write_text("{}")
        assert prune(index, keep=2).kept == (four[0], four[1])

    def test_the_way_back_goes_only_when_that_is_said(self, index: Path, tiny_bundle: Bundle) -> None:
        three = [add_generation(index, tiny_bundle, seed) for seed in range(3)]
        for number in (0, 1):
            promote(index, three[number])
        with pytest.raises(RollbackLost, match=f"Keeping 1 would delete {three[0]}, which a rollback"):
            prune(index, keep=1)
        assert [one.id for one in list_generations(index)] == three[::-1]
        pruned = prune(index, keep=1, drop_rollback=True)
        assert (pruned.deleted, pruned.kept) == ((three[0], three[2]), (three[1],))
        assert (pruned.current, pruned.rollback) == (three[1], None)
        assert prune(index, keep=1).deleted == ()
        with pytest.raises(ValueError, match="cannot be less than 1"):
            prune(index, keep=0)
        open_index(index).close()

    def test_where_nothing_was_promoted_the_newest_stay(self, index: Path, tiny_bundle: Bundle) -> None:
        three = [add_generation(index, tiny_bundle, seed) for seed in range(3)]
        pruned = prune(index, keep=1)
        assert (pruned.kept, pruned.current, pruned.rollback) == ((three[2],), None, None)

    def test_what_serves_in_place_of_one_that_is_gone_stays(
        self, index: Path, tiny_bundle: Bundle, served: str
    ) -> None:
        second = add_generation(index, tiny_bundle, seed=1)
        promote(index, second)
        shutil.rmtree(index / "generations" / second)
        newest = add_generation(index, tiny_bundle, seed=2)
        pruned = prune(index, keep=1)
        assert (pruned.kept, pruned.deleted, pruned.current) == ((served,), (newest,), served)

    def test_a_deleted_generation_serves_to_its_end(
        self, index: Path, tiny_bundle: Bundle, served: str
    ) -> None:
        generation = open_index(index)
        promote(index, add_generation(index, tiny_bundle, seed=1))
        assert prune(index, keep=1, drop_rollback=True).deleted == (served,)
        assert not generation.folder.exists()
        with ThreadPoolExecutor(16) as pool:
            pages = list(pool.map(lambda _: generation.items("images", 100)[0], range(50)))
        assert all(len(page) == COUNT for page in pages)
        assert generation.search("captions", vectors_of(0)[:1], 1)[0][0].row == 0
        generation.close()

    def test_vectors_of_models_in_use_stay(self, index: Path, tiny_bundle: Bundle, served: str) -> None:
        for name in (tiny_bundle.fingerprint, "0" * 64):
            (index / "embeddings" / name).mkdir(parents=True)
        assert prune(index).embeddings == ()
        assert len(list((index / "embeddings").iterdir())) == 2
        assert prune(index, embeddings=True).embeddings == ("0" * 64,)
        assert [path.name for path in (index / "embeddings").iterdir()] == [tiny_bundle.fingerprint]


def test_awkward_names_of_the_index_itself(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """SQLite is asked by URI, where these characters mean something."""
    index = tmp_path / "an index? #1 50%20 ä" / "x"
    promote(index, add_generation(index, tiny_bundle))
    generation = open_index(index)
    assert len(generation.items("images", 100)[0]) == COUNT
    generation.close()


def test_nothing_can_be_written_through_a_generation(index: Path, served: str) -> None:
    generation = open_index(index)
    with generation._items._lease() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM images")
    generation.close()
