"""Can it serve, and what is wrong all the same: the word of /readyz and of the metrics."""

from __future__ import annotations

import logging

from indexer.session import Provider, missed_cuda
from service.logs import event
from service.metrics import Metrics

log = logging.getLogger(__name__)


class Readiness:
    """`ready` is the canary's word; `degraded` holds a sentence for each reason. One thread writes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.ready = False
        self.leaving = False
        self.degraded: dict[str, str] = {}  # replaced whole, never changed in place: others read it

    def set(self, ready: bool, degraded: dict[str, str] | None = None) -> None:
        """Say whether it can serve; without `degraded` what is wrong stays as it was."""
        self.ready = ready and not self.leaving
        self.degraded = self.degraded if degraded is None else degraded
        self._metrics.health(self.ready, self.degraded)

    def leave(self) -> None:
        """Not ready from now on, whatever else is said: this server is about to stop."""
        self.leaving = True
        self.set(False, {**self.degraded, "stopping": "This server is about to stop."})

    def degrade(self, reason: str, sentence: str) -> None:
        """Name something that is wrong while it serves."""
        log.warning("Degraded (%s): %s", reason, sentence, extra=event("degraded", reason=reason))
        self.set(self.ready, {**self.degraded, reason: sentence})

    def restore(self, reason: str) -> None:
        """That is right again."""
        if reason in self.degraded:
            log.info("No longer degraded (%s).", reason, extra=event("restored", reason=reason))
        self.set(self.ready, {name: sentence for name, sentence in self.degraded.items() if name != reason})


def provider_fault(asked: Provider, used: str) -> dict[str, str]:
    """A GPU build that fell back to the CPU answers rightly and slowly: nobody would notice otherwise."""
    if not missed_cuda(asked, used):
        return {}
    return {
        "provider": f"The GPU build of ONNX Runtime is installed and the encoder runs on {used}: "
        "`python -m indexer doctor` says why."
    }
