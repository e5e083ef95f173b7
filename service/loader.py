"""A generation made ready aside: opened, verified, its model timed and the golden pair sent through it."""

from __future__ import annotations

import logging
import time

from indexer import store
from indexer.bundle import read_golden
from indexer.encoder import Encoder
from indexer.media import MediaLimits
from service.admission import Pace
from service.canary import send_canary
from service.costs import Prices, find_out
from service.logs import event
from service.settings import Settings
from service.snapshot import Snapshot

log = logging.getLogger(__name__)


class Loader:
    """On the thread that owns what is served. `pace` hears of every new model how fast it is."""

    def __init__(self, settings: Settings, limits: MediaLimits, threads: int, pace: Pace) -> None:
        self._settings = settings
        self._limits = limits
        self._threads = threads
        self._pace = pace

    def load(self, generation: str, serving: Snapshot | None) -> Snapshot:
        """Ready to be served in place of `serving`, with whose encoder where that is of the same model.

        Nothing of it stays open when it fails, with one of `watch.UNFIT`.
        """
        started = time.perf_counter()
        opened = store.open_index(
            self._settings.index,
            generation,
            device=self._settings.index_device,
            threads=self._threads,
            mapped=self._settings.workers > 1,  # then they share its memory
        )
        try:
            if serving is not None and serving.fingerprint == opened.bundle.fingerprint:
                snapshot = Snapshot(opened, serving.encoder, read_golden(opened.bundle), serving.prices)
                send_canary(snapshot, self._limits)
            else:
                snapshot = self._with_new_encoder(opened)
                if serving is not None:  # else it warms up while it serves: no start waits for that
                    for _ in snapshot.encoder.warming():
                        pass
        except BaseException:
            opened.close()
            raise
        took = round(time.perf_counter() - started, 3)
        told = event("generation-loaded", generation=generation, seconds=took)
        log.info("Generation %s loaded in %.2f s.", generation, took, extra=told)
        return snapshot

    def _with_new_encoder(self, generation: store.Generation) -> Snapshot:
        """Golden pairs are checked on load; prices and pace are found out when the way was gone once."""
        media, golden = generation.bundle.manifest.media, read_golden(generation.bundle)
        encoder = Encoder(
            generation.bundle,
            provider=self._settings.provider,
            threads=self._threads,
            max_batch=self._settings.max_batch,
        )
        send_canary(Snapshot(generation, encoder, golden, Prices(media.max_seconds)), self._limits)
        prices, per_second = find_out(encoder, golden, media, self._limits)
        self._pace.seed(per_second)
        return Snapshot(generation, encoder, golden, prices)
