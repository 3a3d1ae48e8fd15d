"""A collector: takes metrics and spans by OTLP, over HTTP and gRPC, decoded by OpenTelemetry's messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

KINDS = {number: name.removeprefix("SPAN_KIND_").lower() for name, number in Span.SpanKind.items()}


@dataclass(frozen=True)
class Received:
    """A span that has come."""

    message: Span

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def id(self) -> bytes:
        return self.message.span_id

    @property
    def parent(self) -> bytes:
        return self.message.parent_span_id

    @property
    def trace(self) -> bytes:
        return self.message.trace_id

    @property
    def kind(self) -> str:
        return KINDS[self.message.kind]

    @property
    def attributes(self) -> dict[str, Any]:
        return values(self.message.attributes)

    @property
    def links(self) -> list[bytes]:
        return [link.span_id for link in self.message.links]

    @property
    def is_failed(self) -> bool:
        return self.message.status.code == Status.STATUS_CODE_ERROR


class Collector:
    """What has come. Other signals are taken and forgotten."""

    def __init__(self) -> None:
        self.port = 0
        self.exports: list[ExportMetricsServiceRequest] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.came = threading.Event()
        self.status = 200
        """What requests over HTTP are answered with."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/metrics":
            self.take_metrics(ExportMetricsServiceRequest.FromString(body))
        if path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))

    def take_metrics(self, export: ExportMetricsServiceRequest) -> None:
        self.exports.append(export)
        self.came.set()

    def metrics(self) -> dict[str, Metric]:
        """All of the last export, by name."""
        (resource,) = self.exports[-1].resource_metrics
        (scope,) = resource.scope_metrics
        found = {metric.name: metric for metric in scope.metrics}
        assert len(found) == len(scope.metrics)
        return found

    def resource(self) -> dict[str, Any]:
        (resource,) = self.exports[-1].resource_metrics
        return values(resource.resource.attributes)

    def spans(self, name: str = "") -> list[Received]:
        """The spans so far, in the order of their beginnings: all of them, or those with one name."""
        found = [
            Received(each)
            for export in self.traces
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for each in scope.spans
            if name in ("", each.name)
        ]
        return sorted(found, key=lambda each: each.message.start_time_unix_nano)

    def span(self, name: str, **attributes: Any) -> Received:
        """The only span of this name, and with these attributes, whose dots are `__` here."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        found = [each for each in self.spans(name) if wanted.items() <= each.attributes.items()]
        assert len(found) == 1, f"{name} {wanted}: {len(found)} of {[each.name for each in self.spans()]}"
        return found[0]

    def trace_resources(self) -> list[dict[str, Any]]:
        return [
            values(resource.resource.attributes)
            for export in self.traces
            for resource in export.resource_spans
        ]


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict."""

    def value(each: KeyValue) -> Any:
        return getattr(each.value, each.value.WhichOneof("value"))

    return {each.key: value(each) for each in attributes}


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """A collector that listens to HTTP."""
    collector = Collector()

    def answer(path: str, body: bytes) -> int:
        if collector.status == 200:
            collector.take(path, body)
        return collector.status

    with answering_exports(answer, port) as collector.port:
        yield collector


@contextmanager
def answering_exports(answer: Callable[[str, bytes], int], port: int = 0) -> Iterator[int]:
    """A server that listens to OTLP over HTTP, and its port. `answer` gets the path and plain body of each
    export, in a thread, and returns the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.send_response(answer(self.path, body))
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody wants to know."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def collecting_by_grpc() -> Iterator[Collector]:
    """A collector that listens to gRPC."""
    import grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    collector = Collector()

    class Traces(traces.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, _context: Any) -> Any:
            collector.traces.append(request)
            return ExportTraceServiceResponse()

    class Metrics(metrics.MetricsServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, _context: Any) -> Any:
            collector.take_metrics(request)
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    traces.add_TraceServiceServicer_to_server(Traces(), server)
    metrics.add_MetricsServiceServicer_to_server(Metrics(), server)
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def values_of(metric: Metric) -> dict[tuple[tuple[str, str], ...], float]:
    """The numbers of a sum or a gauge, by their attributes."""
    points = metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points
    return {
        tuple(sorted((each.key, each.value.string_value) for each in point.attributes)): (
            point.as_int if point.HasField("as_int") else point.as_double
        )
        for point in points
    }
