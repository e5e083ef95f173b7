"""The SVG charts: round ticks, points where they belong, well-formed whatever the names hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, line_chart, plain, ticks


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_are_few_and_cover(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 12
    assert found == sorted(set(found))
    reach = max(abs(low), abs(low + span), 1e-9)
    assert found[0] <= low + 1e-6 * reach
    assert found[-1] >= low + span - 1e-6 * reach


@pytest.mark.parametrize(
    ("value", "said"), [(2000, "2,000"), (0.05, ".05"), (-0.5, "-.5"), (10, "10"), (0, "0")]
)
def test_labels_are_plain(value: float, said: str) -> None:
    assert plain(value) == said


def test_points_lie_where_their_values_are() -> None:
    line = Line("one", [(0, 0), (10, 0.5), (20, 1.0)], [(10, 0.4, 0.6)])
    svg = ET.fromstring(line_chart([line], title="t", x="step", y="R@10"))
    (path,) = svg.iter("polyline")
    spots = [tuple(map(float, pair.split(","))) for pair in path.attrib["points"].split()]
    assert spots[0] == pytest.approx((LEFT, HEIGHT - BOTTOM))
    assert spots[-1] == pytest.approx((WIDTH - RIGHT, TOP))
    assert spots[1][0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    (span,) = (one for one in svg.iter("line") if one.attrib["class"] == "span")
    assert float(span.attrib["y2"]) < spots[1][1] < float(span.attrib["y1"])
    assert [title.text for title in svg.iter("title")] == [
        "one: 0, 0.000",
        "one: 10, 0.500",
        "one: 20, 1.000",
    ]


def test_names_are_text_and_never_markup() -> None:
    svg = line_chart([Line('<b>"&', [(0, 1), (1, 2)])], title='<i>"&', x="<x>", y="&y")
    assert ET.fromstring(svg).attrib["aria-label"] == '<i>"&'


def test_one_point_and_none_are_drawn_as_well() -> None:
    ET.fromstring(line_chart([Line("one", [(5, 0.0)])], title="t", x="x", y="y", from_zero=False))
    assert "no data in these runs" in line_chart([Line("one", [])], title="t", x="x", y="y")
