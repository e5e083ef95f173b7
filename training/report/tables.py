"""Recall tables in the papers' form: S->I R@1 .. R@100, then I->S, three decimals without the nought."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluate import KS, Scores
from training.report.bootstrap import (
    LEVEL,
    RESAMPLES,
    Interval,
    difference_interval,
    recall_interval,
)
from training.report.outcomes import BothWays, Outcomes

WAYS = ("S->I", "I->S")


def figure(value: float, *, signed: bool = False) -> str:
    """.123 as the papers print it; with `signed`, a sign before it."""
    sign = ("+" if value >= 0 else "-") if signed else ("-" if value < 0 else "")
    digits = f"{abs(value):.3f}"
    return sign + (digits[1:] if digits.startswith("0") else digits)


def ranged(interval: Interval, *, signed: bool = False) -> str:
    """A figure with its interval: .123 [.110, .137]."""
    value, low, high = (figure(v, signed=signed) for v in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def ways(found: BothWays) -> tuple[Outcomes, Outcomes]:
    """Both directions in the tables' order."""
    return found.speech_to_image, found.image_to_speech


def recall_table(rows: dict[str, Scores]) -> str:
    """A row a condition: any-of recall both ways, and precision at 10."""
    ks = [f"R@{k}" for k in KS]
    head = [
        "condition",
        "clips",
        "pictures",
        f"S->I {ks[0]}",
        *ks[1:],
        "P@10",
        f"I->S {ks[0]}",
        *ks[1:],
        "P@10",
    ]
    cells = []
    for name, s in rows.items():
        there, back = ([figure(way[k]) for k in KS] for way in (s.speech_to_image, s.image_to_speech))
        precision = [figure(p) for p in s.precision_at_10]
        cells.append([name, str(s.clips), str(s.pictures), *there, precision[0], *back, precision[1]])
    return markdown(head, cells)


def interval_table(found: BothWays, seed: int = 0) -> str:
    """Any-of recall with its interval, and fractional recall beside it: a row a direction."""
    rows = []
    for way, direction in zip(WAYS, ways(found), strict=True):
        rows.append([f"{way}, any of them", *(ranged(recall_interval(direction, k, seed)) for k in KS)])
        rows.append([f"{way}, fractional", *(figure(direction.fractional[k]) for k in KS)])
    return markdown(["direction", *(f"R@{k}" for k in KS)], rows) + "\n\n" + how(found, seed)


def difference_table(named: dict[str, BothWays], seed: int = 0) -> str:
    """Every run less the first, paired, both ways; * where the interval does not hold zero."""
    (first, base), *others = named.items()
    rows = []
    for name, found in others:
        for way, one, other in zip(WAYS, ways(found), ways(base), strict=True):
            gaps = [difference_interval(one, other, k, seed) for k in KS]
            rows.append(
                [name, way, *(ranged(g, signed=True) + ("*" if g.excludes_zero else "") for g in gaps)]
            )
    return markdown([f"less {first}", "way", *(f"R@{k}" for k in KS)], rows)


def how(found: BothWays, seed: int) -> str:
    """What the intervals are, in a sentence."""
    return (
        f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES} resamples of {found.unit}, the gallery "
        f"whole, seed {seed}. A hit when any that belongs is among the first k; fractional: the share of "
        "those that belong."
    )


def to_dict(found: BothWays, seed: int = 0) -> dict[str, object]:
    """Fractional recall and the intervals of any-of recall, for the JSON of evaluate."""
    fractional, bounds = {}, {}
    for way, direction in zip(("speech_to_image", "image_to_speech"), ways(found), strict=True):
        fractional[way] = {f"R@{k}": round(v, 4) for k, v in direction.fractional.items()}
        spans = {k: recall_interval(direction, k, seed) for k in KS}
        bounds[way] = {f"R@{k}": [round(span.low, 4), round(span.high, 4)] for k, span in spans.items()}
    how_made = {"level": LEVEL, "resamples": RESAMPLES, "unit": found.unit, "seed": seed}
    return {"fractional": fractional, "intervals": bounds | how_made}
