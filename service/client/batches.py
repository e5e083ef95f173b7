"""Many files as batches that the server takes: read when their turn comes, answered file by file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from indexer.collection import CollectionName as Collection
from indexer.progress import Stage
from service.client import calls
from service.client.errors import ClientError, FileUnusable, Refused, Unreachable
from service.client.exchange import Conversation, Retries, converse
from service.client.media import Media, name_of, read_media
from service.schemas import LimitsAnswer, ProblemAnswer, SearchAnswer

_FORM_BYTES = 512  # more than a file's place in a form takes
_OUT_OF_TIME = "/problems/out-of-time"
_OVERLOADED = "/problems/overloaded"
_LATE = frozenset({_OUT_OF_TIME})


@dataclass(frozen=True)
class Outcome:
    """What became of one file: an answer, or the error that is its own. `name` is for people."""

    media: Media
    name: str
    answer: SearchAnswer | None = None
    error: ClientError | None = None


@dataclass(frozen=True)
class _Taken:
    media: Media
    name: str
    data: bytes | ClientError


@dataclass(frozen=True)
class Batch:
    """Files for one request, and those between them that were not worth sending."""

    taken: tuple[_Taken, ...]

    @property
    def files(self) -> tuple[bytes, ...]:
        """What to send; may be nothing."""
        return tuple(one.data for one in self.taken if isinstance(one.data, bytes))

    def outcomes(self, results: Sequence[SearchAnswer | ProblemAnswer | ClientError]) -> list[Outcome]:
        """What became of every file, given what came of those that were sent; both in order."""
        came = iter(results)
        return [
            Outcome(one.media, one.name, error=one.data)
            if isinstance(one.data, ClientError)
            else _outcome(one, next(came))
            for one in self.taken
        ]


def ask(
    batch: Batch, target: Collection, k: int | None, retries: Retries, *, halve: bool = True
) -> Conversation[list[Outcome]]:
    """What became of every file of a batch. What is wrong with the request as a whole is an error of each,
    except that nobody answers: Unreachable. What a slow server cannot do in time it is asked in halves at
    once; what it has no room for, once the retries are used up.
    """
    if not batch.files:
        return batch.outcomes([])
    several = halve and len(batch.files) > 1
    try:
        # Tried again as they are, several take as long, and cost the server its whole deadline each time.
        call = calls.search_batch(batch.files, target, k, final=_LATE if several else frozenset())
        answer = yield from converse(call, retries)
    except Unreachable:
        raise
    except ClientError as error:
        if not (several and isinstance(error, Refused) and error.type in (_OUT_OF_TIME, _OVERLOADED)):
            return batch.outcomes([error] * len(batch.files))
    else:
        return batch.outcomes(answer.results)
    middle = len(batch.taken) // 2
    before = yield from ask(Batch(batch.taken[:middle]), target, k, retries)
    sent = [one for one in before if not isinstance(one.error, FileUnusable)]
    rest = Batch(batch.taken[middle:])
    if sent and all(map(_without_room, sent)):
        # Nor are the others likely to find any: they are tried once, all together.
        after = yield from ask(rest, target, k, replace(retries, most=0), halve=False)
    else:
        after = yield from ask(rest, target, k, retries)
    return before + after


class Tally:
    """Tells a stage how many files were answered and how many failed, as their outcomes are handed on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._done = 0
        self._failed = 0

    def passing(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The same outcomes, counted."""
        for outcome in outcomes:
            self._done += 1
            self._failed += outcome.error is not None
            self._stage.reach(self._done, f"{self._failed} failed" if self._failed else "")
            yield outcome


def batches(every: Iterable[Media], limits: LimitsAnswer) -> Iterator[Batch]:
    """All files in their order, as few batches as the server's limits allow."""
    most_bytes = limits.max_body_bytes - _FORM_BYTES
    taken: list[_Taken] = []
    size_bytes = 0
    for number, media in enumerate(every, 1):
        one = _take(media, number, most_bytes - _FORM_BYTES)
        more_bytes = len(one.data) + _FORM_BYTES if isinstance(one.data, bytes) else 0
        if taken and (len(taken) == limits.max_files or size_bytes + more_bytes > most_bytes):
            yield Batch(tuple(taken))
            taken, size_bytes = [], 0
        taken.append(one)
        size_bytes += more_bytes
    if taken:
        yield Batch(tuple(taken))


def _take(media: Media, number: int, max_bytes: int) -> _Taken:
    name = name_of(media, number)
    try:
        return _Taken(media, name, read_media(media, max_bytes))
    except FileUnusable as error:
        return _Taken(media, name, error)


def _without_room(outcome: Outcome) -> bool:
    return isinstance(outcome.error, Refused) and outcome.error.type == _OVERLOADED


def _outcome(one: _Taken, result: SearchAnswer | ProblemAnswer | ClientError) -> Outcome:
    if isinstance(result, SearchAnswer):
        return Outcome(one.media, one.name, answer=result)
    if isinstance(result, ProblemAnswer):
        result = Refused(result.status, result.type, result.title, result.detail, result.request_id)
    return Outcome(one.media, one.name, error=result)
