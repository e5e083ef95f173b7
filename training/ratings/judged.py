"""Human-judged recall of a run on Flickr8k from the judgements that come with it: no rater is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.evaluate import Embedded, only
from training.ratings.tables import HEAD, KS, READING, human_recall, kappa_of, kappa_sentence, recall_rows
from training.ratings.tasks import RatingsError
from training.ratings.votes import CROWD, EXPERTS, Judgements, Votes
from training.report.nearest import nearest
from training.report.tables import markdown

HITS = 5
Verdicts = Sequence[Sequence[Sequence[bool | None]]]
"""Of every hit of every query, in both directions; None where a hit is open."""


@dataclass(frozen=True)
class Judged:
    """What people's judgements say of a run: recall among pictures and those captions that were judged.

    `verdicts` by reading. automatic: the two belong together. human: judged good; hits that nobody judged are
    open. either: belonging together counts as good as well. Of `pairs` among the first hits `pairs_judged`
    were judged; `by_three` are the votes of all pairs that three people judged.
    """

    captions: int
    captions_in_all: int
    pictures: int
    pairs: int
    pairs_judged: int
    judgements: Mapping[str, int]
    by_three: Sequence[Votes]
    verdicts: Mapping[str, Verdicts]

    def table(self) -> str:
        """The three readings as a table, and what they stand on."""
        rows = [recall_rows(name, both) for name, both in self.verdicts.items()]
        experts, crowd = self.judgements[EXPERTS], self.judgements[CROWD]
        counted = (
            f"{self.captions} captions that were judged (of {self.captions_in_all}) and {self.pictures} "
            f"pictures. Of {self.pairs} pairs among the first {HITS}, {self.pairs_judged} were judged by "
            f"people, the rest is open ({experts} expert and {crowd} crowd judgements in all, each by three "
            "people or more; where both judged a pair the experts count). either: own pairs are good, too."
        )
        return f"{markdown(HEAD, rows)}\n\n{counted} {READING} {kappa_sentence(self.by_three)}"

    def to_dict(self) -> dict[str, object]:
        """For the JSON of evaluate. Recall as [if all that is open were not good, if it were good]."""
        recall = {
            name: {
                way: {f"R@{k}": [round(bound, 4) for bound in human_recall(hits, k).bounds] for k in KS}
                for way, hits in zip(("speech_to_image", "image_to_speech"), both, strict=True)
            }
            for name, both in self.verdicts.items()
        }
        kappa = kappa_of(self.by_three) if self.by_three else None
        return {
            "clips": self.captions,
            "pictures": self.pictures,
            "pairs": self.pairs,
            "pairs_judged": self.pairs_judged,
            "judgements": {"expert": self.judgements[EXPERTS], "crowd": self.judgements[CROWD]},
            "kappa": None if kappa is None else round(kappa, 4),
            "recall": recall,
        }


def judge(embedded: Embedded, judgements: Judgements) -> Judged:
    """Recall among pictures and those captions that were judged at all (one of five).

    Raises RatingsError where no caption was judged.
    """
    wanted = judgements.captions()
    gallery = only(embedded, lambda clip: clip.id in wanted)
    if not gallery.clips:
        raise RatingsError(
            f"none of the {len(embedded.clips)} spoken captions was judged; the judgements are on Flickr8k's "
            f"test split, of captions such as {min(wanted)!r}"
        )
    every = max(len(gallery.clips), len(gallery.pictures))
    automatic: list[list[tuple[bool, ...]]] = []
    human: list[list[list[bool | None]]] = []
    shown = judged = 0
    for way, found in enumerate(nearest(gallery, every, HITS, seed=0)):
        said = []
        for one in found:
            ids = [(hit.id, one.query.id) if way == 0 else (one.query.id, hit.id) for hit in one.hits]
            votes = [judgements.votes.get(key) for key in ids]
            shown, judged = shown + len(votes), judged + sum(vote is not None for vote in votes)
            said.append([vote.verdict if vote else None for vote in votes])
        automatic.append([one.right for one in found])
        human.append(said)
    either = [
        [[True if a else b for a, b in zip(own, said, strict=True)] for own, said in zip(*both, strict=True)]
        for both in zip(automatic, human, strict=True)
    ]
    return Judged(
        captions=len(gallery.clips),
        captions_in_all=len(embedded.clips),
        pictures=len(gallery.pictures),
        pairs=shown,
        pairs_judged=judged,
        judgements=judgements.counts,
        by_three=[votes for votes in judgements.votes.values() if votes.wanted == 3],
        verdicts={"automatic": automatic, "human": human, "either": either},
    )
