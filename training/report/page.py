"""The report as one HTML file that needs nothing else: tables, charts, nearest neighbours with sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2

from training.datasets.pairs import Clip, Picture
from training.evaluate import KS
from training.report import published
from training.report.bootstrap import difference_interval, recall_interval
from training.report.chart import Line, line_chart
from training.report.history import History, thinned
from training.report.nearest import Neighbours
from training.report.outcomes import BothWays
from training.report.small_media import address, small_clip, small_picture
from training.report.tables import WAYS, figure, how, ways

CURVE_K = 10


@dataclass(frozen=True)
class JudgedRun:
    """One run as it came out. Runs of the same `label` are one line in the low-data chart."""

    name: str
    label: str
    best_step: int
    history: History
    found: BothWays


@dataclass(frozen=True)
class Report:
    """What the page shows. `nearest` is of the first run; `remark` stands at the head."""

    title: str
    facts: str
    runs: tuple[JudgedRun, ...]
    nearest: tuple[tuple[Neighbours, ...], tuple[Neighbours, ...]]
    with_published: bool
    remark: str
    seed: int


def render(report: Report) -> str:
    """The page. Raises NotComparable where runs answered different queries, MediaError for media gone bad."""
    folder = files("training.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    there, back = report.nearest
    return template.render(
        report=report,
        ks=KS,
        css=(folder / "page.css").read_text(encoding="utf-8"),
        js=(folder / "page.js").read_text(encoding="utf-8"),
        recall=[_recall_rows(report, way) for way in range(2)],
        gaps=[_gap_rows(report, way) for way in range(2)] if len(report.runs) > 1 else [],
        ways=WAYS,
        how=how(report.runs[0].found, report.seed),
        published_remark=published.remark(report.facts) if report.with_published else "",
        charts=_charts(report),
        spoken=[_shown(one) for one in there],
        seen=[_shown(one) for one in back],
    )


def _recall_rows(report: Report, way: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for run in report.runs:
        direction = ways(run.found)[way]
        spans = [recall_interval(direction, k, report.seed) for k in KS]
        cells = [(figure(s.value), f"{figure(s.low)}–{figure(s.high)}") for s in spans]
        fractional = [figure(direction.fractional[k]) for k in KS]
        rows.append({"name": run.name, "cells": cells, "fractional": fractional})
    if report.with_published:
        for name, both in published.ROWS.items():
            cells = [(figure(value), "") for value in both[way]]
            rows.append({"name": f"published, {name}", "cells": cells, "fractional": None})
    return rows


def _gap_rows(report: Report, way: int) -> list[dict[str, Any]]:
    base, *others = report.runs
    rows = []
    for run in others:
        gaps = [difference_interval(ways(run.found)[way], ways(base.found)[way], k, report.seed) for k in KS]
        cells = [
            (
                figure(g.value, signed=True),
                f"{figure(g.low, signed=True)} to {figure(g.high, signed=True)}",
                g.excludes_zero,
            )
            for g in gaps
        ]
        rows.append({"name": run.name, "cells": cells})
    return rows


def _charts(report: Report) -> list[dict[str, Any]]:
    """Loss, dev recall and, where runs differ in how much data they were fitted on, recall by amount."""
    charts: list[dict[str, Any]] = []

    def add(title: str, lines: Sequence[Line], x: str, y: str, *, from_zero: bool = True) -> None:
        drawn = line_chart(lines, title=f"{title}: {y} by {x}", x=x, y=y, from_zero=from_zero)
        charts.append({"title": title, "svg": drawn, "legend": [line.label for line in lines]})

    loss = [Line(run.name, thinned(run.history.loss)) for run in report.runs]
    add("Training loss", loss, "step", "loss", from_zero=False)
    add("Dev, while fitting", [Line(run.name, run.history.dev) for run in report.runs], "step", "mean R@10")
    if len({run.history.clips for run in report.runs}) > 1:
        for number, way in enumerate(WAYS):
            lines = low_data_lines(report.runs, number, report.seed)
            add(f"Amount of data, {way}", lines, "spoken captions fitted on", f"R@{CURVE_K} {way}")
    return charts


def low_data_lines(runs: Sequence[JudgedRun], way: int, seed: int) -> list[Line]:
    """Figure 3: a line a label through the mean of its runs of equal amount, with every run's interval."""
    lines = []
    for label in dict.fromkeys(run.label for run in runs):
        by_amount: dict[int, list[float]] = {}
        spans = []
        for run in (one for one in runs if one.label == label):
            span = recall_interval(ways(run.found)[way], CURVE_K, seed)
            by_amount.setdefault(run.history.clips, []).append(span.value)
            spans.append((float(run.history.clips), span.low, span.high))
        points = [(float(amount), sum(values) / len(values)) for amount, values in sorted(by_amount.items())]
        lines.append(Line(label, points, spans))
    return lines


def _shown(neighbours: Neighbours) -> dict[str, Any]:
    hits = zip(neighbours.hits, neighbours.right, strict=True)
    return {"query": _item(neighbours.query), "hits": [_item(hit) | {"right": right} for hit, right in hits]}


def _item(item: Clip | Picture) -> dict[str, Any]:
    if isinstance(item, Clip):
        sound = address(small_clip(item.media.read()), "audio/mpeg")
        return {"kind": "clip", "id": item.id, "src": sound, "text": item.text, "voice": item.voice}
    return {"kind": "picture", "id": item.id, "src": address(small_picture(item.media.read()), "image/webp")}
