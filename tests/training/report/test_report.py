"""`python -m training report` on two real runs, and the page it writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.embedded import make_embedded
from tests.fixtures.tiny_report import Made, training
from tests.fixtures.tiny_training import make_learnable_corpus
from training.datasets import open_dataset
from training.report.command import named_runs
from training.report.facts import facts
from training.report.nearest import nearest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("report"))


def test_it_prints_tables_and_where_the_page_is(made: Made) -> None:
    assert made.told.exit_code == 0, made.told.stderr
    out = made.told.stdout
    assert "| tones (half) | 20 | 10 | " in out
    assert "| less tones (half) | way | R@1 |" in out
    assert "judged on pairs, split test: 10 pictures (all 40×30)" in out
    assert f"Wrote {made.page}: 0." in out


def test_the_page_needs_nothing_else(made: Made) -> None:
    text = made.page.read_text(encoding="utf-8")
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attributes if name in ("src", "href", "data-src"))

    Links().feed(text)
    assert len(found) > 2 * 3 * 6
    assert {link.partition(":")[0] for link in found} == {"data"}
    assert "url(" not in text
    assert "Tones &amp; &lt;colours&gt;." in text
    assert "published, from scratch" in text
    assert "people&#39;s voices, original photographs" in text


def test_runs_on_different_amounts_of_data_get_the_low_data_curve(made: Made) -> None:
    text = made.page.read_text(encoding="utf-8")
    curve = text.partition("Amount of data, S-&gt;I</figcaption>")[2].partition("</svg>")[0]
    amounts = re.findall(r"<title>tones: (\d+), ", curve)
    assert amounts == ["16", "32"]


def test_published_rows_are_not_there_unless_asked_for(made: Made, tmp_path: Path) -> None:
    one = training("report", "--run", made.folder / "all", "--data", made.data, "--out", tmp_path / "r.html",
                   "--nearest", "0", "--device", "cpu")  # fmt: skip
    assert one.exit_code == 0, one.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "published" not in text.partition("</style>")[2]
    assert "Say it, see it" not in text
    assert "S->I, any of them" in one.stdout


def test_a_run_that_is_none_is_one_sentence(made: Made, tmp_path: Path) -> None:
    result = training("report", "--run", tmp_path, "--data", made.data, "--out", tmp_path / "r.html")
    assert result.exit_code == 1
    assert "is not a run folder" in result.stderr
    assert not (tmp_path / "r.html").exists()


def test_runs_are_named_by_folder_or_label(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    named = named_runs([str(odd), "x=runs/1", "x=runs/2", "y=runs/3"])
    assert list(named) == ["a=b", "x (1)", "x (2)", "y"]
    assert named["x (2)"] == ("x", Path("runs/2"))


def test_the_nearest_are_the_best_scores_and_the_right_ones_are_marked() -> None:
    embedded = make_embedded([2] * 9)
    there, back = nearest(embedded, 4, 3, seed=0)
    assert (len(there), len(back)) == (4, 4)
    row = next(i for i, clip in enumerate(embedded.clips) if clip == there[0].query)
    scores = embedded.image_ND @ embedded.speech_ND[row]
    expected = [embedded.pictures[i].id for i in sorted(range(9), key=lambda i: -float(scores[i]))[:3]]
    assert [hit.id for hit in there[0].hits] == expected
    for one in (*there, *back):
        assert one.right == tuple(hit.identity == one.query.identity for hit in one.hits)
    assert any(any(one.right) for one in (*there, *back))
    assert nearest(embedded, 4, 3, seed=0) == (there, back)
    assert nearest(embedded, 99, 3, seed=0)[1][0].query == embedded.pictures[0]


def test_facts_tell_synthetic_speech_from_what_nothing_is_known_of(tmp_path: Path) -> None:
    folder = make_learnable_corpus(tmp_path / "pairs", train=2, dev=1, test=3)
    data = open_dataset(folder, "test")
    assert facts(data, folder, None).endswith("6 spoken captions, which nothing there calls synthetic")
    path = folder / "captions.jsonl"
    path.write_text(path.read_text().replace('"voice": "voice1"', '"engine": "flite", "voice": "voice1"'))
    assert facts(data, folder, None).endswith("6 spoken captions, synthetic speech (flite)")


def test_a_share_is_pictures_with_their_clips_and_part_of_every_larger_one(tmp_path: Path) -> None:
    data = open_dataset(make_learnable_corpus(tmp_path / "pairs", train=20, dev=1), "train")
    small, large = (data.share_of_pictures(share, 3) for share in (0.25, 0.5))
    assert (len(small.pictures), len(small.clips)) == (5, 10)
    assert {clip.identity for clip in small.clips} == {picture.id for picture in small.pictures}
    assert {p.id for p in small.pictures} < {p.id for p in large.pictures} < {p.id for p in data.pictures}
    assert data.share_of_pictures(0.25, 4).pictures != small.pictures
    assert len(data.share_of_pictures(0.001, 0).pictures) == 1
    assert np.array_equal([p.id for p in large.pictures], sorted(p.id for p in large.pictures))
