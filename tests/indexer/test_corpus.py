"""What is to be indexed: order, ids, metadata, and a reason for everything left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from indexer.corpus import Corpus, CorpusError, open_corpus
from tests.fixtures.media_bytes import make_png, make_wav


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_lines(path: Path, *lines: object) -> Path:
    """Objects as JSON, text and bytes as they are."""
    raw = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    return write(path, b"\n".join(raw) + b"\n")


def ids(corpus: Corpus) -> list[str]:
    return [item.id for item in corpus]


class TestFolder:
    def test_ids_are_relative_paths_without_extension_in_the_order_of_names(self, tmp_path: Path) -> None:
        for name in ("b.png", "a/z.png", "a/b/c.d.png", "B.png"):
            write(tmp_path / name, make_png())
        assert ids(open_corpus(tmp_path, "image")) == ["B", "a/b/c.d", "a/z", "b"]

    def test_twice_the_same(self, tmp_path: Path) -> None:
        for number in (10, 9, 2, 1):
            write(tmp_path / f"{number}.png", make_png(number))
        corpus = open_corpus(tmp_path, "image")
        assert list(corpus) == list(corpus)

    def test_content_decides_and_not_the_extension(self, tmp_path: Path) -> None:
        write(tmp_path / "picture.wav", make_png())
        write(tmp_path / "clip.png", make_wav())
        write(tmp_path / "text.png", b"only words")
        write(tmp_path / "nothing.png", b"")
        corpus = open_corpus(tmp_path, "image")
        assert ids(corpus) == ["picture"]
        assert corpus.skips.counts == {"not an image": 2, "empty file": 1}
        assert corpus.skips.examples["not an image"] == ["clip.png (audio/wav)", "text.png"]
        assert ids(open_corpus(tmp_path, "speech")) == ["clip"]

    def test_items_carry_bytes_and_place(self, tmp_path: Path) -> None:
        data = make_png(3)
        path = write(tmp_path / "one.png", data)
        (item,) = open_corpus(tmp_path, "image")
        assert item.read() == data
        assert (item.location.path, item.location.size_bytes, item.metadata) == (path, len(data), {})
        assert item.modified_ns == path.stat().st_mtime_ns

    def test_a_file_that_changes_its_size_is_not_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "one.png", make_png())
        (item,) = open_corpus(tmp_path, "image")
        for data in (make_png() + b"more", make_png()[:-1]):
            path.write_bytes(data)
            with pytest.raises(EOFError):
                item.read()

    def test_two_names_of_one_id(self, tmp_path: Path) -> None:
        write(tmp_path / "one.jpg", make_png(1))
        write(tmp_path / "one.png", make_png(2))
        corpus = open_corpus(tmp_path, "image")
        assert [item.location.path.name for item in corpus] == ["one.jpg"]
        assert corpus.skips.counts == {"duplicate id": 1}

    def test_hidden_names_are_not_looked_at(self, tmp_path: Path) -> None:
        write(tmp_path / ".git" / "one.png", make_png())
        write(tmp_path / ".one.png", make_png())
        corpus = open_corpus(tmp_path, "image")
        assert ids(corpus) == []
        assert corpus.skips.total == 0

    def test_links_are_followed_each_real_folder_once(self, tmp_path: Path) -> None:
        outside = write(tmp_path / "elsewhere" / "one.png", make_png()).parent
        root = tmp_path / "root"
        root.mkdir()
        (root / "first").symlink_to(outside)
        (root / "again").symlink_to(root)
        (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
        (root / "itself.png").symlink_to("itself.png")
        corpus = open_corpus(root, "image")
        assert ids(corpus) == ["first/one"]
        assert corpus.skips.counts == {"folder already read": 1, "missing file": 1, "unreadable file": 1}

    def test_a_pipe_does_not_hold_it_up(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        corpus = open_corpus(tmp_path, "image")
        assert ids(corpus) == []
        assert corpus.skips.counts == {"not a file": 1}

    def test_a_name_that_is_no_unicode(self, tmp_path: Path) -> None:
        try:
            (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(make_png())
        except OSError:  # a file system that refuses such names has nothing to guard against
            return
        corpus = open_corpus(tmp_path, "image")
        assert ids(corpus) == []
        assert corpus.skips.examples == {"unusable id": ["caf\\udce9.png"]}

    def test_count_hint_counts_all_there_is_to_come(self, tmp_path: Path) -> None:
        for name in ("a.png", "b/c.png", "b/d.txt"):
            write(tmp_path / name, make_png() if name.endswith("png") else b"words")
        corpus = open_corpus(tmp_path, "image")
        assert corpus.count_hint() == 3
        assert corpus.skips.total == 0
        assert len(ids(corpus)) + corpus.skips.total == 3


class TestJsonl:
    def test_path_id_and_the_rest_is_metadata(self, tmp_path: Path) -> None:
        write(tmp_path / "speech" / "a.wav", make_wav())
        lines = write_lines(
            tmp_path / "captions.jsonl",
            {
                "id": "one",
                "path": "speech/a.wav",
                "image_id": "x",
                "text": "ein Bär",
                "deep": {"n": [1, None]},
            },
            {"path": "speech/a.wav"},
            {"id": 7, "path": "speech/a.wav"},
        )
        first, second, third = open_corpus(lines, "speech")
        assert first.metadata == {"image_id": "x", "text": "ein Bär", "deep": {"n": [1, None]}}
        assert first.location.path == tmp_path / "speech" / "a.wav"
        assert (first.id, second.id, third.id) == ("one", "speech/a", "7")
        assert second.metadata == {}

    def test_paths_may_not_lead_out(self, tmp_path: Path) -> None:
        outside = write(tmp_path / "secret.png", make_png())
        inside = write(tmp_path / "in" / "sub" / "one.png", make_png())
        lines = write_lines(
            tmp_path / "in" / "images.jsonl",
            {"path": "../secret.png"},
            {"path": str(outside)},
            {"path": "sub/../../secret.png"},
            {"path": "sub/../sub/one.png"},
            {"id": "absolute", "path": str(inside)},
        )
        corpus = open_corpus(lines, "image")
        assert ids(corpus) == ["sub/one", "absolute"]
        assert corpus.skips.counts == {"outside the folder": 3}
        assert corpus.skips.examples["outside the folder"][0] == "line 1: ../secret.png"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("{not json", "bad line"),
            ("[1, 2]", "bad line"),
            ("12", "bad line"),
            (b'{"path": "a.png", "text": "\xff"}', "bad line"),
            ('{"path": "a.png", "score": NaN}', "bad line"),
            ('{"path": "a.png", "score": -Infinity}', "bad line"),
            ('{"path": "a.png", "score": 1e999}', "bad line"),
            ('{"path": "a.png", "deep": ' + "[" * 100_000 + "]" * 100_000 + "}", "bad line"),
            ({"id": "x"}, "bad line"),
            ({"path": 3}, "bad line"),
            ({"path": ""}, "bad line"),
            ({"path": "nowhere.png"}, "missing file"),
            ({"path": "a.png/b.png"}, "missing file"),
            ({"path": "nul\0.png"}, "missing file"),
            ({"path": "."}, "not a file"),
            ({"path": "clip.wav"}, "not an image"),
            ({"id": "good", "path": "a.png"}, "duplicate id"),
            ({"id": "", "path": "a.png"}, "unusable id"),
            ({"id": "line\nbreak", "path": "a.png"}, "unusable id"),
            ({"id": "x" * 513, "path": "a.png"}, "unusable id"),
            ({"id": ["x"], "path": "a.png"}, "unusable id"),
            ({"id": True, "path": "a.png"}, "unusable id"),
            ('{"id": "\\ud800", "path": "a.png"}', "unusable id"),
        ],
    )
    def test_a_bad_line_is_counted_with_its_number(self, tmp_path: Path, line: object, reason: str) -> None:
        write(tmp_path / "a.png", make_png())
        write(tmp_path / "clip.wav", make_wav())
        lines = write_lines(tmp_path / "images.jsonl", {"id": "good", "path": "a.png"}, line)
        corpus = open_corpus(lines, "image")
        assert ids(corpus) == ["good"]
        assert corpus.skips.counts == {reason: 1}
        assert corpus.skips.examples[reason][0].startswith("line 2")

    def test_blank_lines_and_a_byte_order_mark_mean_nothing(self, tmp_path: Path) -> None:
        write(tmp_path / "a.png", make_png())
        lines = write(tmp_path / "images.jsonl", b'\xef\xbb\xbf{"path": "a.png"}\r\n\r\n   \n')
        corpus = open_corpus(lines, "image")
        assert ids(corpus) == ["a"]
        assert corpus.skips.total == 0
        assert corpus.count_hint() == 1

    def test_only_the_first_examples_are_kept(self, tmp_path: Path) -> None:
        corpus = open_corpus(write_lines(tmp_path / "x.jsonl", *["bad"] * 50), "image")
        assert ids(corpus) == []
        assert corpus.skips.counts == {"bad line": 50}
        assert len(corpus.skips.examples["bad line"]) == 5


class TestOnly:
    """Lines picked by their metadata."""

    @pytest.fixture
    def lines(self, tmp_path: Path) -> Path:
        write(tmp_path / "a.png", make_png())
        return write_lines(
            tmp_path / "images.jsonl",
            {"id": "one", "path": "a.png", "split": "train", "number": 1},
            {"id": "two", "path": "a.png", "split": "test", "number": 2, "loud": True},
            {"id": "three", "path": "nowhere.png", "split": "dev"},
            {"id": "four", "path": "a.png"},
            "no json",
            {"id": "five", "path": "a.png", "split": "test", "number": 2.5, "loud": None},
        )

    @pytest.mark.parametrize(
        ("only", "left", "skipped"),
        [
            ({"split": ["test"]}, ["two", "five"], {"not split=test": 3}),
            ({"split": ["train", "test"]}, ["one", "two", "five"], {"not split=train or test": 2}),
            ({"split": ["test"], "number": ["2"]}, ["two"], {"not split=test": 3, "not number=2": 1}),
            ({"number": ["2.5"]}, ["five"], {"not number=2.5": 4}),
            ({"loud": ["true"]}, ["two"], {"not loud=true": 4}),
            ({}, ["one", "two", "four", "five"], {"missing file": 1}),
        ],
    )
    def test_the_others_are_counted_by_what_they_are_not(
        self, lines: Path, only: dict[str, list[str]], left: list[str], skipped: dict[str, int]
    ) -> None:
        corpus = open_corpus(lines, "image", only)
        assert ids(corpus) == left
        assert corpus.skips.counts == skipped | {"bad line": 1}
        assert corpus.count_hint() == len(left) + corpus.skips.total

    def test_what_is_not_wanted_is_named_by_its_line(self, lines: Path) -> None:
        corpus = open_corpus(lines, "image", {"split": ["test"]})
        list(corpus)
        assert corpus.skips.examples["not split=test"] == ["line 1", "line 3", "line 4"]

    @pytest.mark.parametrize(
        ("only", "says"),
        [
            ({"splt": ["test"]}, "has the key 'splt': there are split, number, loud."),
            ({"split": ["tset"]}, "has split=tset: split is test, train, dev."),
            (
                {"split": ["dev"], "number": ["1"]},
                "has split=dev and number=1: split is test, train, dev; number is 1, 2, 2.5.",
            ),
            ({"id": ["one"]}, "has the key 'id': there are split, number, loud."),
        ],
    )
    def test_what_leaves_nothing_is_an_error(
        self, lines: Path, only: dict[str, list[str]], says: str
    ) -> None:
        with pytest.raises(CorpusError) as refused:
            open_corpus(lines, "image", only)
        assert str(refused.value) == f"No line of {lines} {says}"

    def test_of_many_values_a_few_are_shown(self, tmp_path: Path) -> None:
        lines = write_lines(tmp_path / "x.jsonl", *({"path": "a", "text": f"text {n}"} for n in range(1000)))
        with pytest.raises(CorpusError, match=r"text is text 0, .*, text 4 and others\.$"):
            open_corpus(lines, "image", {"text": ["text 1000"]})
        assert open_corpus(lines, "image", {"text": ["text 999"]}).count_hint() == 1000

    def test_a_folder_has_no_metadata(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="is a folder, whose files have no metadata to go by 'split'"):
            open_corpus(tmp_path, "image", {"split": ["test"]})


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere does not exist: name a folder"):
        open_corpus(tmp_path / "nowhere", "image")


def test_a_source_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"neither a folder nor a \.jsonl file"):
        open_corpus(write(tmp_path / "images.tar", b"x"), "image")


def test_a_name_that_would_steer_a_terminal_is_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "\x1b[31mred\x07.png").write_bytes(b"nonsense")
    (tmp_path / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"nonsense")
    corpus = open_corpus(tmp_path, "image")
    assert list(corpus) == []
    assert sorted(corpus.skips.examples["not an image"]) == [r"\udcff.png", r"\x1b[31mred\x07.png"]
