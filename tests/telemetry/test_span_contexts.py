"""Which span is above which, what is recorded of an error, and what a trace that is not sampled costs."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from s3sftp.errors import NotFound, StorageFailure
from s3sftp.events.hub import Publisher
from s3sftp.events.subscriber import Subscriber
from s3sftp.telemetry import (
    NO_SPAN,
    Costs,
    charging,
    current_owner,
    current_trace_context,
    in_transfer,
    open_span,
    span,
    spans,
    without_span,
)


class Tracer:
    """OpenTelemetry's, whose spans are counted when they are made and kept when they end."""

    def __init__(self, sampler: Any) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(sampler))
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self._tracer = provider.get_tracer("test")
        self.made = 0

    def start_span(self, *given: Any, **more: Any) -> Any:
        self.made += 1
        return self._tracer.start_span(*given, **more)

    @property
    def ended(self) -> dict[str, ReadableSpan]:
        return {each.name: each for each in self._kept.get_finished_spans()}


@pytest.fixture
def tracer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tracer:
    found = Tracer(getattr(request, "param", ALWAYS_ON))
    monkeypatch.setattr(spans, "_tracer", lambda: found)
    return found


def parent_of(each: ReadableSpan) -> int | None:
    return each.parent.span_id if each.parent else None


def id_of(each: ReadableSpan) -> int:
    return each.get_span_context().span_id


def test_below_what_began_while_tracing_was_off_no_span_is_made(tracer: Tracer) -> None:
    with span("STAT", parent=NO_SPAN):
        pass
    assert tracer.made == 0


def test_a_request_belongs_to_its_operation_or_else_to_its_transfer(tracer: Tracer) -> None:
    session = open_span("session")
    with span("OPEN", parent=session):
        transfer = open_span("transfer", parent=current_owner())
    costs = Costs(transfer=transfer.context)
    with span("CLOSE", parent=session), charging(costs):
        with span("of the operation", kind=SpanKind.CLIENT):
            pass
        with in_transfer(), span("of a part", kind=SpanKind.CLIENT):
            pass
    with span("elsewhere"), without_span(), charging(costs), span("of a folded WRITE", kind=SpanKind.CLIENT):
        pass
    transfer.end()
    session.end()
    ended = tracer.ended
    its = id_of(ended["transfer"])
    above = {name: parent_of(each) for name, each in ended.items()}
    assert above["session"] is None
    assert above["transfer"] == above["OPEN"] == above["CLOSE"] == id_of(ended["session"])
    assert above["of the operation"] == id_of(ended["CLOSE"])
    assert above["of a part"] == above["of a folded WRITE"] == its
    links = {name: [link.context.span_id for link in each.links] for name, each in ended.items()}
    assert {name: found for name, found in links.items() if found} == {"of the operation": [its]}


@pytest.mark.parametrize("tracer", [ALWAYS_OFF], indirect=True)
def test_a_trace_that_is_not_sampled_makes_no_span_below_its_session_and_says_so(
    tracer: Tracer,
) -> None:
    connection = open_span("connection")
    with connection.current():
        session = open_span("session", parent=current_owner())
    made = tracer.made
    with span("OPEN", lambda: pytest.fail("computed for nothing"), parent=session):
        with span("S3.GetObject", kind=SpanKind.CLIENT):
            context = current_trace_context()["traceparent"]
    assert tracer.made == made
    assert int(context.rpartition("-")[2], 16) & 1 == 0
    assert not tracer.ended


def test_an_error_that_is_foreseen_leaves_its_class_and_any_other_its_traceback(tracer: Tracer) -> None:
    with pytest.raises(StorageFailure), span("failed"):
        raise StorageFailure("no answer", detail="bucket x")
    with pytest.raises(ZeroDivisionError), span("crashed"):
        _ = 1 / 0
    with span("expected") as current:
        spans.note_error(current, NotFound(), is_failure=False)
    failed, crashed, expected = (tracer.ended[name] for name in ("failed", "crashed", "expected"))
    assert failed.status.status_code is crashed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "no answer (bucket x)"
    assert expected.status.status_code is StatusCode.UNSET
    kinds = [each.attributes["error.type"] for each in (failed, crashed, expected) if each.attributes]
    assert kinds == ["StorageFailure", "ZeroDivisionError", "NotFound"]
    assert [len(each.events) for each in (failed, crashed, expected)] == [0, 1, 0]


async def test_an_event_has_the_context_of_its_operation_if_somebody_gets_it(tracer: Tracer) -> None:
    async def handler(_: object) -> None:
        """Gets it."""

    session = open_span("session")
    with span("CLOSE", parent=session):
        assert Publisher([Subscriber(handler)]).trace_context() == current_trace_context() != {}
        assert Publisher([Subscriber(handler, acknowledge=True)]).trace_context() == current_trace_context()
        assert Publisher().trace_context() == {}
    session.end()
