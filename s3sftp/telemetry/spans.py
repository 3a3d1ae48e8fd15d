"""OpenTelemetry spans that cost nothing while no SDK is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import copy_context
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span
from opentelemetry.util.types import AttributeValue

from s3sftp.telemetry.costs import Costs, charging

T = TypeVar("T")
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


class StepwiseSpan:
    """One span, child of the current one at its creation, and one account. Steps run inside both."""

    def __init__(self, name: str, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        self.costs = Costs()
        self._context = copy_context()
        self._around = ExitStack()
        self._span: Span = INVALID_SPAN
        self._context.run(self._enter, name, attributes)

    def run(self, step: Callable[[], T]) -> T:
        """Run a step. Tasks that it creates also belong to the span and are charged to the account."""
        return self._context.run(step)

    def end(self, error: Exception | None = None) -> None:
        """End the span: the work is done, or has failed with `error`."""
        if error is not None:
            self._span.record_exception(error)
        self._span.set_attribute("s3sftp.s3_requests", self.costs.total())
        self._context.run(self._around.close)

    def _enter(self, name: str, attributes: Mapping[str, AttributeValue] | None) -> None:
        self._span = self._around.enter_context(span(name, attributes))
        self._around.enter_context(charging(self.costs))
