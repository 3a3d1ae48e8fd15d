"""The trace of an upload as Jaeger understands it, over HTTP and by gRPC.

Jaeger takes minutes to build, so it is not a part of every run:

    go mod init any && go get -tool github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0
    go build -o jaeger github.com/jaegertracing/jaeger/cmd/jaeger
    S3SFTP_TEST_JAEGER=./jaeger python -m pytest tests/telemetry/test_jaeger.py
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.processes import Process, free_port
from testbed.s3_store import Store
from tests.support.server import PART_BYTES
from tests.telemetry.test_spans import Traced

JAEGER = os.environ.get("S3SFTP_TEST_JAEGER", "")
pytestmark = pytest.mark.skipif(
    not JAEGER, reason="S3SFTP_TEST_JAEGER names no Jaeger: this file says how to"
)

CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 1000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


class Jaeger:
    """A Jaeger that keeps traces in memory."""

    def __init__(self) -> None:
        self.ports = {name: free_port() for name in ("query", "query_grpc", "grpc", "http")}

    def url(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self.ports['grpc' if protocol == 'grpc' else 'http']}"

    def traces(self) -> list[dict[str, Any]]:
        return list(self._get("traces?service=s3sftp&limit=100")["data"])

    def is_ready(self) -> bool:
        try:
            return "data" in self._get("services")
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.ports['query']}/api/{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def jaeger(tmp_path: Path) -> Iterator[Jaeger]:
    running = Jaeger()
    (tmp_path / "jaeger.yaml").write_text(CONFIG.format(**running.ports))
    process = Process([JAEGER, "--config", str(tmp_path / "jaeger.yaml")], tmp_path / "jaeger.log")
    try:
        process.wait_ready(running.is_ready, 60)
        yield running
    finally:
        process.kill()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_jaeger_shows_an_upload_as_one_trace(
    protocol: str, seaweed: Store, bucket: str, tmp_path: Path, jaeger: Jaeger
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    async with Traced(seaweed, bucket, tmp_path, jaeger.url(protocol), **environ) as traced:
        async with traced.client() as client:
            await client.put(b"/f", bytes(PART_BYTES + 1))
        await traced.stop()
    found = await asyncio.to_thread(jaeger.traces)
    (trace,) = (each for each in found if any(s["operationName"] == "ssh.connection" for s in each["spans"]))
    spans = {each["spanID"]: each for each in trace["spans"]}

    def way(span: dict[str, Any]) -> list[str]:
        """The names from the root to a span."""
        above = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
        return [*(way(spans[above[0]]) if above else []), span["operationName"]]

    ways = [way(each) for each in spans.values()]
    assert ["ssh.connection", "sftp.session", "sftp.upload", "S3.UploadPart"] in ways
    assert ["ssh.connection", "sftp.session", "sftp.CLOSE", "S3.CompleteMultipartUpload"] in ways
    assert {each[0] for each in ways} == {"ssh.connection"}
    (upload,) = (each for each in spans.values() if each["operationName"] == "sftp.upload")
    assert {"key": "s3sftp.bytes", "type": "int64", "value": PART_BYTES + 1} in upload["tags"]
    for part in (each for each in spans.values() if each["operationName"] == "S3.UploadPart"):
        assert upload["spanID"] in [to["spanID"] for to in part["references"]]
