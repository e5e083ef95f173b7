"""The rebuild on real media with a tiny model: what it indexes and leaves out, and what cannot break it."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.build import BuildError, build
from indexer.bundle import Bundle, BundleError
from indexer.corpus import CorpusError, CorpusItem, FolderCorpus
from indexer.durable import DiskFull
from indexer.embeddings import Embeddings
from indexer.encoder import Encoder, EncoderError
from indexer.ingest import WINDOW, ingest
from indexer.media import MediaLimits, Pixels, decode_image, decode_speech
from indexer.progress import Stage
from indexer.store import (
    BuildConflict,
    Skipped,
    current_generation,
    list_generations,
    open_index,
    sole_builder,
    verify,
)
from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.pairs import Pairs, make_pairs
from tests.fixtures.tiny_bundle import make_tiny_bundle


def counts(index: Path, bundle: Bundle) -> dict[str, int]:
    """How many embeddings are kept."""
    kept = {}
    for modality in ("image", "speech"):
        with Embeddings(index / "embeddings" / bundle.fingerprint, modality, bundle.manifest.dim) as one:
            kept[modality] = len(one)
    return kept


class TestWhatIsBuilt:
    def test_everything_is_there_and_is_what_the_encoder_gives(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle
    ) -> None:
        report = build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
        assert report.promoted
        assert report.previous is None
        assert report.provider == "CPUExecutionProvider"
        for name in ("images", "captions"):
            part = report.collections[name]
            assert (part.count, part.new, part.reused, part.skipped, part.recall_at_10) == (6, 6, 0, {}, 1.0)
        encoder, media = Encoder(tiny_bundle), tiny_bundle.manifest.media
        generation = open_index(index)
        assert generation.id == report.generation
        for n in range(6):
            picture, clip = pairs.images / f"img-{n:04d}.png", pairs.images.parent / "speech" / f"{n}.wav"
            image_D = encoder.image([decode_image(picture.read_bytes(), media)])[0]
            speech_D = encoder.speech([decode_speech(clip.read_bytes(), media)])[0]
            np.testing.assert_allclose(generation.vector("images", f"img-{n:04d}"), image_D, atol=1e-5)
            np.testing.assert_allclose(generation.vector("captions", f"cap-{n:04d}"), speech_D, atol=1e-5)
            assert generation.search("images", image_D[None], 1)[0][0].id == f"img-{n:04d}"
            assert generation.search("captions", speech_D[None], 1)[0][0].id == f"cap-{n:04d}"
            assert generation.media("images", f"img-{n:04d}").path == picture
            assert generation.media("captions", f"cap-{n:04d}").path == clip
        generation.close()

    def test_items_say_what_was_found(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
        generation = open_index(index)
        image, caption = generation.item("images", "img-0002"), generation.item("captions", "cap-0002")
        assert (image.mime, image.width, image.height, image.seconds) == ("image/png", 64, 48, None)
        assert (caption.mime, caption.width) == ("audio/wav", None)
        assert caption.seconds == pytest.approx(0.3)
        assert caption.metadata == {"image_id": "img-0002", "text": "number 2"}
        for collection, item_id in (("images", "img-0002"), ("captions", "cap-0002")):
            data, mime = generation.thumbnail(collection, item_id)
            assert (data[:4], data[8:12], mime) == (b"RIFF", b"WEBP", "image/webp")
        manifest = generation.manifest.collections["captions"]
        assert (manifest.kind, manifest.recall_at_10, manifest.recall_sample) == ("flat", 1.0, 6)
        assert manifest.root == str(pairs.captions.parent)
        generation.close()

    def test_what_cannot_be_used_is_counted_with_its_reason(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle
    ) -> None:
        clip = make_wav(0.5)
        bad = {
            "truncated.png": make_png(99)[:120],
            "empty.png": b"",
            "words.png": b"only words",
            "large.png": make_png(98, width=400, height=400) + b"\0" * 30_000,
        }
        for name, data in bad.items():
            (pairs.images / name).write_bytes(data)
        speech = pairs.captions.parent / "speech"
        (speech / "silent.wav").write_bytes(clip[:44] + bytes(len(clip) - 44))
        (speech / "short.wav").write_bytes(make_wav(0.05))
        with pairs.captions.open("a") as lines:
            for path in ("speech/silent.wav", "speech/short.wav", "speech/none.wav", "images/img-0000.png"):
                lines.write(f'{{"path": "{path}"}}\n')
            lines.write("no json\n")
        report = build(
            tiny_bundle.path,
            index,
            images=pairs.images,
            captions=pairs.captions,
            limits=MediaLimits(max_bytes=30_000),
        )
        skipped = {
            name: {reason: one.count for reason, one in part.skipped.items()}
            for name, part in report.collections.items()
        }
        assert skipped["images"] == {"undecodable": 1, "empty file": 1, "not an image": 1, "too large": 1}
        assert skipped["captions"] == {
            "silent": 1, "too short": 1, "missing file": 1, "not a recording": 1, "bad line": 1,
        }  # fmt: skip
        assert {part.count for part in report.collections.values()} == {6}
        manifest = list_generations(index)[0].manifest
        assert manifest is not None
        assert manifest.collections["captions"].skipped["bad line"].examples[0].startswith("line 11")
        assert manifest.collections["images"].skipped["undecodable"].examples[0].startswith("truncated: ")

    def test_one_collection_alone(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        build(tiny_bundle.path, index, captions=pairs.captions, promote_it=True)
        generation = open_index(index)
        assert list(generation.manifest.collections) == ["captions"]
        assert generation.manifest.collections["captions"].recall_at_10 == 1.0
        generation.close()

    def test_stages_are_told(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        (pairs.images / "words.txt").write_bytes(b"words")
        told = Told()
        build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, progress=told)
        assert [title for title, *_ in told.stages] == [
            "checking bundle and sources",
            "images: vectors",
            "captions: vectors",
            "images: flat index",
            "captions: flat index",
            "map of the joint space",
            "writing the generation",
        ]
        assert told.stages[1][1:] == [7, 7, "6 embedded now, 0 reused"]
        assert told.stages[2][1:] == [6, 6, "6 embedded now, 0 reused"]
        make_pairs(pairs.images.parent, 1, first=6)
        again = Told()
        build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, progress=again)
        assert again.stages[2][1:] == [7, 7, "1 embedded now, 6 reused"]

    def test_only_lines_that_say_so(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        images = pairs.images.parent / "images.jsonl"
        images.write_text(
            "".join(f'{{"path": "images/img-{n:04d}.png", "text": "number {n % 2}"}}\n' for n in range(6))
        )
        only = {"text": ["number 1", "number 5"]}
        report = build(
            tiny_bundle.path, index, images=images, captions=pairs.captions, only=only, promote_it=True
        )
        counts = {name: (part.count, part.skipped) for name, part in report.collections.items()}
        reason, examples = "not text=number 1 or number 5", ("line 1", "line 3", "line 5")
        assert counts["images"] == (3, {reason: Skipped(3, examples)})
        assert counts["captions"] == (2, {reason: Skipped(4, ("line 1", "line 3", "line 4", "line 5"))})
        assert list_generations(index)[0].manifest.collections["images"].skipped[reason].count == 3  # type: ignore[union-attr]


class Told:
    """Keeps title, total, how far each stage came, and what was noted last."""

    def __init__(self) -> None:
        self.stages: list[list[object]] = []

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]:
        return self._stage(title, total)

    @contextmanager
    def _stage(self, title: str, total: int | None) -> Iterator[Stage]:
        entry: list[object] = [title, total, 0, ""]
        self.stages.append(entry)

        class One:
            def reach(self, done: int, note: str = "") -> None:
                entry[2:] = done, note

        yield One()


class TestIncremental:
    def new_and_reused(self, bundle: Bundle, index: Path, pairs: Pairs) -> list[tuple[int, int]]:
        report = build(bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
        return [(part.new, part.reused) for part in report.collections.values()]

    def test_only_what_is_new_is_embedded(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        assert self.new_and_reused(tiny_bundle, index, pairs) == [(6, 0), (6, 0)]
        assert self.new_and_reused(tiny_bundle, index, pairs) == [(0, 6), (0, 6)]
        make_pairs(pairs.images.parent, 2, first=6)
        assert self.new_and_reused(tiny_bundle, index, pairs) == [(2, 6), (2, 6)]

    def test_known_media_serve_as_well_as_new(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        self.new_and_reused(tiny_bundle, index, pairs)
        first = open_index(index)
        self.new_and_reused(tiny_bundle, index, pairs)
        second = open_index(index)
        assert first.id != second.id
        for collection in ("images", "captions"):
            assert first.items(collection, 100) == second.items(collection, 100)
            for item in first.items(collection, 100)[0]:
                np.testing.assert_array_equal(
                    first.vector(collection, item.id), second.vector(collection, item.id)
                )
                assert first.thumbnail(collection, item.id) == second.thumbnail(collection, item.id)
        first.close()
        second.close()

    def test_content_counts_and_not_the_name(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        self.new_and_reused(tiny_bundle, index, pairs)
        (pairs.images / "img-0000.png").rename(pairs.images / "renamed.png")
        (pairs.images / "img-0001.png").write_bytes(make_png(77))
        assert self.new_and_reused(tiny_bundle, index, pairs)[0] == (1, 5)

    def test_the_same_bytes_twice_are_embedded_once(
        self, index: Path, tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        """Near enough to be in one window, in the next, and beyond what is read ahead."""
        images = tmp_path / "images"
        images.mkdir()
        for n in range(3 * WINDOW):
            (images / f"{n:04d}.png").write_bytes(make_png(n % 5 if n < 6 or n > 2 * WINDOW else n))
        report = build(tiny_bundle.path, index, images=images)
        unique = len({path.read_bytes() for path in images.iterdir()})
        assert report.collections["images"].new == unique < 3 * WINDOW
        assert report.collections["images"].count == 3 * WINDOW

    def test_another_model_embeds_anew_and_the_first_comes_back(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        other = make_tiny_bundle(tmp_path / "other", seed=3)
        assert self.new_and_reused(tiny_bundle, index, pairs)[0] == (6, 0)
        assert self.new_and_reused(other, index, pairs)[0] == (6, 0)
        assert self.new_and_reused(tiny_bundle, index, pairs)[0] == (0, 6)
        shutil.rmtree(index / "embeddings")
        assert self.new_and_reused(tiny_bundle, index, pairs)[0] == (6, 0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            ({}, BuildError, "name images, captions or both"),
            ({"images": "nowhere"}, CorpusError, "nowhere does not exist"),
            ({"images": "IMAGES", "kind": "hnsw"}, BuildError, "there is flat"),
            ({"images": "IMAGES", "engine": "ray"}, BuildError, "there is local"),
            (
                {"captions": "IMAGES"},
                BuildError,
                r"Nothing in .* as captions \(6 not a recording; for example img",
            ),
            ({"images": "EMPTY"}, BuildError, "holds nothing to index as images"),
            ({"images": "BROKEN"}, BuildError, r"Nothing in .* as images \(1 undecodable; for example one: "),
        ],
    )
    def test_what_cannot_be_built(
        self,
        index: Path,
        pairs: Pairs,
        tiny_bundle: Bundle,
        tmp_path: Path,
        arguments: dict[str, str],
        error: type[Exception],
        says: str,
    ) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "one.png").write_bytes(make_png(1)[:120])
        places = {name.upper(): str(tmp_path / name) for name in ("empty", "broken")}
        places["IMAGES"] = str(pairs.images)
        with pytest.raises(error, match=says):
            build(tiny_bundle.path, index, **{key: places.get(one, one) for key, one in arguments.items()})  # type: ignore[arg-type]
        assert not index.exists()

    def test_a_refusal_leaves_an_index_that_is_there_as_it_was(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        build(tiny_bundle.path, index, captions=pairs.captions)
        before = sorted(index.rglob("*"))
        (tmp_path / "empty").mkdir()
        other = make_tiny_bundle(tmp_path / "other", seed=3)
        with pytest.raises(BuildError, match="holds nothing to index as captions"):
            build(other.path, index, images=pairs.images, captions=tmp_path / "empty")
        assert sorted(index.rglob("*")) == before

    def test_all_that_is_wrong_is_told_at_once(self, index: Path, pairs: Pairs, tmp_path: Path) -> None:
        with pytest.raises(ExceptionGroup) as refused:
            build(tmp_path / "none", index, images=tmp_path / "x", captions=pairs.captions, only={"a": ["b"]})
        kinds = [type(one) for one in refused.value.exceptions]
        assert kinds == [BundleError, CorpusError, CorpusError]
        told = [str(one) for one in refused.value.exceptions]
        assert [f"{tmp_path / 'none'} is not a model bundle" in told[0], "x does not exist" in told[1]] == [
            True
        ] * 2
        assert "has the key 'a': there are image_id, text." in told[2]
        assert not index.exists()

    def test_an_altered_bundle(self, index: Path, pairs: Pairs, tmp_path: Path) -> None:
        bundle = make_tiny_bundle(tmp_path / "bundle")
        with (bundle.path / "image.onnx").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\x01")
        with pytest.raises(BundleError, match=r"image\.onnx was altered"):
            build(bundle.path, index, images=pairs.images)
        assert not index.exists()

    def test_a_second_build_at_once(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        with sole_builder(index), pytest.raises(BuildConflict, match="Another build or prune"):
            build(tiny_bundle.path, index, images=pairs.images)

    def test_not_promoted_unless_asked(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        report = build(tiny_bundle.path, index, images=pairs.images)
        assert not report.promoted
        assert current_generation(index) is None


class TestIngest:
    def run(
        self, corpus: FolderCorpus, index: Path, encoder: Encoder, limits: MediaLimits | None = None
    ) -> list[str]:
        with Embeddings(index, "image", encoder.dim) as kept:
            found = ingest(corpus, kept, encoder, threads=2, limits=limits or MediaLimits())
            return [one.item.id for one in found]

    def test_an_input_the_encoder_refuses_does_not_take_others_along(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle
    ) -> None:
        bad = decode_image((pairs.images / "img-0003.png").read_bytes(), tiny_bundle.manifest.media)
        corpus = FolderCorpus(pairs.images, "image")
        names = self.run(corpus, index, Picky(tiny_bundle, [bad]))
        assert names == [f"img-{n:04d}" for n in (0, 1, 2, 4, 5)]
        assert corpus.skips.counts == {"not encodable": 1}
        assert corpus.skips.examples["not encodable"] == ["img-0003: no vector for this one"]

    def test_an_encoder_that_refuses_all_ends_it(
        self, index: Path, pairs: Pairs, tiny_bundle: Bundle
    ) -> None:
        media = tiny_bundle.manifest.media
        every = [decode_image(path.read_bytes(), media) for path in pairs.images.iterdir()]
        with pytest.raises(EncoderError):
            self.run(FolderCorpus(pairs.images, "image"), index, Picky(tiny_bundle, every))

    def test_a_file_that_vanishes_meanwhile(self, index: Path, pairs: Pairs, tiny_bundle: Bundle) -> None:
        corpus = Vanishing(pairs.images, "image")
        assert len(self.run(corpus, index, Encoder(tiny_bundle, threads=1))) == 5
        assert corpus.skips.counts == {"unreadable file": 1}

    def test_what_is_held_at_once_is_bounded(self, index: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
        images = tmp_path / "many"
        images.mkdir()
        for n in range(5 * WINDOW):
            (images / f"{n:04d}.png").write_bytes(make_png(n, width=8, height=8))
        corpus = Counting(images, "image")
        with Embeddings(index, "image", tiny_bundle.manifest.dim) as kept:
            encoder = Encoder(tiny_bundle, threads=1)
            for number, _ in enumerate(ingest(corpus, kept, encoder, threads=2, limits=MediaLimits())):
                assert corpus.given <= number + 1 + 3 * WINDOW
        assert corpus.given == 5 * WINDOW


class Picky(Encoder):
    """Fails on any batch that holds one of certain pictures, as a graph does that gives NaN for them."""

    def __init__(self, bundle: Bundle, refused: list[Pixels]) -> None:
        self._refused = [one.array for one in refused]
        super().__init__(bundle, threads=1, check_golden=False)

    def image(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        for one in pictures:
            if any(np.array_equal(one.array, refused) for refused in self._refused):
                raise EncoderError("no vector for this one")
        return super().image(pictures)


class Vanishing(FolderCorpus):
    """Deletes the third file after it was found."""

    def __iter__(self) -> Iterator[CorpusItem]:
        for number, item in enumerate(super().__iter__()):
            if number == 2:
                item.location.path.unlink()
            yield item


class Counting(FolderCorpus):
    """Counts the items taken from it."""

    given = 0

    def __iter__(self) -> Iterator[CorpusItem]:
        for item in super().__iter__():
            self.given += 1
            yield item


KILLED_BUILD = """
import os, signal, sys
from indexer.build import build

bundle, index, images, captions, limit = sys.argv[1:]
seen = 0

def count(event, arguments):
    global seen
    if event.startswith(("os.", "sqlite3.", "fcntl.", "shutil.")) or event == "open":
        seen += 1
        if seen == int(limit):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
report = build(bundle, index, images=images, captions=captions, promote_it=True, threads=2)
print(seen)
"""


@pytest.mark.slow
def test_killed_at_any_moment_what_serves_is_untouched_and_the_next_build_goes_on(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """kill -9 at one of the hundreds of times that the build opens, renames, links or locks something."""
    index = tmp_path / "index"
    small, large = make_pairs(tmp_path / "small", 4), make_pairs(tmp_path / "large", 2 * WINDOW + 10)
    served = build(
        tiny_bundle.path, index, images=small.images, captions=small.captions, promote_it=True
    ).generation

    def start(target: Path, limit: int) -> subprocess.CompletedProcess[str]:
        sources = [str(large.images), str(large.captions)]
        command = [
            sys.executable,
            "-c",
            KILLED_BUILD,
            str(tiny_bundle.path),
            str(target),
            *sources,
            str(limit),
        ]
        return subprocess.run(command, capture_output=True, text=True)

    whole = start(tmp_path / "elsewhere", -1)
    assert whole.returncode == 0, whole.stderr
    moments = int(whole.stdout)
    seed = int(np.random.default_rng().integers(1 << 30))
    random = np.random.default_rng(seed)
    # Anywhere, and among the last ones, where the generation is written, renamed and promoted.
    limits = sorted([*random.integers(1, moments, 4), *random.integers(moments - 60, moments, 4), moments])
    known = counts(index, tiny_bundle)
    for limit in map(int, limits):
        killed = start(index, limit)
        where = f"seed {seed}, moment {limit} of {moments}: {killed.stderr}"
        assert killed.returncode in (0, -signal.SIGKILL), where
        before, known = known, counts(index, tiny_bundle)
        assert all(known[modality] >= before[modality] for modality in known), where
        for one in list_generations(index):
            assert verify(index, one.id) == [], where
        generation = open_index(index)
        assert generation.degraded is None, where
        expected = 4 if generation.id == served else 2 * WINDOW + 10
        assert {part.count for part in generation.manifest.collections.values()} == {expected}, where
        generation.close()
    report = build(tiny_bundle.path, index, images=large.images, captions=large.captions, promote_it=True)
    # The small corpus has the same first media, so all that is kept counts.
    for name, modality in (("images", "image"), ("captions", "speech")):
        part = report.collections[name]  # type: ignore[index]
        assert (part.reused, part.new) == (known[modality], 2 * WINDOW + 10 - known[modality])
    leftovers = [path.name for path in (index / "generations").iterdir() if path.name.startswith(".")]
    assert leftovers == []


def test_stopped_in_the_middle_the_next_build_embeds_only_the_rest(
    index: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    pairs = make_pairs(tmp_path / "corpus", 2 * WINDOW + 5)

    class StopsAt(Told):
        @contextmanager
        def _stage(self, title: str, total: int | None) -> Iterator[Stage]:
            class One:
                def reach(self, done: int, note: str = "") -> None:
                    if title == "images: vectors" and done > WINDOW:
                        raise KeyboardInterrupt

            yield One()

    with pytest.raises(KeyboardInterrupt):
        build(tiny_bundle.path, index, images=pairs.images, progress=StopsAt())
    assert list((index / "generations").iterdir()) == []
    report = build(tiny_bundle.path, index, images=pairs.images)
    part = report.collections["images"]
    assert part.reused == 2 * WINDOW
    assert part.new == 5


@contextmanager
def little_room(folder: Path) -> Iterator[None]:
    """Let `folder` hold hardly more than it does, until the context ends.

    Really a full disk where this machine lets one be mounted; else a limit on the size of files.
    """
    if (folder / ".mounted").exists():
        used_kb = int(subprocess.check_output(["du", "-sk", folder], text=True).split()[0])
        subprocess.run(["mount", "-o", f"remount,size={used_kb + 60}k", folder], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True)
        return
    with file_size_limit(60_000):
        yield


@contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """No file may grow beyond; the write that would fails as on a full quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a file system of its own, where mounting one is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", folder], capture_output=True, check=False
        ).returncode
        == 0
        if shutil.which("mount")
        else False
    )
    if mounted:
        (folder / ".mounted").touch()
    yield folder
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_sentence_and_touches_nothing(
    small_disk: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    index = small_disk / "index"
    pairs = make_pairs(tmp_path / "corpus", 4)
    served = build(
        tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True
    ).generation
    make_pairs(tmp_path / "corpus", 6 * WINDOW, first=4)
    with little_room(small_disk):
        with pytest.raises(
            DiskFull, match=r"Nothing more can be written under .*what is served was not touched"
        ):
            build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
        generation = open_index(index)
        assert (generation.id, generation.degraded) == (served, None)
        generation.close()
        assert [path.name for path in (index / "generations").iterdir()] == [served]
    report = build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
    assert report.collections["images"].reused > 4
    assert report.collections["captions"].count == 6 * WINDOW + 4
    assert verify(index, report.generation) == []


@pytest.mark.parametrize("limit_bytes", [5_000, 20_000, 70_000])
def test_a_file_that_may_not_grow_is_one_too(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path, limit_bytes: int
) -> None:
    """Found while embedding, while writing items, and while copying the model."""
    make_pairs(tmp_path / "corpus", 30, first=6)
    with file_size_limit(limit_bytes), pytest.raises(DiskFull, match="Nothing more can be written"):
        build(tiny_bundle.path, index, images=pairs.images)
    assert list((index / "generations").iterdir()) == []
    assert build(tiny_bundle.path, index, images=pairs.images).collections["images"].count == 36


def test_what_serves_answers_while_the_next_is_built(
    index: Path, pairs: Pairs, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
    generation = open_index(index)
    query_QD = generation.vector("images", "img-0003")[None]
    expected = generation.search("captions", query_QD, 3)
    done, faults = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            if generation.search("captions", query_QD, 3) != expected:
                faults.append("another answer")
            done.wait(0.005)

    asking = threading.Thread(target=ask)
    asking.start()
    make_pairs(tmp_path / "corpus", 10, first=6)
    build(tiny_bundle.path, index, images=pairs.images, captions=pairs.captions, promote_it=True)
    done.set()
    asking.join()
    assert faults == []
    generation.close()
