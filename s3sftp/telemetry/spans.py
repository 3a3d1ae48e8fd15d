"""OpenTelemetry spans that cost nothing while no SDK is installed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span
from opentelemetry.util.types import AttributeValue

_tracer = trace.get_tracer("s3sftp")
_off = nullcontext(INVALID_SPAN)


def is_tracing() -> bool:
    """Whether tracing is on: false until an SDK's provider is installed."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def span(
    name: str,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
) -> AbstractContextManager[Span]:
    """A span around a block, child of the current one; a shared no-op while tracing is off.

    An exception that leaves the block is recorded on the span and marks it as failed.
    """
    if not is_tracing():
        return _off
    return _tracer.start_as_current_span(name, attributes=dict(attributes or {}), kind=kind)


def current_trace_context() -> Mapping[str, str]:
    """The W3C headers of the current span for another process (`traceparent`, and `tracestate` if there is
    one)."""
    if not is_tracing():
        return {}
    from opentelemetry import propagate  # loads every installed propagator

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier
