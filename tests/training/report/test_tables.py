"""Figures and tables in the papers' form."""

from __future__ import annotations

import pytest

from tests.fixtures.embedded import make_embedded
from training.evaluate import score
from training.report import published
from training.report.bootstrap import recall_interval
from training.report.outcomes import outcomes
from training.report.tables import difference_table, figure, interval_table, recall_table, to_dict


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0184, ".018"), (0.9996, "1.000"), (1, "1.000"), (0, ".000"), (-0.25, "-.250")]
)
def test_a_figure_has_three_decimals_and_no_nought(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_a_signed_figure_says_which_way() -> None:
    assert [figure(v, signed=True) for v in (0.0321, -0.0321, 0.0)] == ["+.032", "-.032", "+.000"]


def test_the_recall_table_has_the_papers_columns() -> None:
    rows = {"test": score(make_embedded([5] * 12)), "test, Annie": score(make_embedded([1] * 12))}
    head, rule, first, second = recall_table(rows).splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert [cell.strip() for cell in head.split("|")][4:9] == ["S->I R@1", "R@5", "R@10", "R@50", "R@100"]
    cells = [cell.strip() for cell in first.split("|")]
    assert cells[1:4] == ["test", "60", "12"]
    assert float(cells[4]) == pytest.approx(rows["test"].speech_to_image[1], abs=5e-4)
    assert float(cells[10]) == pytest.approx(rows["test"].image_to_speech[1], abs=5e-4)


def test_the_interval_table_says_what_was_resampled() -> None:
    found = outcomes(make_embedded([5] * 30))
    lines = interval_table(found, seed=4).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:6]] == [
        "S->I, any of them",
        "S->I, fractional",
        "I->S, any of them",
        "I->S, fractional",
    ]
    span = recall_interval(found.image_to_speech, 5, 4)
    assert f"{figure(span.value)} [{figure(span.low)}, {figure(span.high)}]" in lines[4]
    assert "resamples of pictures, each with its spoken captions" in lines[-1]
    assert "seed 4" in lines[-1]


def test_the_json_holds_the_same() -> None:
    found = outcomes(make_embedded([5] * 30))
    told = to_dict(found)
    span = recall_interval(found.speech_to_image, 10)
    intervals = told["intervals"]
    assert isinstance(intervals, dict)
    assert intervals["speech_to_image"]["R@10"] == [round(span.low, 4), round(span.high, 4)]
    assert intervals["unit"] == found.unit


def test_differences_are_less_the_first() -> None:
    named = {"a": outcomes(make_embedded([2] * 30, seed=1)), "b": outcomes(make_embedded([2] * 30, seed=2))}
    head, _, there, back = difference_table(named).splitlines()
    assert head.startswith("| less a | way | R@1 |")
    gap = named["b"].speech_to_image.recall(1) - named["a"].speech_to_image.recall(1)
    assert there.startswith(f"| b | S->I | {figure(gap, signed=True)} [")
    assert back.startswith("| b | I->S | ")


def test_published_rows_are_the_papers_and_rise_with_k() -> None:
    assert published.ROWS["from scratch"][0][2] == 0.101
    assert published.ROWS["warm start, both"][1][0] == 0.182
    for both in published.ROWS.values():
        for row in both:
            assert len(row) == 5
            assert list(row) == sorted(row)
    said = published.remark("flickr8k, split test")
    assert "people's voices, original photographs" in said
    assert said.endswith("judged on flickr8k, split test.")
