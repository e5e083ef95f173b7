"""Human-judged recall of a run on Flickr8k from the judgements that come with it: no rater is needed."""

from __future__ import annotations

from training.evaluate import Embedded, only
from training.ratings.tables import HEAD, READING, kappa_sentence, recall_rows
from training.ratings.tasks import RatingsError
from training.ratings.votes import CROWD, EXPERTS, Judgements
from training.report.nearest import nearest
from training.report.tables import markdown

HITS = 5


def judged_table(embedded: Embedded, judgements: Judgements) -> str:
    """Recall among pictures and those captions that were judged at all (one of five), three readings.

    automatic: the two belong together. human: judged good; hits nobody judged are open. either: belonging
    together counts as good as well. Raises RatingsError where no caption was judged.
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
    rows = [recall_rows("automatic", automatic), recall_rows("human", human), recall_rows("either", either)]
    by_three = [votes for votes in judgements.votes.values() if votes.wanted == 3]
    experts, crowd = judgements.counts[EXPERTS], judgements.counts[CROWD]
    counted = (
        f"{len(gallery.clips)} captions that were judged (of {len(embedded.clips)}) and "
        f"{len(gallery.pictures)} pictures. Of {shown} pairs among the first {HITS}, {judged} were judged by "
        f"people, the rest is open ({experts} expert and {crowd} crowd judgements in all, each by three "
        "people or more; where both judged a pair the experts count). either: own pairs are good, too."
    )
    return f"{markdown(HEAD, rows)}\n\n{counted} {READING} {kappa_sentence(by_three)}"
