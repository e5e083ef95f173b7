"""What people said of pairs: from a ratings file, or from Flickr8k's own judgements.

A pair is good, or not good, once a majority of those it is meant for has said so; before that it is open, and
an open pair is counted, never assumed to be either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.ratings.tasks import RatingsError, Tasks

EXPERTS, CROWD = "ExpertAnnotations.txt", "CrowdFlowerAnnotations.txt"
EXPERT_GOOD = (
    3  # "almost describes the image with minor mistakes"; the crowd's yes allows minor mistakes, too
)


@dataclass(frozen=True)
class Votes:
    """`wanted` people judge a pair; so many have said good, so many not good."""

    good: int
    bad: int
    wanted: int

    @property
    def verdict(self) -> bool | None:
        """True or False once more than half of `wanted` say so (3 of 5), None while that is open or a tie."""
        majority = self.wanted // 2 + 1
        return True if self.good >= majority else False if self.bad >= majority else None

    @property
    def complete(self) -> bool:
        return self.good + self.bad == self.wanted


@dataclass(frozen=True)
class Rated:
    """Votes by pair id. `raters`: how many each has given. `torn`: a last line that a kill cut off."""

    votes: dict[str, Votes]
    raters: Counter[str] = field(default_factory=Counter)
    torn: int = 0


def read_ratings(path: Path, tasks: Tasks) -> Rated:
    """The votes of a ratings file, withdrawn ones gone; every pair of the tasks has an entry.

    Raises RatingsError naming the line that is no rating, belongs to other tasks, or rates a pair twice.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise RatingsError(
            f"{path} cannot be read ({error.strerror}); collect ratings with: python -m service rate"
        ) from error
    torn = int(bool(lines) and not lines[-1].endswith(b"\n"))
    given: dict[str, dict[str, str]] = {pair.id: {} for pair in tasks.pairs}
    for number, line in enumerate(lines[: len(lines) - torn], start=1):
        try:
            record = json.loads(line)
            of, pair, rater, verdict = (record[key] for key in ("tasks", "pair", "rater", "verdict"))
        except (ValueError, KeyError, TypeError) as error:
            raise RatingsError(f"{path} line {number} is no rating") from error
        if of != tasks.id or pair not in given:
            raise RatingsError(f"{path} line {number} belongs to other tasks ({of}, here {tasks.id})")
        if verdict == "withdrawn" and rater in given[pair]:
            del given[pair][rater]
        elif verdict in ("good", "bad") and rater not in given[pair]:
            given[pair][rater] = verdict
        else:
            raise RatingsError(f"{path} line {number}: {rater} cannot say {verdict!r} of {pair} there")
    votes = {}
    for pair, said in given.items():
        good = sum(verdict == "good" for verdict in said.values())
        votes[pair] = Votes(good, len(said) - good, tasks.raters)
    return Rated(votes, Counter(rater for said in given.values() for rater in said), torn)


@dataclass(frozen=True)
class Judgements:
    """Votes by (picture, caption), both as Flickr8k names them; how many pairs each file holds."""

    votes: Mapping[tuple[str, str], Votes]
    counts: dict[str, int]

    def captions(self) -> set[str]:
        """Every caption that was judged with any picture."""
        return {caption for _, caption in self.votes}


def read_judgements(folder: Path) -> Judgements:
    """Flickr8k's expert (three people, 1 to 4) and crowd (yes and no, three or more) judgements.

    An expert's 3 or 4 is a good, as a crowd's yes is. Where both judged a pair the experts count. Names lose
    their ".jpg"; `x.jpg#2` becomes `x_2`, as clips are called. Raises RatingsError.
    """
    votes: dict[tuple[str, str], Votes] = {}
    counts = {}
    for name, fields in ((CROWD, 5), (EXPERTS, 5)):
        try:
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise RatingsError(
                f"{folder / name} cannot be read ({error.strerror}); it comes with Flickr8k"
            ) from error
        for number, line in enumerate(lines, start=1):
            parts = line.split("\t")
            try:
                if len(parts) != fields:
                    raise ValueError(f"{len(parts)} fields")
                key = (parts[0].removesuffix(".jpg"), parts[1].replace(".jpg#", "_"))
                if name == EXPERTS:
                    good = sum(int(score) >= EXPERT_GOOD for score in parts[2:])
                    votes[key] = Votes(good, 3 - good, 3)
                else:
                    yes, no = int(parts[3]), int(parts[4])
                    votes[key] = Votes(yes, no, yes + no)
            except ValueError as error:
                raise RatingsError(f"{folder / name} line {number} is no judgement ({error})") from error
        counts[name] = len(lines)
    return Judgements(votes, counts)
