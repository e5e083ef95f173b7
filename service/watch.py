"""Which generation is served: the best at start, a new CURRENT once noticed, promote and rollback on call.

Every new generation is loaded, verified and sent a canary aside, and swapped in only then; whatever fails
leaves the old one serving and is told in /readyz, the metrics and the log. One thread owns all of that:
generations are opened and closed on it, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from indexer import store
from indexer.ann import AnnError
from indexer.bundle import BundleError
from indexer.encoder import EncoderError
from indexer.media import MediaError, MediaLimits
from indexer.store.history import changing_current, promoted_stack, set_current
from indexer.store.layout import CURRENT
from service.admission import Pace
from service.canary import Canary, CanaryFailed
from service.loader import Loader
from service.logs import event
from service.metrics import Metrics
from service.owner import Owner
from service.readiness import Readiness, provider_fault
from service.settings import Settings
from service.snapshot import Holder, NotReady, Snapshot
from service.swap import GenerationRefused, IndexUnwritable, Swap, writing

log = logging.getLogger(__name__)

_T = TypeVar("_T")

UNFIT = (store.StoreError, BundleError, EncoderError, MediaError, AnnError, CanaryFailed, OSError)
"""All that can be wrong with a generation. Anything else is a fault of ours, logged with its traceback."""

_NO_CURRENT = "CURRENT names no generation; {} is served: promote one."


class Keeper:
    """Keeps one sound generation in its `holder`. `start` and `close` once each; the rest from any thread."""

    def __init__(
        self, settings: Settings, limits: MediaLimits, threads: int, metrics: Metrics, pace: Pace
    ) -> None:
        self._index = settings.index
        self._settings = settings
        self._metrics = metrics
        self._loader = Loader(settings, limits, threads, pace)
        self._owner = Owner("generation-owner")
        self._seen: tuple[int, ...] | None = None
        # Whether what should serve does not, because the Milvus that has its vectors does not answer.
        self._is_out_of_reach = False
        self.refused: dict[str, str] = {}  # why, by generation; replaced whole, never changed: others read it
        self.holder = Holder(self._retire)
        self.readiness = Readiness(metrics)
        self.gave_up: str | None = None  # why it ended by itself
        self._canary = Canary(
            self.holder,
            limits,
            settings.deadline_seconds,
            metrics,
            self.readiness,
            most=settings.give_up_after,
            give_up=self._give_up,
        )

    # Called from outside the owner thread.

    def start(self) -> None:
        """Serve the current generation, or the last promoted one that is sound; raises the first of UNFIT."""
        self._owner.submit(self._start).result()

    async def promote(self, name: str) -> Swap:
        """Serve from now on the generation of that id, or the one called newest or current.

        Raises UnknownGeneration, GenerationRefused.
        """
        return (await self._on_owner(lambda: self._promote(name))).told("promoted")

    async def rollback(self) -> Swap:
        """Serve what was served before. Raises NothingToRollBack, GenerationRefused."""
        return (await self._on_owner(self._rollback)).told("rolled-back")

    async def watch(self) -> None:
        """Look at CURRENT and send canaries, for ever; cancel it to end it."""
        canary_due = time.monotonic() + self._settings.canary_seconds
        while True:
            self._metrics.measure_memory()
            await asyncio.sleep(self._settings.poll_seconds)
            try:
                await self._on_owner(self._poll)
                if time.monotonic() >= canary_due:
                    await self._on_owner(self._canary.send)
                    canary_due = time.monotonic() + self._settings.canary_seconds
                    if self._is_out_of_reach:
                        self._seen = None  # it is tried again as often as a canary is sent
            except Exception:
                log.exception("Watching %s failed; it goes on.", self._index)

    def close(self) -> None:
        """Stop serving; what is under way, a load perhaps, is waited for as long as a query may take."""
        self.readiness.set(False)
        self.holder.swap(None)
        seconds = self._settings.deadline_seconds
        if not self._owner.close(seconds):
            sentence = "What a model or an index is at did not end within %g s: it is left behind."
            log.warning(sentence, seconds, extra=event("left-behind"))

    # On the owner thread.

    def _start(self) -> None:
        self._seen = self._mark()
        candidates = promoted_stack(self._index)[::-1]
        if not candidates:
            store.open_index(self._index).close()  # raises: it knows best what is missing
        first_error: Exception | None = None
        for generation in candidates:
            try:
                snapshot = self._load(generation)
            except UNFIT as error:
                self._refuse(generation, error)
                first_error = first_error or error
                continue
            self._take_up(snapshot)
            self._warm(snapshot.encoder.warming())  # while it serves: no start waits for it
            self._is_out_of_reach = isinstance(first_error, store.VectorsUnreachable)
            if first_error is not None:
                self.readiness.degrade(
                    "generation", f"Generation {generation} serves in place of {candidates[0]}: {first_error}"
                )
            elif store.current_generation(self._index) is None:
                self.readiness.degrade("generation", _NO_CURRENT.format(generation))
            return
        if first_error is not None:
            raise first_error

    def _load(self, generation: str) -> Snapshot:
        return self._loader.load(generation, self.holder.current)

    def _warm(self, shapes: Iterator[object]) -> None:
        """One shape after the other, each in its turn: a promotion, or the end, need not wait for all."""

        def next_shape() -> None:
            try:
                next(shapes)
            except StopIteration:
                return
            except EncoderError:
                log.exception("The encoder fails on a shape that queries may have.")
            else:
                self._warm(shapes)

        with suppress(RuntimeError):  # closed meanwhile
            self._owner.submit(next_shape)

    def _take_up(self, snapshot: Snapshot) -> None:
        self.holder.swap(snapshot)
        self.refused = {name: why for name, why in self.refused.items() if name != snapshot.id}
        manifest = snapshot.generation.manifest
        counts = {str(name): part.count for name, part in manifest.collections.items()}
        self._metrics.serving(snapshot.id, snapshot.model, snapshot.encoder.provider, counts)
        self._metrics.swaps.labels("swapped").inc()
        self.readiness.set(True, provider_fault(self._settings.provider, snapshot.encoder.provider))
        told = event("generation-served", generation=snapshot.id, model=snapshot.model)
        log.info("Generation %s is served now (model %s).", snapshot.id, snapshot.model, extra=told)

    def _serving(self) -> Snapshot:
        if self.holder.current is None:
            raise NotReady
        return self.holder.current

    def _promote(self, name: str) -> Swap:
        serving = self._serving()
        generation = store.find_generation(self._index, name)
        snapshot = serving if generation == serving.id else self._load_or_refuse(generation)
        try:
            with writing():
                change = store.promote(self._index, generation)
        except (*UNFIT, IndexUnwritable) as error:
            if snapshot is not serving:
                snapshot.generation.close()
            if isinstance(error, IndexUnwritable):
                raise
            raise GenerationRefused(generation, error) from error
        return self._swap_to(snapshot, serving, change)

    def _rollback(self) -> Swap:
        serving = self._serving()
        with writing():
            change = store.rollback(self._index)
        try:
            snapshot = serving if change.generation == serving.id else self._load_or_refuse(change.generation)
        except BaseException:
            if change.previous is not None:  # as it was, whether or not it would be taken up today
                with changing_current(self._index):
                    if store.current_generation(self._index) == change.generation:
                        set_current(self._index, change.previous, "promote")
            raise
        return self._swap_to(snapshot, serving, change)

    def _swap_to(self, snapshot: Snapshot, serving: Snapshot, change: store.Change) -> Swap:
        mark = self._mark()
        # Where somebody else has promoted another one since, that is for the next poll to take up.
        self._seen = mark if store.current_generation(self._index) == snapshot.id else None
        if snapshot is serving:
            self.readiness.restore("generation")
        else:
            self._take_up(snapshot)
        # What everybody else served: this process may not have heard of the change before.
        others = change.previous if change.previous != snapshot.id else None
        return Swap(snapshot.id, others or serving.id, snapshot.model)

    def _load_or_refuse(self, generation: str) -> Snapshot:
        try:
            return self._load(generation)
        except store.UnknownGeneration:
            raise
        except UNFIT as error:
            self._refuse(generation, error)
            raise GenerationRefused(generation, error) from error

    def _refuse(self, generation: str, error: Exception) -> None:
        self._metrics.swaps.labels("refused").inc()
        self.refused = {**self.refused, generation: str(error) or type(error).__name__}
        told = event("generation-refused", generation=generation)
        log.error("Generation %s is refused: %s", generation, error, extra=told)

    def _poll(self) -> None:
        """Take up the generation that CURRENT names, if it changed since it was looked at last."""
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        self._is_out_of_reach = False
        wanted = store.current_generation(self._index)
        serving = self._serving()
        if wanted is None:
            self.readiness.degrade("generation", _NO_CURRENT.format(serving.id))
        elif wanted == serving.id:
            self.readiness.restore("generation")
        else:
            try:
                self._take_up(self._load_or_refuse(wanted))
            except (GenerationRefused, store.UnknownGeneration) as error:
                self._is_out_of_reach = isinstance(error.__cause__, store.VectorsUnreachable)
                self.readiness.degrade("generation", str(error))

    def _mark(self) -> tuple[int, ...] | None:
        """Changes whenever CURRENT is replaced; None where there is none."""
        with suppress(OSError):
            status = os.stat(self._index / CURRENT)
            return status.st_mtime_ns, status.st_size, status.st_ino
        return None

    def _retire(self, snapshot: Snapshot) -> None:
        """Close on the owner thread; after `close` has stopped it, here."""
        try:
            self._owner.submit(partial(_let_go, snapshot))
        except RuntimeError:
            snapshot.generation.close()

    def _give_up(self, why: str) -> None:
        """From any thread: end as if asked to, so that whoever keeps this process starts it anew."""
        self.gave_up = f"SaySee cannot answer queries and ends, to be started anew: {why}."
        log.critical(self.gave_up, extra=event("gave-up"))
        os.kill(os.getpid(), signal.SIGTERM)

    async def _on_owner(self, work: Callable[[], _T]) -> _T:
        return await asyncio.wrap_future(self._owner.submit(work))


def _let_go(snapshot: Snapshot) -> None:
    """Close it on the thread that also held it last, with its encoder where no newer one shares that."""
    snapshot.generation.close()
