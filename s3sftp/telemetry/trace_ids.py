"""The ids of the current span, for lines of logs that belong to it."""

from __future__ import annotations

from opentelemetry import trace
from structlog.typing import EventDict, WrappedLogger

from s3sftp.telemetry.light_spans import LightSpan


def trace_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, in hexadecimal as in W3C's Trace Context; empty if there
    is none."""
    current = trace.get_current_span()
    if type(current) is LightSpan:  # whose context is made only for others
        return {
            "trace_id": trace.format_trace_id(current.trace_id),
            "span_id": trace.format_span_id(current.span_id),
        }
    context = current.get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def add_trace_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that adds them."""
    event.update(trace_ids())
    return event
