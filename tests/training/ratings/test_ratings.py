"""From ratings to tables: worked examples, what is open, Flickr8k's judgements, the way by commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from indexer.media import MediaSpec
from service.rate.tasks import read_tasks as read_as_the_page_does
from tests.fixtures.embedded import NOWHERE, make_embedded
from tests.fixtures.rating_tasks import make_tasks_folder, rate_all
from tests.fixtures.tiny_training import CONV_PRESET, make_learnable_corpus
from training.__main__ import app
from training.datasets import Clip, Picture, open_dataset
from training.evaluate import Embedded
from training.ratings.agreement import fleiss_kappa
from training.ratings.judged import judge
from training.ratings.make import Wanted, make_tasks
from training.ratings.tables import agreement, human_recall, table_3, table_4
from training.ratings.tasks import RatingsError, read_tasks
from training.ratings.votes import CROWD, EXPERTS, Judgements, Votes, read_judgements, read_ratings

# Ten subjects, fourteen raters, five categories: the worked example of the English Wikipedia's article
# "Fleiss' kappa", whose result is 0.210.
WORKED = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def cells(table: str, row: int) -> list[str]:
    """The cells of a Markdown table's row, its head not counted."""
    return [cell.strip() for cell in table.splitlines()[2 + row].split("|")[1:-1]]


def test_kappa_of_the_worked_example() -> None:
    assert fleiss_kappa(np.asarray(WORKED)) == pytest.approx(0.210, abs=5e-4)


def test_kappa_at_its_ends() -> None:
    assert fleiss_kappa(np.asarray([[5, 0], [0, 5], [5, 0]])) == pytest.approx(1)
    assert fleiss_kappa(np.asarray([[1, 1], [1, 1]])) == pytest.approx(-1)
    assert fleiss_kappa(np.asarray([[5, 0], [5, 0]])) is None
    rng = np.random.default_rng(0)
    goods = rng.binomial(5, 0.3, 20_000)
    assert fleiss_kappa(np.stack([goods, 5 - goods], axis=1)) == pytest.approx(0, abs=0.01)
    for wrong in ([[2, 1], [1, 1]], [[1, 0]]):
        with pytest.raises(ValueError, match="same number of raters"):
            fleiss_kappa(np.asarray(wrong))


@pytest.mark.parametrize(
    ("good", "bad", "wanted", "verdict"),
    [(3, 0, 5, True), (2, 2, 5, None), (2, 3, 5, False), (0, 0, 5, None), (2, 1, 3, True), (2, 2, 4, None)],
)
def test_a_majority_of_those_wanted_decides(good: int, bad: int, wanted: int, verdict: bool | None) -> None:
    assert Votes(good, bad, wanted).verdict is verdict


def test_a_query_is_open_only_while_it_could_end_either_way() -> None:
    queries: list[list[bool | None]] = [[False, True, None], [None, False], [False, False], [None, True]]
    at_one, at_two = human_recall(queries, 1), human_recall(queries, 2)
    assert (at_one.hits, at_one.misses, at_one.open) == (0, 2, 2)
    assert str(at_one) == ".000 to .500"
    assert (at_two.hits, at_two.misses, at_two.open) == (2, 1, 1)
    assert str(human_recall([[True], [False]], 1)) == ".500"


def test_the_papers_tables_from_full_ratings(tmp_path: Path) -> None:
    path = make_tasks_folder(tmp_path / "tasks")
    tasks = read_tasks(path)
    rate_all(path, tmp_path / "r.jsonl", {"p000000": 5, "p000001": 3, "p000004": 2, "p000005": 3})
    rated = read_ratings(tmp_path / "r.jsonl", tasks)
    three = table_3(tasks, rated)  # pairs 0 and 1 belong together: five and three goods
    assert cells(three, 0) == ["uncropped", "1.000", "1.000", "1.000", ".500", ".500"]
    four = table_4(tasks, rated)
    assert cells(four, 0) == ["automatic", ".500", ".500", ".000", "1.000"]
    assert cells(four, 1) == ["human", ".500", "1.000", "1.000", "1.000"]
    assert "2 queries S->I, 1 I->S. R@k: queries with at least one good hit" in four
    counts = np.asarray([[5, 0], [3, 2], [0, 5], [0, 5], [2, 3], [3, 2]])
    assert (
        f"kappa {fleiss_kappa(counts):.3f} over 6 pairs with all 5 ratings. 5 raters, 30 ratings."
        in agreement(rated)
    )


def test_what_is_not_rated_yet_is_open_and_counted(tmp_path: Path) -> None:
    path = make_tasks_folder(tmp_path / "tasks")
    tasks = read_tasks(path)
    (tmp_path / "r.jsonl").write_text("")
    rated = read_ratings(tmp_path / "r.jsonl", tasks)
    assert cells(table_4(tasks, rated), 1) == ["human", *[".000 to 1.000"] * 4]
    assert cells(table_3(tasks, rated), 0)[1:] == ["-"] * 5
    assert "0 pairs with all ratings; 2 without are left out." in table_3(tasks, rated)
    assert agreement(rated).startswith("No pair has all its ratings yet")


def test_a_withdrawn_rating_does_not_count_and_a_torn_line_is_told(tmp_path: Path) -> None:
    path = make_tasks_folder(tmp_path / "tasks")
    tasks = read_tasks(path)
    said = [("Ana", "good"), ("Ana", "withdrawn"), ("Ana", "bad"), ("Bo", "good")]
    lines = [{"tasks": tasks.id, "pair": "p000000", "rater": who, "verdict": what} for who, what in said]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "r.jsonl").write_text(text + '{"tasks": "')
    rated = read_ratings(tmp_path / "r.jsonl", tasks)
    assert rated.votes["p000000"] == Votes(1, 1, 5)
    assert rated.raters == {"Ana": 1, "Bo": 1}
    assert "cut off" in agreement(rated)
    (tmp_path / "r.jsonl").write_text(text + json.dumps(lines[3]) + "\n")
    with pytest.raises(RatingsError, match="line 5: Bo cannot say 'good'"):
        read_ratings(tmp_path / "r.jsonl", tasks)
    (tmp_path / "r.jsonl").write_text(json.dumps(lines[0] | {"tasks": "others"}) + "\n")
    with pytest.raises(RatingsError, match="belongs to other tasks"):
        read_ratings(tmp_path / "r.jsonl", tasks)


def test_flickr8ks_judgements_as_on_disk(tmp_path: Path) -> None:
    (tmp_path / EXPERTS).write_text("a.jpg\tb_c.jpg#2\t1\t3\t4\na.jpg\ta.jpg#2\t1\t2\t4\n")
    (tmp_path / CROWD).write_text(
        "a.jpg\tb_c.jpg#2\t0\t0\t3\nb_c.jpg\ta.jpg#2\t0.5\t2\t2\nb_c.jpg\tb_c.jpg#2\t1\t3\t0\n"
    )
    read = read_judgements(tmp_path)
    verdicts = {key: votes.verdict for key, votes in read.votes.items()}
    assert verdicts == {
        ("a", "b_c_2"): True,  # two experts of three, against the crowd
        ("a", "a_2"): False,
        ("b_c", "a_2"): None,  # a tie
        ("b_c", "b_c_2"): True,
    }
    assert read.counts == {EXPERTS: 2, CROWD: 3}
    (tmp_path / CROWD).write_text("a.jpg\tb.jpg#2\t0\t0\n")
    with pytest.raises(RatingsError, match="line 1 is no judgement"):
        read_judgements(tmp_path)


def test_judged_recall_has_the_judged_captions_alone_and_leaves_open_what_nobody_judged() -> None:
    image_ND = np.eye(3, dtype=np.float32)
    clips = tuple(Clip(f"{name}_{k}", NOWHERE, name) for name in "abc" for k in (1, 2))
    # b_2 finds c first, c_2 finds a first; everyone finds their own second
    speech_ND = np.repeat(image_ND, 2, axis=0)
    speech_ND[3] = (0.1, 0.5, 0.9)
    speech_ND[5] = (0.9, 0.1, 0.5)
    pictures = tuple(Picture(name, NOWHERE, name) for name in "abc")
    votes = {("a", "a_2"): Votes(3, 0, 3), ("c", "b_2"): Votes(2, 1, 3), ("b", "c_2"): Votes(0, 3, 3)}
    found = judge(
        Embedded(speech_ND, image_ND, clips, pictures, ()), Judgements(votes, {EXPERTS: 1, CROWD: 2})
    )
    table = found.table()
    assert cells(table, 0)[:3] == ["automatic", figure_of(1, 3), "1.000"]
    assert cells(table, 1)[1] == ".667 to 1.000"  # a: good, b: good by people, c: nobody judged a with c_2
    assert cells(table, 2)[1:3] == [".667 to 1.000", "1.000"]
    assert (
        "3 captions that were judged (of 6) and 3 pictures. Of 18 pairs among the first 5, 6 were judged"
        in table
    )
    told = found.to_dict()
    assert told["recall"]["human"]["speech_to_image"]["R@1"] == [0.6667, 1.0]  # type: ignore[index]
    assert told["recall"]["automatic"]["speech_to_image"] == {"R@1": [0.3333] * 2, "R@5": [1.0] * 2}  # type: ignore[index]
    assert {name: told[name] for name in ("clips", "pictures", "pairs", "pairs_judged", "judgements")} == {
        "clips": 3,
        "pictures": 3,
        "pairs": 18,
        "pairs_judged": 6,
        "judgements": {"expert": 1, "crowd": 2},
    }
    with pytest.raises(RatingsError, match="none of the 10 spoken captions was judged"):
        judge(make_embedded([5, 5]), Judgements(votes, {EXPERTS: 1, CROWD: 2}))


def figure_of(part: int, whole: int) -> str:
    return f"{part / whole:.3f}"[1:]


def test_tasks_hold_the_first_hits_and_judge_a_pair_once(tmp_path: Path) -> None:
    data = open_dataset(make_learnable_corpus(tmp_path / "pairs", train=6, dev=1, clips_each=2), "train")
    rng = np.random.default_rng(0)
    image_ND = rng.standard_normal((6, 4)).astype(np.float32)
    speech_ND = np.repeat(image_ND, 2, axis=0) + 0.3 * rng.standard_normal((12, 4)).astype(np.float32)
    embedded = Embedded(speech_ND, image_ND, data.clips, data.pictures, ())
    spec = MediaSpec(image_size=32, resize="shortest", crop="center")
    wanted = Wanted(queries=4, own=3, seed=1, view="model", audio=True)
    made = make_tasks(embedded, spec, wanted, tmp_path / "t", run="r", data="pairs", split="train")
    tasks = read_tasks(tmp_path / "t" / "tasks.json")
    assert tasks.pairs == made.pairs
    assert [q.way for q in tasks.queries] == ["speech_to_image"] * 4 + ["image_to_speech"] * 4
    by_id = {pair.id: pair for pair in tasks.pairs}
    assert len({(pair.image_id, pair.caption_id) for pair in tasks.pairs}) == len(by_id) < 8 * 5 + 3
    for query in tasks.queries:
        hits = [by_id[one] for one in query.pairs]
        assert len(hits) == 5
        for hit, right in zip(hits, query.right, strict=True):
            assert query.id in (hit.image_id, hit.caption_id)
            assert right == hit.caption_id.startswith(hit.image_id)
    assert all(by_id[one].caption_id.startswith(by_id[one].image_id) for one in tasks.own)
    seen = read_as_the_page_does(tmp_path / "t" / "tasks.json")
    assert (seen.id, len(seen.pairs), seen.raters) == (tasks.id, len(tasks.pairs), 5)
    with Image.open(tmp_path / "t" / tasks.pairs[0].image) as shown:
        assert shown.size == (512, 512)
    assert tasks.pairs[0].text == ""
    assert tasks.pairs[0].speech is not None
    with pytest.raises(RatingsError, match="is there already"):
        make_tasks(embedded, spec, wanted, tmp_path / "t", run="r", data="pairs", split="train")
    silent = Embedded(
        speech_ND, image_ND, tuple(Clip(c.id, c.media, c.identity) for c in data.clips), data.pictures, ()
    )
    with pytest.raises(RatingsError, match="has no text to show; give --audio"):
        make_tasks(silent, spec, Wanted(4, 3), tmp_path / "u", run="r", data="pairs", split="train")


def training(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_whole_way_by_commands(tmp_path: Path) -> None:
    data = make_learnable_corpus(tmp_path / "pairs", train=10, dev=4, test=8)
    (tmp_path / "tiny.toml").write_text(CONV_PRESET)
    run, out = tmp_path / "run", tmp_path / "tasks"
    words = ("--preset", tmp_path / "tiny.toml", "--data", data, "--out", run, "--workers", "1")
    fitted = training("fit", *words, "--set", "stages.0.steps=2", "--device", "cpu")
    assert fitted.exit_code == 0, fitted.stderr
    few = ("--queries", "3", "--own", "2", "--device", "cpu")
    made = training("rating-tasks", "--run", run, "--data", data, "--out", out, *few)
    assert made.exit_code == 0, made.stderr
    tasks, ratings = out / "tasks.json", out / "ratings.jsonl"
    assert f"Next: python -m service rate --tasks {tasks} --ratings {ratings}" in made.stdout
    rate_all(out / "tasks.json", out / "ratings.jsonl", {})
    told = training("ratings", "--tasks", out / "tasks.json", "--ratings", out / "ratings.jsonl")
    assert told.exit_code == 0, told.stderr
    assert "| human | .000 | .000 | .000 | .000 |" in told.stdout
    assert "kappa not defined, all said the same" in told.stdout
    again = training("rating-tasks", "--run", run, "--data", data, "--out", out, "--device", "cpu")
    assert (again.exit_code, again.stdout) == (1, "")
    refused = training("evaluate", "--run", run, "--data", data, "--human", "--device", "cpu")
    assert refused.exit_code == 1
    assert "it comes with Flickr8k" in refused.stderr
    clip = open_dataset(data, "test").clips[0]
    (data / EXPERTS).write_text(f"{clip.identity}.jpg\t{clip.id}\t4\t4\t1\n")
    (data / CROWD).write_text("")
    judged = ("evaluate", "--run", run, "--data", data, "--human", "--device", "cpu")
    assert "| human |" in training(*judged).stdout
    as_json = training(*judged, "--json", "--out", tmp_path / "scores.json")
    assert as_json.exit_code == 0, as_json.stderr
    told = json.loads(as_json.stdout)
    assert told == json.loads((tmp_path / "scores.json").read_text())
    assert told["test"]["human"]["clips"] == 1
    assert told["test"]["human"]["recall"]["human"]["speech_to_image"]["R@5"][1] == 1.0
    assert "human" not in json.loads(training(*judged[:-3], *judged[-2:], "--json").stdout)["test"]


@pytest.mark.data
def test_the_real_judgements_are_all_read() -> None:
    import os

    read = read_judgements(Path(os.environ["SAYSEE_DATA"]) / "flickr8k-small")
    assert read.counts == {EXPERTS: 5822, CROWD: 47830}
    assert len(read.captions()) == 1000
    assert {caption.rpartition("_")[2] for caption in read.captions()} == {"2"}
