"""Light spans are what OpenTelemetry's SDK would have made, in a message of its protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from s3sftp.telemetry import open_span, set_later, span, spans
from s3sftp.telemetry.light_spans import LightSpan
from s3sftp.telemetry.options import TracingOptions
from s3sftp.telemetry.span_export import LightTracerProvider

RESOURCE = Resource.create({"service.name": "tested"})
REMOTE = SpanContext(7, 8, True, TraceFlags(TraceFlags.SAMPLED))


class Kept(SpanExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


@pytest.fixture
def all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")


def told_by(provider: Any, kept: Kept) -> list[dict[str, object]]:
    """Tell one story of spans, and return the messages of it without what is random."""
    tracer = provider.get_tracer("library", "1.2", "https://example.org/schema")
    root = tracer.start_span("root", kind=SpanKind.SERVER, attributes={"a": 1, "b": "text"}, start_time=5)
    root.set_attributes({"c": True, "d": 1.5, "e": ["x", "y"], "path": Path("x")})
    below = tracer.start_span(
        "below",
        set_span_in_context(root),
        SpanKind.CLIENT,
        links=[Link(root.get_span_context(), {"l": 1})],
        start_time=6,
    )
    below.record_exception(ValueError("no"), {"more": 1}, timestamp=6)
    below.add_event("seen", {"n": 2}, 7)
    below.add_link(REMOTE)
    below.set_status(Status(StatusCode.ERROR, "it failed"))
    below.update_name("renamed")
    below.end(8)
    below.set_attribute("too", "late")
    root.set_status(StatusCode.OK)
    root.set_status(StatusCode.ERROR, "an OK is final")
    root.end(9)
    root.end(10)
    far = tracer.start_span("far", set_span_in_context(NonRecordingSpan(REMOTE)), start_time=1)
    far.end(2)
    with tracer.start_as_current_span("block", start_time=3) as block:
        assert trace.get_current_span() is block
    provider.shutdown()
    (group,) = encode_spans(kept.spans).resource_spans
    (scope,) = group.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("library", "1.2")
    ids = {span.span_id: span.name for span in scope.spans}
    return [comparable(span, ids) for span in scope.spans]


def comparable(span: Message, ids: dict[bytes, str]) -> dict[str, object]:
    link_to = [ids.get(link.span_id, link.span_id.hex()) for link in span.links]
    for link in span.links:
        link.ClearField("trace_id")
        link.ClearField("span_id")
    is_timed = span.name != "block"
    return {
        "name": span.name,
        "kind": span.kind,
        "parent": ids.get(span.parent_span_id, span.parent_span_id.hex()),
        "times": (span.start_time_unix_nano, span.end_time_unix_nano if is_timed else 0),
        "attributes": sorted(str(each) for each in span.attributes),
        "dropped": (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
        "events": [str(each).split("exception.stacktrace")[0] for each in span.events],
        "links": [str(link) for link in span.links],
        "linked": link_to,
        "status": (span.status.code, span.status.message),
        "flags": span.flags,
        "remote trace": span.trace_id.hex() if span.trace_id == (7).to_bytes(16, "big") else "",
    }


@pytest.mark.usefixtures("all_of_them")
def test_their_messages_are_those_of_the_sdk() -> None:
    theirs, ours = Kept(), Kept()
    sdk = TracerProvider(resource=RESOURCE)
    sdk.add_span_processor(BatchSpanProcessor(theirs))
    assert told_by(LightTracerProvider(RESOURCE, [ours], None), ours) == told_by(sdk, theirs)


@pytest.mark.usefixtures("all_of_them")
def test_the_limits_of_the_standard_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    kept = Kept()
    provider = LightTracerProvider(RESOURCE, [kept], None)
    span = provider.get_tracer("t").start_span("one", attributes={"a": "1", "b": "12345", "c": "3"})
    for _ in range(200):
        span.add_event("again")
    span.end()
    provider.shutdown()
    (message,) = encode_spans(kept.spans).resource_spans[0].scope_spans[0].spans
    assert {each.key: each.value.string_value for each in message.attributes} == {"b": "123", "c": "3"}
    assert message.dropped_attributes_count == 1
    assert (len(message.events), message.dropped_events_count) == (128, 72)


@pytest.mark.parametrize(
    ("sampler", "argument", "is_recorded"),
    [
        ("always_on", "", True),
        ("always_off", "", False),
        ("traceidratio", "0", False),
        ("traceidratio", "1", True),
        ("parentbased_always_off", "", False),
        ("parentbased_traceidratio", "1", True),
    ],
)
def test_a_standard_sampler_means_what_it_says(
    sampler: str, argument: str, is_recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    provider = LightTracerProvider(RESOURCE, [], None)
    span = provider.get_tracer("t").start_span("root")
    assert isinstance(span, LightSpan) is is_recorded
    assert span.get_span_context().is_valid
    assert span.get_span_context().trace_flags.sampled is is_recorded
    provider.shutdown()


def test_a_caller_that_is_not_recorded_is_not_without_a_sampler_either() -> None:
    caller = SpanContext(7, 8, True, TraceFlags(TraceFlags.DEFAULT))
    provider = LightTracerProvider(RESOURCE, [], TracingOptions())
    span = provider.get_tracer("t").start_span("s", set_span_in_context(NonRecordingSpan(caller)))
    assert not span.is_recording()
    assert span.get_span_context().trace_id == 7
    provider.shutdown()


def test_a_request_below_an_operation_is_in_its_group_and_a_session_is_in_none() -> None:
    provider = LightTracerProvider(RESOURCE, [], TracingOptions())
    tracer = provider.get_tracer("t")
    session = tracer.start_span("sftp.session")
    operation = tracer.start_span("sftp.OPEN", set_span_in_context(session), SpanKind.SERVER)
    request = tracer.start_span("S3.GetObject", set_span_in_context(operation), SpanKind.CLIENT)
    other = tracer.start_span("sftp.STAT", set_span_in_context(session), SpanKind.SERVER)
    provider.shutdown()
    assert all(isinstance(each, LightSpan) for each in (session, operation, request, other))
    groups = [each.group for each in (session, operation, request, other) if isinstance(each, LightSpan)]
    assert groups[0] is None
    assert groups[1] is groups[2] is not None
    assert groups[3] is not groups[1]


@pytest.mark.parametrize("is_failure", [False, True])
def test_what_is_left_for_later_is_asked_for_only_if_the_span_is_kept(
    monkeypatch: pytest.MonkeyPatch, is_failure: bool
) -> None:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    kept, asked = Kept(), []
    provider = LightTracerProvider(RESOURCE, [kept], TracingOptions(ordinary_spans=0))
    monkeypatch.setattr(spans, "_tracer", lambda: tracer)
    tracer = provider.get_tracer("t")

    def later(name: str) -> dict[str, str]:
        asked.append(name)
        return {name: "a\nb"}

    session = open_span("session")
    with span("operation", lambda: later("first"), SpanKind.SERVER, parent=session) as current:
        set_later(current, lambda: later("second"))
        assert not asked
        if is_failure:
            current.set_status(StatusCode.ERROR)
    set_later(current, lambda: later("too late"))
    provider.shutdown()
    assert asked == (["first", "second"] if is_failure else [])
    told = [dict(each.attributes or {}) for each in kept.spans]
    assert told == ([{"first": r"a\nb", "second": r"a\nb"}] if is_failure else [])
