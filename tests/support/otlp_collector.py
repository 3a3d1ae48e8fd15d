"""A collector: takes metrics by OTLP over HTTP, decoded by OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


class Collector:
    """What has come. Other signals are taken and forgotten."""

    def __init__(self) -> None:
        self.port = 0
        self.exports: list[ExportMetricsServiceRequest] = []
        self.came = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/metrics":
            self.exports.append(ExportMetricsServiceRequest.FromString(body))
            self.came.set()

    def metrics(self) -> dict[str, Metric]:
        """All of the last export, by name."""
        (resource,) = self.exports[-1].resource_metrics
        (scope,) = resource.scope_metrics
        found = {metric.name: metric for metric in scope.metrics}
        assert len(found) == len(scope.metrics)
        return found

    def resource(self) -> dict[str, str]:
        (resource,) = self.exports[-1].resource_metrics
        return {each.key: each.value.string_value for each in resource.resource.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody wants to know."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def values_of(metric: Metric) -> dict[tuple[tuple[str, str], ...], float]:
    """The numbers of a sum or a gauge, by their attributes."""
    points = metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points
    return {
        tuple(sorted((each.key, each.value.string_value) for each in point.attributes)): (
            point.as_int if point.HasField("as_int") else point.as_double
        )
        for point in points
    }
