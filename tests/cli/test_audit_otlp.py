"""The audit log as logs of OpenTelemetry, taken by a collector."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit import start_audit
from s3sftp.telemetry.audit_otlp import require_exporter
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.options import AuditOptions
from testbed.processes import wait_until
from testbed.s3_store import Store
from tests.cli.command_process import batch, sftp_command
from tests.support.otlp_logs import LogCollector, attributes_of, collecting_logs
from tests.support.server import Server


def lines_of(collector: LogCollector, event: str = "") -> list[dict[str, Any]]:
    bodies = [json.loads(record.body.string_value) for record in collector.records]
    return [line for line in bodies if event in ("", line["event"])]


async def test_a_collector_gets_each_line_once_also_those_of_the_time_when_it_was_down(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    with collecting_logs() as collector:
        variables = (f"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={collector.url}/v1/logs", "OTEL_SERVICE_NAME=ours")
        options: dict[str, dict[str, object]] = {"audit": {"output": "otlp"}, "server": {"workers": 2}}
        options['users.alice.paths."/locked"'] = {"rights": "read-only"}
        # each try takes the exporter's whole timeout
        under = ("env", *variables, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=1")
        server = Server(tmp_path / "server", seaweed, bucket, options, under=under)

        async def use() -> None:
            command = sftp_command(server.port, server.key_file)
            assert (await asyncio.to_thread(batch, command, "ls\n-mkdir /locked/a\n")).returncode == 0

        try:
            await server.astart()
            await use()
            await server.until(lambda: len(lines_of(collector, "request.refused")) == 1, "a refusal")
            collector.takes = False
            await use()  # nobody waits for the collector
            await server.until(lambda: bool(server.events("audit.failed")), "the failure to be told")
            assert collector.refused
            collector.takes = True
            await server.until(lambda: len(lines_of(collector, "request.refused")) == 2, "what was kept")
            await server.until(lambda: bool(server.events("audit.recovered")), "recovery to be told")
        finally:
            await asyncio.to_thread(server.close)
        assert {resource["service.name"] for resource in collector.resources} == {"ours"}
        lines = lines_of(collector)
        numbers: dict[str, list[int]] = {}
        for line in lines:
            numbers.setdefault(line["process"], []).append(line["number"])
        assert len(numbers) == 3
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
        assert len(lines_of(collector, "login.accepted")) == 2
        for record, line in zip(collector.records, lines, strict=True):
            found = attributes_of(record)
            assert found.keys() == line.keys()
            assert (record.event_name, found["event"]) == (line["event"], line["event"])
            assert record.severity_text == "INFO"
            assert record.time_unix_nano > 0


def test_what_no_attribute_can_be_is_one_of_json_and_a_span_is_named() -> None:
    with collecting_logs() as collector, pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        start_audit(AuditOptions(output="otlp"), "1.0")
        try:
            with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))):
                tap.observe(
                    "user.changed",
                    user="é\n",
                    after={"rights": ["read"]},
                    disabled=False,
                    serial=2**63,
                    most=2**63 - 1,
                )
            wait_until(lambda: len(collector.records) == 2, 30, "both lines")
        finally:
            tap.remove()
        record = collector.records[-1]
        found = attributes_of(record)
        assert (found["user"], found["disabled"]) == ("é\\n", False)
        assert (found["serial"], found["most"]) == (str(2**63), 2**63 - 1)  # no number there is larger
        assert json.loads(found["after"]) == {"rights": ["read"]}
        assert (record.trace_id, record.span_id) == (0xABC.to_bytes(16, "big"), 0xDEF.to_bytes(8, "big"))
        assert not any(collector.records[0].trace_id)


def test_a_protocol_without_an_exporter_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3sftp.telemetry.otel.entry_points", lambda **_: [])
    with pytest.raises(ConfigurationError):
        require_exporter({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
