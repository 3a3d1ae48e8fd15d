"""Logs, metrics, tracing spans, and the accounting of storage requests.

logs       get_logger; LogThrottle. The command line configures them: log_setup, StderrWriter
metrics    Metrics counts in the rows of metric_catalogue ──► exposition (Prometheus), metrics_export (OTLP)
spans      span, OpenSpan, StepwiseSpan; otel installs the SDK if the environment asks for it
costs      Costs, charged by `charge` inside `charging`
"""

from s3sftp.telemetry.costs import Costs, charge, charging
from s3sftp.telemetry.logs import get_logger
from s3sftp.telemetry.spans import (
    NO_SPAN,
    OpenSpan,
    StepwiseSpan,
    current_owner,
    current_trace_context,
    in_transfer,
    is_tracing,
    note_error,
    open_span,
    set_later,
    span,
    without_span,
)

__all__ = [
    "NO_SPAN",
    "Costs",
    "OpenSpan",
    "StepwiseSpan",
    "charge",
    "charging",
    "current_owner",
    "current_trace_context",
    "get_logger",
    "in_transfer",
    "is_tracing",
    "note_error",
    "open_span",
    "set_later",
    "span",
    "without_span",
]
