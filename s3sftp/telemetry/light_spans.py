"""Spans that cost little: what happened, as it was said, until somebody wants to read it.

    LightTracer ──start_span──► LightSpan ──end──► SpanGroups: kept? ──► the queue of the exporter's thread
                                                        └─► dropped     └─► span_export: OpenTelemetry's own

OpenTelemetry's SDK copies, checks and locks while the operation waits. A light span does none of this: what
it says is put together when it is kept, if it is kept at all; its attributes are checked, and its context is
made, by the thread that exports it.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util._decorator import _agnosticcontextmanager  # what the interface is declared with
from opentelemetry.util.types import Attributes, AttributeValue

from s3sftp.telemetry.span_groups import SpanGroup, SpanGroups

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

_NOT_RECORDED = TraceFlags(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))  # older libraries know no such flag
_RECORDED = TraceFlags(TraceFlags.SAMPLED | _NOT_RECORDED)
_NO_STATE = TraceState()
_UNSET = Status(StatusCode.UNSET)
_MAX_EVENTS = 128
"""Of a span, as OpenTelemetry's default; later ones are counted."""


class LightSpan(Span):
    """A span of OpenTelemetry's interface that only remembers."""

    # what most spans never change has one value for all: a span is made for each operation and request
    end_time: int | None = None
    status = _UNSET
    is_failure = False
    events: Sequence[tuple[str, Attributes, int]] = ()
    dropped_events = 0
    _context: SpanContext | None = None

    def __init__(
        self,
        tracer: LightTracer,
        name: str,
        trace_id: int,
        span_id: int,
        parent: Span | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        later: tuple[Callable[[], Mapping[str, Any]], ...],
        links: Sequence[Link | Span],
        start_time: int,
        trace_state: TraceState,
        group: SpanGroup[LightSpan] | None,
    ) -> None:
        """`attributes` belong to the span from now on; `later` return more of them, and are called if the
        span is kept. A span in `links` is linked to. `tracer` is told when it ends, once."""
        self.tracer = tracer
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent = parent
        self.kind = kind
        self.attributes = attributes
        self.later = later
        self.links = links
        self.start_time = start_time
        self.trace_state = trace_state
        self.group = group

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            context = SpanContext(self.trace_id, self.span_id, False, _RECORDED, self.trace_state)
            self._context = context
        return context

    @property
    def context(self) -> SpanContext:
        """The same, by the name that OpenTelemetry's processors use."""
        return self.get_span_context()

    def is_recording(self) -> bool:
        return self.end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if self.end_time is None:
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        if self.end_time is None:
            self.attributes.update(attributes)

    def set_later(self, attributes: Callable[[], Mapping[str, Any]]) -> None:
        """Set what a function returns, which is called if the span is kept."""
        if self.end_time is None:
            self.later = (*self.later, attributes)

    def all_attributes(self) -> dict[str, Any]:
        """Those that were set, and those that were left for later."""
        found: dict[str, Any] = {}
        for each in self.later:
            found.update(each())
        return found | self.attributes

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self.end_time is not None:
            return
        if len(self.events) == _MAX_EVENTS:
            self.dropped_events += 1
            return
        self.events = (*self.events, (name, attributes, timestamp or time.time_ns()))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self.end_time is None:
            self.links = (*self.links, Link(context, attributes))

    def update_name(self, name: str) -> None:
        if self.end_time is None:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.end_time is not None or self.status.status_code is StatusCode.OK:
            return
        given = status if isinstance(status, Status) else Status(status, description)
        if given.status_code is not StatusCode.UNSET:
            self.status = given
            self.is_failure = given.status_code is StatusCode.ERROR

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        about: dict[str, AttributeValue] = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", about | dict(attributes or {}), timestamp)

    def end(self, end_time: int | None = None) -> None:
        if self.end_time is None:
            self.end_time = end_time or time.time_ns()
            self.tracer.ended(self)


class LightTracer(trace.Tracer):
    """Makes light spans, as a sampler decides."""

    def __init__(
        self,
        sampler: Sampler,
        scope: Any,
        keep: Callable[[LightSpan], None],
        groups: SpanGroups[LightSpan] | None,
    ) -> None:
        """`keep` takes each span that has ended, unless there are `groups`, which decide about it. Then the
        sampler is asked only about spans without a recorded parent: it would say yes to all others."""
        self.scope = scope
        """Which library makes the spans."""
        self.ended = keep if groups is None else groups.ended
        self._sampler = sampler
        self._groups = groups

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        parent = trace.get_current_span(context)
        given = dict(attributes or ())
        if type(parent) is LightSpan and (
            child := self.child_of(parent, name, kind, given, (), links or (), start_time)
        ):
            return child
        begun = start_time or time.time_ns()
        above = parent.get_span_context()
        is_root = not above.is_valid
        trace_id = _random_id(128) if is_root else above.trace_id
        decided = self._sampler.should_sample(context, trace_id, name, kind, given, links)
        state = decided.trace_state or _NO_STATE
        if not decided.decision.is_sampled():  # type: ignore[no-untyped-call]
            return NonRecordingSpan(SpanContext(trace_id, _random_id(64), False, _NOT_RECORDED, state))
        span_id = _random_id(64)
        group = None
        if self._groups is not None:
            group = self._groups.begun_by(name, kind, span_id, begun, is_root=is_root)
        said = dict(decided.attributes or ())
        above_it = None if is_root else parent
        return LightSpan(
            self, name, trace_id, span_id, above_it, kind, said, (), links or (), begun, state, group
        )

    def child_of(
        self,
        parent: LightSpan,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        later: tuple[Callable[[], Mapping[str, Any]], ...],
        links: Sequence[Link | Span],
        start_time: int | None = None,
    ) -> LightSpan | None:
        """A child that no sampler has to be asked about; None if one has to. `attributes` and `later`: see
        `LightSpan`."""
        if self._groups is None:
            return None
        begun = start_time or time.time_ns()
        span_id = random.getrandbits(64) or 1  # a call fewer than `_random_id`: most spans are made here
        group = parent.group
        if group is None:
            group = self._groups.begun_by(name, kind, span_id, begun, is_root=False)
        return LightSpan(
            self,
            name,
            parent.trace_id,
            span_id,
            parent,
            kind,
            attributes,
            later,
            links,
            begun,
            parent.trace_state,
            group,
        )

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        begun = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(begun, end_on_exit, record_exception, set_status_on_exception):
            yield begun


def _random_id(bits: int) -> int:
    """One that is not zero, which means none."""
    return random.getrandbits(bits) or 1
