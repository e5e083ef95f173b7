"""Tables 3 and 4 of Ilharco et al. 2019 from tasks and votes, and human-judged recall in general.

Recall at k is read as: a query with at least one good hit among its first k. The paper's sentence could mean
the share of good hits; its figures (R@5 far above R@1) and "in 52.2 % of cases" say this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.ratings.agreement import fleiss_kappa
from training.ratings.tasks import Tasks
from training.ratings.votes import Rated, Votes
from training.report.tables import WAYS, figure, markdown

KS = (1, 5)
READING = (
    "R@k: queries with at least one good hit among the first k. Good: a majority of the people asked says so "
    "(3 of 5, or 2 of 3). Two figures: if every pair that is still open were not good, and if it were good."
)


@dataclass(frozen=True)
class HumanRecall:
    """Queries by how they ended: some hit is good, all are not good, or open."""

    hits: int
    misses: int
    open: int

    @property
    def queries(self) -> int:
        return self.hits + self.misses + self.open

    @property
    def bounds(self) -> tuple[float, float]:
        """If every query that is open had no good hit, and if it had one."""
        return self.hits / self.queries, (self.hits + self.open) / self.queries

    def __str__(self) -> str:
        low, high = map(figure, self.bounds)
        return low if self.open == 0 else f"{low} to {high}"


def human_recall(verdicts: Sequence[Sequence[bool | None]], k: int) -> HumanRecall:
    """`verdicts`: for every query those of its hits, best first."""
    ends: list[bool | None] = []
    for hits in verdicts:
        first = hits[:k]
        ends.append(True if True in first else None if None in first else False)
    return HumanRecall(ends.count(True), ends.count(False), ends.count(None))


def recall_rows(name: str, both: Sequence[Sequence[Sequence[bool | None]]]) -> list[str]:
    """A row: R@1 and R@5 speech to image, then image to speech."""
    return [name, *(str(human_recall(verdicts, k)) for verdicts in both for k in KS)]


HEAD = ["recall", *(f"{way} R@{k}" for way in WAYS for k in KS)]


def table_4(tasks: Tasks, rated: Rated) -> str:
    """Automatic (the two belong together) and human, of the very same lists."""
    asked = [[q for q in tasks.queries if q.way == way] for way in ("speech_to_image", "image_to_speech")]
    automatic = [[q.right for q in queries] for queries in asked]
    human = [[[rated.votes[pair].verdict for pair in q.pairs] for q in queries] for queries in asked]
    counts = f"{len(asked[0])} queries S->I, {len(asked[1])} I->S."
    return (
        markdown(HEAD, [recall_rows("automatic", automatic), recall_rows("human", human)])
        + f"\n\n{counts} {READING}"
    )


def table_3(tasks: Tasks, rated: Rated) -> str:
    """Of right pairs with all their ratings, the share with at least n good ones."""
    votes = [rated.votes[pair] for pair in tasks.own]
    complete = [one for one in votes if one.complete]
    shown = {"whole": "uncropped", "model": "as the model sees them"}[tasks.view]
    head = ["pictures", *(f"{n} of {tasks.raters}" for n in range(1, tasks.raters + 1))]
    shares = [
        np.mean([one.good >= n for one in complete]) if complete else None for n in range(1, tasks.raters + 1)
    ]
    row = [shown, *("-" if share is None else figure(float(share)) for share in shares)]
    left = len(votes) - len(complete)
    return markdown(head, [row]) + f"\n\n{len(complete)} pairs with all ratings; {left} without are left out."


def agreement(rated: Rated) -> str:
    """Fleiss' kappa over the pairs with all their ratings, in a sentence."""
    complete = [one for one in rated.votes.values() if one.complete]
    people = f"{len(rated.raters)} raters, {rated.raters.total()} ratings"
    torn = "; a last line was cut off and is left out" if rated.torn else ""
    return f"{kappa_sentence(complete)} {people}{torn}."


def kappa_of(complete: Sequence[Votes]) -> float | None:
    """Fleiss' kappa of votes that all have the same number of people; None where all said the same."""
    return fleiss_kappa(np.asarray([[one.good, one.bad] for one in complete]))


def kappa_sentence(complete: Sequence[Votes]) -> str:
    """Agreement of votes that all have the same number of people."""
    if not complete or complete[0].wanted < 2:
        return "No pair has all its ratings yet, so there is no agreement to tell."
    kappa = kappa_of(complete)
    value = "not defined, all said the same" if kappa is None else f"{kappa:.3f}"
    return f"Fleiss' kappa {value} over {len(complete)} pairs with all {complete[0].wanted} ratings."
