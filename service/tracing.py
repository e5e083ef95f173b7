"""Traces for OpenTelemetry: a span a request, one a stage, and one a run of the model, linked to its stages.

Asked for by OpenTelemetry's own variables; without them its SDK is not imported and no span is made. Spans of
stages are made at the end of a request from the times in its account, so that nothing waits for them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING

from service.account import Account
from service.stages import Took

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue

EndTrace = Callable[[str, str, int], None]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_FLUSH_SECONDS = 3.0  # what the last spans may take at the end, however the collector fares


class TracingUnusable(Exception):
    """Traces were asked for and cannot be exported; the message says what to do."""


def traces_wanted() -> bool:
    """Whether the environment asks for traces. Raises TracingUnusable where they cannot be had."""
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)
    if endpoint is None:
        return False
    protocol = next((name for name in _PROTOCOLS if os.environ.get(name, "").strip()), None)
    if protocol is not None and os.environ[protocol].strip() != _PROTOCOL:
        raise TracingUnusable(
            f"{protocol} is {os.environ[protocol]!r} and traces are exported by {_PROTOCOL} alone: set it to "
            "that, or unset it."
        )
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise TracingUnusable(
            f"{endpoint} asks for traces and their packages are not installed ({error}): "
            "pip install 'saysee[otel]', or unset it."
        ) from error
    return True


def open_traces(version: str) -> Traces | None:
    """Traces to where the environment says, None where it says nothing. Raises TracingUnusable."""
    if not traces_wanted():
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Traces(OTLPSpanExporter(), version)


class Traces:
    """Makes spans and exports them from a thread of its own. Safe from any thread."""

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        ours: dict[str, AttributeValue] = {
            "service.name": "saysee",
            "service.version": version,
            "process.pid": os.getpid(),
        }
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("saysee", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str], account: Account) -> EndTrace:
        """The span of a request that begins now, in its client's trace where the headers name one; the
        account learns the trace's id. To be called with method, route and status at its end.
        """
        from opentelemetry.trace import SpanKind, format_trace_id

        span = self._tracer.start_span(
            "request", context=self._propagator.extract(headers), kind=SpanKind.SERVER
        )
        account.trace_id = format_trace_id(span.get_span_context().trace_id)
        return partial(self._end, span, account)

    def _end(self, span: Span, account: Account, method: str, route: str, status: int) -> None:
        from opentelemetry.trace import Link, StatusCode, set_span_in_context

        if not span.is_recording():
            return
        within = set_span_in_context(span)
        for stage, took in account.times:
            waited = self._tracer.start_span(
                "queue", context=within, start_time=_epoch_ns(took.asked), attributes={"saysee.stage": stage}
            )
            waited.end(_epoch_ns(took.started))
            links = [Link(took.run)] if took.run is not None else []
            worked = self._tracer.start_span(
                stage, context=within, links=links, start_time=_epoch_ns(took.started)
            )
            worked.end(_epoch_ns(took.ended))
        span.update_name(f"{method} {route}")
        known: dict[str, str | int | None] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "saysee.request_id": account.id,
            "saysee.generation": account.generation,
            "saysee.modality": account.modality,
            "error.type": account.problem,
        }
        span.set_attributes({name: value for name, value in known.items() if value is not None})
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def run(self, modality: str, size: int, took: Took) -> SpanContext:
        """The span of a run of the model over `size` inputs, of whomever: a trace of its own to be linked."""
        from opentelemetry.context import Context

        attributes: dict[str, AttributeValue] = {"saysee.modality": modality, "saysee.batch_size": size}
        span = self._tracer.start_span(
            "run of the model", context=Context(), start_time=_epoch_ns(took.started), attributes=attributes
        )
        span.end(_epoch_ns(took.ended))
        return span.get_span_context()

    def close(self) -> None:
        """Export what is left, for a few seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)


def _epoch_ns(at: float) -> int:
    """A time of perf_counter as nanoseconds since 1970."""
    return time.time_ns() - round(1e9 * (perf_counter() - at))
