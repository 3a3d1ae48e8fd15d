"""What happened, how long it took and what it cost: spans, logs, costs."""

from s3sftp.telemetry.costs import Costs, charge, charged_to
from s3sftp.telemetry.logs import get_logger
from s3sftp.telemetry.spans import current_trace_context, is_tracing, span
from s3sftp.telemetry.steps import Steps

__all__ = [
    "Costs",
    "Steps",
    "charge",
    "charged_to",
    "current_trace_context",
    "get_logger",
    "is_tracing",
    "span",
]
