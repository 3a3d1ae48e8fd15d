"""Sends the lines of the audit log to a collector, as logs of OpenTelemetry.

    line of JSON ──► body, unchanged
                 ──► event name, time, trace and span, attributes: the fields, tables as text of JSON

The exporter is that of OpenTelemetry, and reads the standard variables (`OTEL_EXPORTER_OTLP_…`). Its batch
processor drops what a collector does not take; here lines wait, as they do for a disk that is full.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit_queue import Failed, LineWriter, Recovered
from s3sftp.telemetry.otel import identity, load_exporter, wanted_exporters

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadableLogRecord

_TOO_LARGE = 2**63
"""The first number that no attribute can have."""
Exporting = Callable[[Sequence[bytes]], bool]
"""Exports lines. Returns whether the collector has taken them."""


class AuditExport(LineWriter):
    """Lines for a collector. `put` never waits."""

    def __init__(self, export: Exporting, failed: Failed, recovered: Recovered) -> None:
        super().__init__(failed, recovered)
        self._export = export

    def _write(self, lines: Sequence[bytes]) -> None:
        if not self._export(lines):
            raise OSError(errno.EIO, "the collector has not taken them")


def require_exporter(environ: Mapping[str, str]) -> None:
    """Make sure that there is an exporter. Imports the SDK.

    Raises ConfigurationError: if there is none.
    """
    _factory(environ)
    try:
        from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            ["audit.output = 'otlp': the installed opentelemetry-sdk is too old: pip install --upgrade it"]
        ) from None


def exporting(environ: Mapping[str, str]) -> Exporting:
    """A (blocking) function that exports lines. Call it in the process that has them.

    Raises ConfigurationError: if no exporter for the protocol is installed.
    """
    from opentelemetry.sdk._logs.export import LogRecordExportResult
    from opentelemetry.sdk.resources import Resource

    exporter, resource = _factory(environ)(), Resource.create(identity(environ))

    def export(lines: Sequence[bytes]) -> bool:
        records = [_record(json.loads(line), line, resource) for line in lines]
        return bool(exporter.export(records) is LogRecordExportResult.SUCCESS)

    return export


def _factory(environ: Mapping[str, str]) -> Callable[[], Any]:
    others = {name: text for name, text in environ.items() if name != "OTEL_SDK_DISABLED"}
    (name,) = wanted_exporters("LOGS", others | {"OTEL_LOGS_EXPORTER": "otlp"})
    return load_exporter("LOGS", name)


def _record(fields: Mapping[str, Any], line: bytes, resource: Any) -> ReadableLogRecord:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    record = LogRecord(
        timestamp=int(datetime.fromisoformat(fields["time"]).timestamp() * 1e6) * 1000,
        context=_span_of(fields),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=line.decode("ascii").rstrip("\n"),
        attributes={name: _attribute(value) for name, value in fields.items()},
        event_name=fields["event"],
    )
    return ReadableLogRecord(record, resource, InstrumentationScope("s3sftp.audit"))


def _span_of(fields: Mapping[str, Any]) -> Context:
    """The context of the span whose ids the line has; the invalid one if it has none."""
    ids = int(fields.get("trace_id", "0"), 16), int(fields.get("span_id", "0"), 16)
    return trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(*ids, is_remote=False)))


def _attribute(value: object) -> str | bool | int | float:
    if isinstance(value, int) and not -_TOO_LARGE <= value < _TOO_LARGE:  # such as a certificate's serial
        return str(value)
    return value if isinstance(value, str | bool | int | float) else json.dumps(value)
