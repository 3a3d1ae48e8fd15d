"""A collector of logs: takes them by OTLP over HTTP, decoded by OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord


class LogCollector:
    """What it has taken."""

    def __init__(self) -> None:
        self.port = 0
        self.takes = True
        """Whether it is well; otherwise it answers 503."""
        self.refused = 0
        self.resources: list[dict[str, str]] = []
        self.records: list[LogRecord] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, body: bytes) -> None:
        for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
            self.resources.append({each.key: each.value.string_value for each in logs.resource.attributes})
            self.records += [record for scope in logs.scope_logs for record in scope.log_records]


def attributes_of(record: LogRecord) -> dict[str, Any]:
    found = {}
    for each in record.attributes:
        kind = each.value.WhichOneof("value")
        assert kind is not None
        found[each.key] = getattr(each.value, kind)
    return found


@contextmanager
def collecting_logs() -> Iterator[LogCollector]:
    """A collector that listens."""
    collector = LogCollector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if not collector.takes:
                collector.refused += 1
            elif self.path == "/v1/logs":
                collector.take(body)
            self.send_response(200 if collector.takes else 503)
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
