"""Light spans become OpenTelemetry's own, on the thread that exports them.

This module needs the SDK, so it is imported only if there is something to export.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span
from opentelemetry.util.types import Attributes

from s3sftp.telemetry.light_spans import LightSpan, LightTracer
from s3sftp.telemetry.logs import printable_attributes
from s3sftp.telemetry.options import TracingOptions
from s3sftp.telemetry.span_groups import SpanGroups


class LightTracerProvider(trace.TracerProvider):
    """Takes the place of the SDK's. The sampler, the limits and the queues are the SDK's, with their standard
    variables."""

    def __init__(
        self, resource: Resource, exporters: Sequence[SpanExporter], options: TracingOptions | None
    ) -> None:
        """`options` say which ordinary spans are dropped. None: none is that the sampler has taken."""
        # what the SDK makes of the variables has no other public name
        self._sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
        self._processors = [BatchSpanProcessor(_ReadableExporter(each, resource)) for each in exporters]
        self._groups: SpanGroups[LightSpan] | None = None
        if options is not None:
            slow = round(options.slow.total_seconds() * 1e9)
            self._groups = SpanGroups(self._keep, slow, options.ordinary_spans)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        scope = InstrumentationScope(
            instrumenting_module_name, instrumenting_library_version, schema_url, attributes
        )
        return LightTracer(self._sampler, scope, self._keep, self._groups)

    def shutdown(self) -> None:
        """Export what waits, and stop. Blocks."""
        for processor in self._processors:
            processor.shutdown()  # type: ignore[no-untyped-call]

    def _keep(self, span: LightSpan) -> None:
        span.attributes = printable_attributes(span.all_attributes())
        span.later = ()
        for processor in self._processors:
            processor.on_end(span)  # type: ignore[arg-type]  # the exporter below makes it what it should be


class _ReadableExporter(SpanExporter):
    """Makes `ReadableSpan`s of light spans, for an exporter."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource
        self._limits = SpanLimits()

    def export(self, spans: Sequence[object]) -> SpanExportResult:
        return self._exporter.export([self._readable(each) for each in spans if isinstance(each, LightSpan)])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _readable(self, span: LightSpan) -> ReadableSpan:
        limits = self._limits
        return ReadableSpan(
            name=span.name,
            context=span.get_span_context(),
            parent=None if span.parent is None else span.parent.get_span_context(),
            resource=self._resource,
            attributes=BoundedAttributes(
                limits.max_span_attributes,
                span.attributes,
                immutable=True,
                max_value_len=limits.max_span_attribute_length,
            ),
            events=self._events(span) if span.events else (),
            links=self._links(span) if span.links else (),
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.tracer.scope,
        )

    def _events(self, span: LightSpan) -> BoundedList[Event]:
        limits = self._limits
        found = BoundedList[Event].from_seq(
            limits.max_events,
            [
                Event(name, self._bounded(about, limits.max_event_attributes), at)
                for name, about, at in span.events
            ],
        )
        found.dropped += span.dropped_events
        return found

    def _links(self, span: LightSpan) -> BoundedList[Link]:
        limits = self._limits
        return BoundedList[Link].from_seq(
            limits.max_links,
            [
                Link(each.context, self._bounded(each.attributes, limits.max_link_attributes))
                for each in map(_link, span.links)
            ],
        )

    def _bounded(self, attributes: Attributes, count: int | None) -> Mapping[str, Any]:
        return BoundedAttributes(count, attributes, max_value_len=self._limits.max_attribute_length)


def _link(to: Link | Span) -> Link:
    return to if isinstance(to, Link) else Link(to.get_span_context())
