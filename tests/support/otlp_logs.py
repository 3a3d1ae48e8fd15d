"""A collector of logs: takes them by OTLP over HTTP, decoded by OpenTelemetry's own messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.support.otlp_collector import answering_exports, values


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
    return values(record.attributes)


@contextmanager
def collecting_logs() -> Iterator[LogCollector]:
    """A collector that listens."""
    collector = LogCollector()

    def answer(path: str, body: bytes) -> int:
        if not collector.takes:
            collector.refused += 1
            return 503
        if path == "/v1/logs":
            collector.take(body)
        return 200

    with answering_exports(answer) as collector.port:
        yield collector
