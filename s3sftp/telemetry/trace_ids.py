"""The ids of the current span, for lines of logs that belong to it."""

from __future__ import annotations

from opentelemetry import trace
from structlog.typing import EventDict, WrappedLogger

from s3sftp.telemetry.light_spans import LightSpan


def trace_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, in hexadecimal as in W3C's Trace Context; empty if there
    is none."""
    current = trace.get_current_span()
    # a light span makes its context only for others
    named = current if type(current) is LightSpan else current.get_span_context()
    if not (named.trace_id and named.span_id):
        return {}
    return {
        "trace_id": trace.format_trace_id(named.trace_id),
        "span_id": trace.format_span_id(named.span_id),
    }


def add_trace_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that adds them."""
    event.update(trace_ids())
    return event
