"""What Prometheus may ask, in a registry of its own: two apps never share counts.

Of several workers whichever is asked answers for all: where PROMETHEUS_MULTIPROC_DIR was set before the
process began, prometheus_client keeps what each counts in files there, and what is asked is their sum.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from service.stages import STAGES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATM = Path("/proc/self/statm")
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures and their names; those who count hold this, those who ask call `exposition`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        if not _shared():  # these tell of one process only
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self.stage_seconds = Histogram(
            "saysee_stage_seconds",
            "Seconds a query spent in a stage that it went through; queue is all waiting in between.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "saysee_query_seconds",
            "Seconds from letting a query in to its end, which is what its deadline is about.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests = Counter(
            "saysee_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "saysee_request_seconds",
            "Seconds from a request's head to its answer's last byte; not of queries turned away at once.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "saysee_requests_in_flight",
            "Requests being answered now.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.queue_requests = Gauge(
            "saysee_queue_requests",
            "Queries let in and not answered yet.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.queue_seconds = Gauge(
            "saysee_queue_seconds",
            "Seconds that what was let in will take at the pace measured.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.queue_limit_requests = Gauge(
            "saysee_queue_limit_requests",
            "Queries that may be let in at a time.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.queue_limit_seconds = Gauge(
            "saysee_queue_limit_seconds",
            "Seconds of work at which queries are turned away.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.deadline_seconds = Gauge(
            "saysee_deadline_seconds",
            "Seconds that a query may take once its body is there.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.batch_size = Histogram(
            "saysee_batch_size",
            "Inputs that went through the model in one run.",
            ["modality"],
            buckets=_SIZES,
            registry=self.registry,
        )
        self.turned_away = Counter(
            "saysee_turned_away",
            "Queries not answered for want of room (overloaded), time (expired), or for their sender's rate.",
            ["reason"],
            registry=self.registry,
        )
        self.problems = Counter(
            "saysee_problems",
            "Requests answered by a problem, by the end of its type.",
            ["problem"],
            registry=self.registry,
        )
        self.generation_info = Gauge(
            "saysee_generation_info",
            "1 for the generation being served, 0 for those before it.",
            ["generation", "model", "provider"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.generation_items = Gauge(
            "saysee_generation_items",
            "Items in the served generation.",
            ["collection"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.swaps = Counter(
            "saysee_swaps",
            "Generations taken up (swapped) or turned down (refused).",
            ["outcome"],
            registry=self.registry,
        )
        self.canary_failures = Counter(
            "saysee_canary_failures",
            "Canaries that did not come through the whole path.",
            registry=self.registry,
        )
        self.ready = Gauge(
            "saysee_ready",
            "1 while /readyz says ready.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self.degraded = Gauge(
            "saysee_degraded",
            "1 for each reason that /readyz names.",
            ["reason"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )

        self.build_info = Gauge(
            "saysee_build_info",
            "1; the label has the version of the service.",
            ["version"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.workers = Gauge(
            "saysee_workers",
            "Server processes that are alive.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.resident_memory_bytes = Gauge(
            "saysee_resident_memory_bytes",
            "Resident memory of all workers; what they share counts in each.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.workers.set(1)
        # There from the start, or the first of each would be no increase for Prometheus.
        for reason in ("overloaded", "expired", "rate"):
            self.turned_away.labels(reason)
        for outcome in ("swapped", "refused"):
            self.swaps.labels(outcome)
        for stage in STAGES:
            self.stage_seconds.labels(stage)

    def serving(self, generation: str, model: str, provider: str, counts: Mapping[str, int]) -> None:
        """Say which generation is served from now on."""
        _zero(self.generation_info)
        self.generation_info.labels(generation, model, provider).set(1)
        _zero(self.generation_items)
        for collection, count in counts.items():
            self.generation_items.labels(collection).set(count)

    def health(self, ready: bool, reasons: Mapping[str, str]) -> None:
        self.ready.set(1 if ready else 0)
        _zero(self.degraded)
        for reason in reasons:
            self.degraded.labels(reason).set(1)

    def limits(self, requests: int, seconds: float, deadline_seconds: float) -> None:
        """Say what may wait at most, and how long an answer may take."""
        self.queue_limit_requests.set(requests)
        self.queue_limit_seconds.set(seconds)
        self.deadline_seconds.set(deadline_seconds)

    def measure_memory(self) -> None:
        """Say what this process holds at this moment; where there is no /proc it stays 0."""
        with suppress(OSError):
            pages = int(_STATM.read_text().split()[1])
            self.resident_memory_bytes.set(pages * resource.getpagesize())

    def exposition(self) -> bytes:
        if not _shared():
            return generate_latest(self.registry)
        folder = os.environ[_FOLDER]
        for file in Path(folder).glob("gauge_live*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not _is_alive(pid):
                with suppress(FileNotFoundError):  # another worker is asked as well, and was faster
                    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # not annotated
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]  # not annotated
        return generate_latest(registry)


def _shared() -> bool:
    return _FOLDER in os.environ


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 is sent to nobody: it only asks
    except ProcessLookupError:
        return False
    return True


def _zero(gauge: Gauge) -> None:
    """Labels cannot be taken back from files that several processes read, but they can say 0."""
    for metric in gauge.collect():
        for sample in metric.samples:
            gauge.labels(**sample.labels).set(0)
