"""Logs, metrics, tracing spans, and the accounting of storage requests."""

from s3sftp.telemetry.costs import Costs, charge, charging
from s3sftp.telemetry.logs import get_logger
from s3sftp.telemetry.spans import StepwiseSpan, current_trace_context, is_tracing, span

__all__ = [
    "Costs",
    "StepwiseSpan",
    "charge",
    "charging",
    "current_trace_context",
    "get_logger",
    "is_tracing",
    "span",
]
