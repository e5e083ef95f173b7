"""The golden clip and picture sent through the whole path: decode, encode, search, metadata.

What a load balancer believes is what this says; a port that answers proves nothing about the model behind it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from indexer.ann import AnnError
from indexer.encoder import EncoderError
from indexer.media import MediaError, MediaLimits, decode_image, decode_speech
from indexer.milvus import MilvusUnavailable
from indexer.store import StoreError
from service.logs import event
from service.metrics import Metrics
from service.readiness import Readiness
from service.snapshot import Holder, NotReady, Snapshot

log = logging.getLogger(__name__)


class CanaryFailed(Exception):
    """A golden pair did not come through; the message says at which stage."""


_OURS = (CanaryFailed, MediaError, EncoderError, StoreError, AnnError)
"""Whose messages are sentences."""


class Canary:
    """Sent through what serves at the moment, and readiness is what it says; to be told within
    `patience_seconds`, for a model that never ends is none that serves. `give_up` is told why when `most` in
    a row have failed, or one has taken as long as so many may; where `most` is 0 it never is.
    """

    def __init__(
        self,
        holder: Holder,
        limits: MediaLimits,
        patience_seconds: float,
        metrics: Metrics,
        readiness: Readiness,
        most: int,
        give_up: Callable[[str], None],
    ) -> None:
        self._holder = holder
        self._limits = limits
        self._patience_seconds = patience_seconds
        self._metrics = metrics
        self._readiness = readiness
        self._most = most
        self._give_up = give_up
        self._failed = 0  # in a row

    def send(self) -> None:
        """Waits for it, and raises nothing."""
        try:
            with self._watched(), self._holder.borrow() as snapshot:
                send_canary(snapshot, self._limits)
        except NotReady:
            return  # nothing serves any more: it was on its way when the end came
        except Exception as error:  # however a model fails, it is not ready
            # The traceback of a Milvus that is away tells nothing, and this comes every half minute.
            is_known = isinstance(error, MilvusUnavailable)
            said = str(error) if isinstance(error, _OURS) else repr(error)
            sentence = "The canary did not come through: %s"
            log.error(sentence, said, exc_info=not is_known, extra=event("canary-failed"))
            self._fail(said)
            if is_known:  # it comes back, and starting anew would not bring it
                return
            self._failed += 1
            if self._failed == self._most:
                self._give_up(f"the golden pair has failed {self._failed} times in a row")
        else:
            self._failed = 0
            self._readiness.restore("canary")
            self._readiness.set(True)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Another thread says that it takes too long, for this one waits."""
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), name="canary-watch", daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()  # what it may have begun to say comes before what follows

    def _watch(self, over: threading.Event) -> None:
        if over.wait(self._patience_seconds):
            return
        self._overdue()
        if self._most > 0 and not over.wait((self._most - 1) * self._patience_seconds):
            self._give_up(f"the golden pair is under way for {self._most * self._patience_seconds:g} s")

    def _overdue(self) -> None:
        sentence = f"The golden pair did not come through within {self._patience_seconds:g} s."
        log.error(sentence, extra=event("canary-failed"))
        self._fail(sentence)

    def _fail(self, sentence: str) -> None:
        self._metrics.canary_failures.inc()
        self._readiness.degrade("canary", sentence)
        self._readiness.set(False)


def send_canary(snapshot: Snapshot, limits: MediaLimits) -> None:
    """Raises CanaryFailed, MediaError, EncoderError or StoreError by stage."""
    manifest, golden = snapshot.generation.bundle.manifest, snapshot.golden
    waveform = decode_speech(golden.speech_wav, manifest.media, limits)
    pixels = decode_image(golden.image_png, manifest.media, limits)
    tolerance = manifest.golden_tolerance
    for name, got_1D, wanted_D in (
        ("clip", snapshot.encoder.speech([waveform]), golden.speech_vector),
        ("picture", snapshot.encoder.image([pixels]), golden.image_vector),
    ):
        _check_vector(name, got_1D[0], wanted_D, tolerance)
        for collection, part in snapshot.generation.manifest.collections.items():
            hits = snapshot.generation.search(collection, got_1D, 1)[0]
            if part.count and not (hits and np.isfinite(hits[0].score)):
                raise CanaryFailed(f"A search for the golden {name} among the {collection} found nothing.")
            for hit in hits:
                snapshot.generation.item(collection, hit.id, from_file=True)


def _check_vector(
    name: str, got_D: NDArray[np.float32], wanted_D: NDArray[np.float32], tolerance: float
) -> None:
    difference = float(np.max(np.abs(got_D - wanted_D)))
    if not difference <= tolerance:  # so that NaN fails
        raise CanaryFailed(
            f"The golden {name} gives a vector that differs by {difference:.2g} from the bundle's; "
            f"{tolerance:.2g} is allowed."
        )
