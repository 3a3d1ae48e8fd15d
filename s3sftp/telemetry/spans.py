"""OpenTelemetry spans that cost nothing while no SDK is installed.

    span        around a block: an SFTP operation, a request to S3
    OpenSpan    open for longer: a connection, a session, a transfer. Later code makes children of it

A request to the storage is a child of the operation that sends it. What a transfer sends by itself (parts,
ranges ahead of the reader) belongs to no operation, and is a child of the transfer's span. What an operation
sends for a transfer has a link to that span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import Token, copy_context
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, create_key, detach, get_current, get_value, set_value
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.util.types import AttributeValue

from s3sftp.errors import StorageError
from s3sftp.telemetry.costs import Costs, charging, current_transfer
from s3sftp.telemetry.light_spans import LightSpan, LightTracer
from s3sftp.telemetry.logs import printable, printable_attributes

T = TypeVar("T")
_off = nullcontext(INVALID_SPAN)
_OWNER = create_key("s3sftp-owner")
"""The innermost OpenSpan of a context."""
_SPAN = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key of a context's current span. OpenTelemetry's functions for it copy and check more than once."""
_known: tuple[trace.TracerProvider | None, trace.Tracer | None] = (None, None)
"""The provider that was asked last, and its tracer."""


def is_tracing() -> bool:
    """Whether tracing is on: false until an SDK's provider is installed."""
    return _tracer() is not None


def _tracer() -> trace.Tracer | None:
    """The tracer that makes all spans; None until an SDK's provider is installed."""
    global _known
    provider = trace.get_tracer_provider()
    if provider is not _known[0]:
        is_off = isinstance(provider, trace.ProxyTracerProvider)
        _known = (provider, None if is_off else provider.get_tracer("s3sftp"))
    return _known[1]


class OpenSpan:
    """A span that is open until `end`, and the context in which its children begin.

    It is exported only when it ends. Its children do not wait for that.
    """

    __slots__ = ("_span", "context")

    def __init__(self, span: Span, context: Context) -> None:
        self._span = span
        self.context = set_value(_OWNER, self, set_span_in_context(span, context))

    @property
    def is_on(self) -> bool:
        """Whether there is a span: tracing is on."""
        return self is not NO_SPAN

    @property
    def trace_id(self) -> str | None:
        """The id of its trace in hexadecimal, as in W3C's Trace Context; None while tracing is off."""
        if type(self._span) is LightSpan:
            return trace.format_trace_id(self._span.trace_id)
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def current(self) -> AbstractContextManager[Span]:
        """Make it the current span of a block, which does not end it."""
        return _Attached(self._span, self.context, ends=False) if self.is_on else _off

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        if type(self._span) is LightSpan:  # which makes them printable if it is kept
            self._span.set_attributes(attributes)
        elif self._span.is_recording():
            self._span.set_attributes(printable_attributes(attributes))

    def end(self, error: BaseException | str | None = None, *, is_failure: bool = True) -> None:
        """End it. `error`: what went wrong, or its kind in a word; `is_failure`: that is not what clients
        expect."""
        if isinstance(error, str):
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        elif error is not None:
            note_error(self._span, error, is_failure=is_failure)
        self._span.end()


NO_SPAN = OpenSpan(INVALID_SPAN, Context())
"""The one that there is while tracing is off."""


def open_span(
    name: str,
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    parent: OpenSpan | None = None,
    start_time: int | None = None,
) -> OpenSpan:
    """Begin a span that ends later. Without a `parent` it is the root of a trace. `start_time` is in
    nanoseconds since the epoch, if it began before now. Returns NO_SPAN while tracing is off."""
    tracer = _tracer()
    if tracer is None:
        return NO_SPAN
    context = parent.context if parent is not None else Context()
    given = attributes or {}
    if type(tracer) is not LightTracer:  # whose spans make them printable if they are kept
        given = printable_attributes(given)
    return OpenSpan(tracer.start_span(name, context, attributes=given, start_time=start_time), context)


def current_owner() -> OpenSpan | None:
    """The innermost OpenSpan around the current operation."""
    owner = get_value(_OWNER)
    return owner if isinstance(owner, OpenSpan) else None


def span(
    name: str,
    attributes: Callable[[], Mapping[str, AttributeValue]] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: OpenSpan | None = None,
) -> AbstractContextManager[Span]:
    """A span around a block; a shared no-op while tracing is off. `attributes` is called if the span is kept,
    which may be known only after its end: what it refers to stays in memory until then.

    It is a child of `parent`, else of the current span, else of the transfer for which the block runs. An
    exception that leaves the block marks it as failed. No span is made in a trace that is not sampled; the
    block stays in that trace. Below NO_SPAN there is none, although tracing may be on by now.
    """
    if parent is NO_SPAN:
        return _off
    linked: Span | None = None
    if parent is not None:
        context = parent.context
        above: Span = context[_SPAN]  # type: ignore[assignment]
    else:
        context = get_current()
        above = context.get(_SPAN, INVALID_SPAN)  # type: ignore[assignment]
        if kind is SpanKind.CLIENT and (transfer := current_transfer()) is not None:
            its: Span = transfer[_SPAN]  # type: ignore[assignment]
            if above is INVALID_SPAN or not _is_valid(above):
                context, above = transfer, its
            elif above is not its:
                linked = its
    begun: Span | None = None
    if type(above) is LightSpan:
        later = () if attributes is None else (attributes,)
        begun = above.tracer.child_of(above, name, kind, {}, later, () if linked is None else (linked,))
    elif not above.is_recording() and _is_dropped(above):
        # what all of OpenTelemetry's samplers decide for a child, at a fraction of the CPU
        return _Attached(INVALID_SPAN, context, ends=False)
    if begun is None:
        tracer = _tracer()
        if tracer is None:
            return _off
        links = (Link(linked.get_span_context()),) if linked is not None else ()
        given = printable_attributes(attributes()) if attributes is not None else {}
        begun = tracer.start_span(name, context, kind, given, links)
    return _Attached(begun, Context({**context, _SPAN: begun}), ends=True)


def set_later(current: Span, attributes: Callable[[], Mapping[str, AttributeValue]]) -> None:
    """Set attributes of a span that are worth computing only if it is kept, as `span` does."""
    if type(current) is LightSpan:
        current.set_later(attributes)
    elif current.is_recording():
        current.set_attributes(printable_attributes(attributes()))


def without_span() -> AbstractContextManager[Span]:
    """A block without a current span, whatever is current around it: its requests belong to its transfer."""
    return _Attached(INVALID_SPAN, Context(), ends=False) if is_tracing() else _off


def in_transfer() -> AbstractContextManager[Span]:
    """A block whose tasks belong to the transfer for which it runs, and not to the current operation."""
    transfer = current_transfer()
    return _off if transfer is None else _Attached(INVALID_SPAN, transfer, ends=False)


def note_error(current: Span, error: BaseException, *, is_failure: bool = True) -> None:
    """Record the error's class and text, and the traceback of one that is not foreseen."""
    if not current.is_recording():
        return
    current.set_attribute("error.type", type(error).__qualname__)
    detail = getattr(error, "detail", None)
    text = printable(f"{error} ({detail})" if detail else str(error))
    if is_failure:
        current.set_status(Status(StatusCode.ERROR, text))
    elif text:
        current.set_attribute("error.message", text)
    if not isinstance(error, StorageError) and isinstance(error, Exception):
        current.record_exception(error)


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
    """A span and an account for work that is done in steps. Steps run inside both."""

    def __init__(self, around: AbstractContextManager[Span]) -> None:
        """`around`: the span, see `span`; it is entered now, and left by `end`."""
        self.costs = Costs()
        self._context = copy_context()
        self._around = ExitStack()
        self._span: Span = INVALID_SPAN
        self._context.run(self._enter, around)

    def run(self, step: Callable[[], T]) -> T:
        """Run a step. Tasks that it creates also belong to the span and are charged to the account."""
        return self._context.run(step)

    def end(self, error: Exception | None = None) -> None:
        """End the span: the work is done, or has failed with `error`."""
        if error is not None:
            note_error(self._span, error)
        self._span.set_attribute("s3sftp.s3_requests", self.costs.total())
        self._context.run(self._around.close)

    def _enter(self, around: AbstractContextManager[Span]) -> None:
        self._span = self._around.enter_context(around)
        self._around.enter_context(charging(self.costs))


class _Attached(AbstractContextManager[Span]):
    """Makes a span the current one of a block."""

    __slots__ = ("_context", "_ends", "_span", "_token")

    def __init__(self, span: Span, context: Context, *, ends: bool) -> None:
        self._span = span
        self._context = context
        self._ends = ends
        self._token: Token[Context]

    def __enter__(self) -> Span:
        self._token = attach(self._context)
        return self._span

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        detach(self._token)
        if self._ends:
            if error is not None and isinstance(error, Exception):
                note_error(self._span, error)
            self._span.end()


def _is_valid(above: Span) -> bool:
    return type(above) is LightSpan or above.get_span_context().is_valid  # which a light span has to make


def _is_dropped(above: Span) -> bool:
    context = above.get_span_context()
    return context.is_valid and not context.trace_flags.sampled
