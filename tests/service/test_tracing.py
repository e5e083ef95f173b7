"""Traces as a collector receives them over OTLP/HTTP, and a service that stays itself without any."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.app import create_app
from service.settings import Settings
from service.stages import Took
from service.tracing import TracingUnusable, open_traces, traces_wanted
from tests.fixtures.local_client import LocalClient
from tests.fixtures.media_bytes import make_png, make_wav

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Told = Callable[[], list[dict[str, Any]]]
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector(ThreadingHTTPServer):
    """Keeps every span it is sent; answers once `may_answer`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.paths: set[str] = set()
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.add(self.path)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.resources.append(said(group.resource.attributes))
            self.server.spans += [span for scope in group.scope_spans for span in scope.spans]
        self.server.may_answer.wait(60)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


def said(attributes: Iterator[KeyValue]) -> dict[str, str]:
    """Attributes by their names, every value as text."""
    return {one.key: str(getattr(one.value, str(one.value.WhichOneof("value")))) for one in attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv(ENDPOINT, collector.address)
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        yield collector
        collector.may_answer.set()
        collector.shutdown()
        thread.join(10)


def test_a_query_is_a_trace_of_its_stages_within_its_clients(
    index: Path, collector: Collector, told: Told
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine-1"}
    with LocalClient(create_app(Settings(index=index, threads=2))) as client:
        answer = client.post("/v1/search/images?k=1", content=make_wav(), headers=headers)
        client.get("/readyz")
        client.get("/metrics")
    (span,) = collector.named("POST /v1/search/images")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.kind == Span.SPAN_KIND_SERVER
    attributes = said(span.attributes)
    assert attributes["saysee.request_id"] == "mine-1"
    assert attributes["saysee.generation"] == answer.json()["generation"]
    assert (attributes["saysee.modality"], attributes["http.response.status_code"]) == ("speech", "200")
    stages = [one for one in collector.spans if one.parent_span_id == span.span_id]
    names = ["queue", "decode", "queue", "encode", "queue", "search"]
    assert [one.name for one in sorted(stages, key=lambda one: one.start_time_unix_nano)] == names
    for one in stages:
        assert one.trace_id == span.trace_id
        assert span.start_time_unix_nano - 10**6 <= one.start_time_unix_nano <= one.end_time_unix_nano
        assert one.end_time_unix_nano <= span.end_time_unix_nano + 10**6
    for stage in ("decode", "encode", "search"):
        (one,) = (one for one in stages if one.name == stage)
        lasted_ms = (one.end_time_unix_nano - one.start_time_unix_nano) / 1e6
        assert lasted_ms == pytest.approx(answer.json()["timings_ms"][stage], abs=0.01)
    assert collector.paths == {"/v1/traces"}
    assert {span.name for span in collector.spans} == {*names, span.name, "run of the model"}
    assert [resource["service.name"] for resource in collector.resources] == ["saysee"]
    assert [line["trace_id"] for line in told() if line.get("event") == "request"] == [TRACE]


def test_queries_that_ran_together_are_linked_to_one_run(index: Path, collector: Collector) -> None:
    settings = Settings(index=index, threads=2, batch_wait_ms=300)
    clips = [make_wav(seed=n) for n in range(6)]
    with LocalClient(create_app(settings)) as client, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda clip: client.post("/v1/search/images", content=clip), clips))
    assert {answer.status_code for answer in answers} == {200}
    runs = collector.named("run of the model")
    sizes = {run.span_id: int(said(run.attributes)["saysee.batch_size"]) for run in runs}
    linked = [link.span_id for span in collector.named("encode") for link in span.links]
    assert len(linked) == 6
    assert {run: linked.count(run) for run in sizes} == sizes


def test_the_trace_of_a_request_that_fails_says_why(index: Path, collector: Collector) -> None:
    files = [("file", make_png(1)), ("file", b"RIFFxxxxWAVEfmt")]
    with LocalClient(create_app(Settings(index=index, threads=1)), raise_server_exceptions=False) as client:
        assert client.post("/v1/embeddings", files=files).status_code == 422
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client.app.state.service.searcher._way, "_decode", lambda *_: 1 / 0)  # type: ignore[attr-defined]
            assert client.post("/v1/embeddings", files=files[:1]).status_code == 500
    refused, failed = collector.named("POST /v1/embeddings")
    assert said(refused.attributes)["error.type"] == "undecodable-media"
    assert said(failed.attributes)["error.type"] == "internal-error"
    assert (refused.status.code, failed.status.code) == (0, 2)
    assert [len(one.links) for one in collector.named("decode")] == [0, 0, 0]


def test_a_collector_that_does_not_answer_keeps_nobody_waiting(
    index: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    collector.may_answer.clear()
    with LocalClient(create_app(Settings(index=index, threads=1))) as client:
        assert client.get("/v1/index").status_code == 200
        began = monotonic()
    assert monotonic() - began < 25  # the exporter itself would wait for 30 s and more


def test_the_service_is_named_as_the_environment_says(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "retrieval")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=trial")
    traces = open_traces("1.2.3")
    assert traces is not None
    traces.run("image", 1, Took(0.0, 0.0, 1.0))
    traces.close()
    (resource,) = collector.resources
    assert resource["service.name"] == "retrieval"
    assert resource["service.version"] == "1.2.3"
    assert resource["deployment.environment.name"] == "trial"


@pytest.mark.parametrize(
    ("variables", "missing", "sentence"),
    [
        ({}, "opentelemetry.exporter.otlp.proto.http", "pip install 'saysee[otel]'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", "http/protobuf"),
    ],
)
def test_traces_that_cannot_be_had_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], missing: str, sentence: str
) -> None:
    for name, value in {ENDPOINT: "http://127.0.0.1:1", **variables}.items():
        monkeypatch.setenv(name, value)
    if missing:
        monkeypatch.delitem(sys.modules, f"{missing}.trace_exporter", raising=False)
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(TracingUnusable) as caught:
        traces_wanted()
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("unset it.")


@pytest.mark.parametrize("value", [None, " "])
def test_without_the_variable_there_are_none(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    if value is not None:
        monkeypatch.setenv(ENDPOINT, value)
    assert open_traces("1") is None
