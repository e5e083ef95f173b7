"""One generation with the encoder that made its vectors, and the holder that hands them out as ONE thing.

A request borrows a snapshot once and keeps it to its end, so no answer mixes two generations. A snapshot that
was swapped out is retired when its last reader leaves, never earlier.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from indexer.bundle import Golden
from indexer.encoder import Encoder
from indexer.media import MediaSpec
from indexer.session import CPU
from indexer.store import Generation
from service.account import current
from service.costs import Prices

MODEL_DIGITS = 12


class NotReady(Exception):
    """No generation is being served, so nothing can be answered yet."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why or "No index is being served at this moment; try again shortly.")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What one request sees: an open generation and the encoder of the very bundle it was built with."""

    generation: Generation
    encoder: Encoder
    golden: Golden  # read at load, so that the canary needs no file that a prune may have taken away
    prices: Prices

    @property
    def id(self) -> str:
        return self.generation.id

    @property
    def waits_elsewhere(self) -> bool:
        """Whether a query spends much of its time on no core of ours: on a GPU, or asking a Milvus."""
        return self.encoder.provider != CPU or self.generation.manifest.milvus is not None

    @property
    def media(self) -> MediaSpec:
        """The form in which the encoder takes speech and pictures."""
        return self.generation.bundle.manifest.media

    @property
    def fingerprint(self) -> str:
        return self.generation.bundle.fingerprint

    @property
    def model(self) -> str:
        """The short form of the fingerprint that answers carry."""
        return self.fingerprint[:MODEL_DIGITS]


class Holder:
    """The snapshot being served, and a count of readers for each still in use. Safe from any thread."""

    def __init__(self, retire: Callable[[Snapshot], None]) -> None:
        self._retire = retire
        self._lock = threading.Lock()
        self._current: Snapshot | None = None
        self._readers: dict[Snapshot, int] = {}

    @property
    def current(self) -> Snapshot | None:
        """What is being served, for reading its names only: it may be retired at any time."""
        return self._current

    @contextmanager
    def borrow(self) -> Iterator[Snapshot]:
        """The current snapshot, kept open until the block ends. Raises NotReady when there is none."""
        with self._lock:
            snapshot = self._current
            if snapshot is None:
                raise NotReady
            self._readers[snapshot] = self._readers.get(snapshot, 0) + 1
        current().generation = snapshot.id
        try:
            yield snapshot
        finally:
            with self._lock:
                self._readers[snapshot] -= 1
                unused = self._readers[snapshot] == 0
                if unused:
                    del self._readers[snapshot]
                unused = unused and snapshot is not self._current
            if unused:
                self._retire(snapshot)

    def swap(self, new: Snapshot | None) -> None:
        """Serve `new` from now on; the one before is retired now, or when its last reader leaves."""
        with self._lock:
            old, self._current = self._current, new
            unused = old is not None and old is not new and old not in self._readers
        if unused and old is not None:
            self._retire(old)
