"""SQS, SNS and EventBridge: what arrives is what was sent, and each event has an outcome of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from s3sftp.errors import ConfigurationError
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.sink import EventNotTried, EventRefused, EventSink
from s3sftp.events.sinks import make_sink
from s3sftp.events.sinks.aws.aws_sink import AwsSink, region_in
from s3sftp.events.sinks.aws.batches import MAX_BATCH_BYTES, BatchEntry, batches, deduplication_id, group_of
from s3sftp.events.sinks.aws.formats import SqsFormat
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.options import (
    EventBridgeSinkOptions,
    SnsSinkOptions,
    SqsSinkOptions,
)
from testbed.processes import free_port
from testbed.s3_store import Store
from tests.events.sinks.aws_services import REGION, AwsServices
from tests.events.sinks.samples import sample
from tests.support.aws_users import Fault, errs, running_relay

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/files"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:files"


@pytest.fixture
def services(moto: Store, monkeypatch: pytest.MonkeyPatch) -> AwsServices:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return AwsServices(moto)


@asynccontextmanager
async def started(options: Any) -> AsyncIterator[EventSink]:
    sink = make_sink("orders", options)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


def access(moto: Store) -> dict[str, Any]:
    return {"endpoint_url": moto.endpoint_url, "region": REGION, "time_limit": 60}


def events(count: int, **fields: Any) -> list[CloudEvent]:
    return [sample(id=f"event-{number}", **fields) for number in range(count)]


def read(messages: Sequence[dict[str, Any]]) -> list[CloudEvent]:
    return sorted((CloudEvent.from_json(each["Body"].encode()) for each in messages), key=lambda e: e.id)


async def answered(
    fault: Fault | None, moto: Store, sent: Sequence[CloudEvent]
) -> Sequence[Exception | None]:
    """The outcomes of events for a queue whose service fails like this."""
    async with running_relay(moto) as relay:
        relay.fault = fault
        options = SqsSinkOptions(
            type="sqs", queue_url=QUEUE, endpoint_url=relay.url, region=REGION, time_limit=60
        )
        async with started(options) as sink:
            return await sink.deliver(sent)


def says(content: object) -> Fault:
    async def fault(request: web.Request) -> web.StreamResponse:
        return web.json_response(content)

    return fault


# ── what arrives ────────────────────────────────────────────────────────────────────────────────────


async def test_a_queue_has_each_event_with_its_attributes(services: AwsServices, moto: Store) -> None:
    queue, sent = services.queue(), events(10, subject="/in/zwölf.csv", user="zoë")
    async with started(SqsSinkOptions(type="sqs", queue_url=queue, **access(moto))) as sink:
        assert await sink.deliver(sent) == [None] * 10
    messages = services.received(queue)
    assert read(messages) == sent
    found = {name: each["StringValue"] for name, each in messages[0]["MessageAttributes"].items()}
    assert found == {"kind": "upload.committed", "user": "zoë"}


async def test_a_fifo_queue_keeps_the_order_of_a_user_and_drops_second_attempts(
    services: AwsServices, moto: Store
) -> None:
    queue, sent = services.queue(fifo=True), events(10)
    async with started(SqsSinkOptions(type="sqs", queue_url=queue, **access(moto))) as sink:
        assert sink.concurrency == 1
        for _ in range(2):
            assert await sink.deliver(sent) == [None] * 10
    messages = services.received(queue)
    assert [CloudEvent.from_json(each["Body"].encode()) for each in messages] == sent
    assert {each["Attributes"]["MessageGroupId"] for each in messages} == {"acme"}


async def test_a_topic_passes_events_on_and_filters_by_their_attributes(
    services: AwsServices, moto: Store
) -> None:
    topic, queue = services.topic()
    services.filter_users(topic, "acme")
    async with started(SnsSinkOptions(type="sns", topic_arn=topic, **access(moto))) as sink:
        sent = [sample(id="ours"), sample(id="theirs", user="globex")]
        assert await sink.deliver(sent) == [None, None]
    bodies = [json.loads(each["Body"]) for each in services.received(queue)]
    assert [CloudEvent.from_json(each["Message"].encode()) for each in bodies] == sent[:1]
    assert bodies[0]["MessageAttributes"]["kind"]["Value"] == "upload.committed"


async def test_a_fifo_topic_is_given_groups(services: AwsServices, moto: Store) -> None:
    topic, queue = services.topic(fifo=True)
    async with started(SnsSinkOptions(type="sns", topic_arn=topic, **access(moto))) as sink:
        assert await sink.deliver(events(3)) == [None] * 3
    assert len(services.received(queue)) == 3


async def test_a_bus_selects_by_source_and_detail_type(services: AwsServices, moto: Store) -> None:
    pattern = {"source": ["s3sftp"], "detail-type": ["s3sftp.upload.committed"]}
    bus, queue = services.bus(pattern)
    sent = [sample(id="a"), sample(id="b", kind=EventKind.FILE_REMOVED)]
    async with started(EventBridgeSinkOptions(type="eventbridge", bus=bus, **access(moto))) as sink:
        assert await sink.deliver(sent) == [None, None]
    [found] = [json.loads(each["Body"]) for each in services.received(queue)]
    assert found["detail-type"] == "s3sftp.upload.committed"
    assert CloudEvent.from_json(json.dumps(found["detail"]).encode()) == sent[0]


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


async def test_batches_are_cut_by_their_bytes_and_all_arrive(services: AwsServices, moto: Store) -> None:
    queue, sent = services.queue(), events(4, size=MAX_BATCH_BYTES // 2 - 2000)
    async with started(SqsSinkOptions(type="sqs", queue_url=queue, **access(moto))) as sink:
        assert await sink.deliver(sent) == [None] * 4
    assert read(services.received(queue)) == sent


async def test_an_event_that_no_message_holds_is_refused_and_the_others_arrive(
    services: AwsServices, moto: Store
) -> None:
    queue, sent = services.queue(), [sample(id="a"), sample(id="b", size=MAX_BATCH_BYTES), sample(id="c")]
    async with started(SqsSinkOptions(type="sqs", queue_url=queue, **access(moto))) as sink:
        first, second, third = await sink.deliver(sent)
    assert (first, third) == (None, None)
    assert isinstance(second, EventRefused)
    assert "and the service takes 262144" in str(second)
    assert [each.id for each in read(services.received(queue))] == ["a", "c"]


def test_batches_keep_the_order_and_both_limits() -> None:
    sizes = [1, MAX_BATCH_BYTES - 1, 1, *([100] * 25)]
    entries = [BatchEntry(index, {}, size) for index, size in enumerate(sizes)]
    cut = list(batches(entries))
    assert [entry for batch in cut for entry in batch] == entries
    assert all(len(each) <= 10 and sum(e.size for e in each) <= MAX_BATCH_BYTES for each in cut)
    assert [len(each) for each in cut] == [2, 10, 10, 6]


@pytest.mark.parametrize("user", ["x" * 129, "zoë", "a b", "tab\t"])
def test_a_group_is_one_that_the_service_takes_and_the_same_each_time(user: str) -> None:
    group = group_of(sample(user=user), "user")
    assert len(group) == 64
    assert group == group_of(sample(id="other", user=user), "user")
    assert group != group_of(sample(user="other"), "user")


def test_groups_are_by_user_by_path_or_one() -> None:
    one, other = sample(subject="/a"), sample(subject="/b")
    assert group_of(one, "user") == group_of(other, "user") == "acme"
    assert (group_of(one, "path"), group_of(other, "path")) == ("/a", "/b")
    assert group_of(one, "all") == group_of(other, "all")
    assert deduplication_id(one) == deduplication_id(other) != deduplication_id(sample(id="x"))


# ── failures ────────────────────────────────────────────────────────────────────────────────────────


async def test_each_entry_of_a_batch_has_its_own_outcome(services: AwsServices, moto: Store) -> None:
    answer = {
        "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}],
        "Failed": [
            {"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "characters"},
            {"Id": "2", "SenderFault": False, "Code": "InternalError", "Message": "later"},
        ],
    }
    accepted, refused, failed, untold = await answered(says(answer), moto, events(4))
    assert accepted is None
    assert (type(refused), str(refused)) == (EventRefused, "InvalidMessageContents: characters")
    assert (type(failed), str(failed)) == (DeliveryFailed, "InternalError: later")
    assert isinstance(untold, DeliveryFailed)
    assert "does not say that the event was accepted" in str(untold)


async def test_failed_entries_of_a_bus_are_told_by_their_position(services: AwsServices, moto: Store) -> None:
    answer = {
        "FailedEntryCount": 2,
        "Entries": [
            {"EventId": "e"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "no"},
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"},
        ],
    }
    async with running_relay(moto) as relay:
        relay.fault = says(answer)
        options = EventBridgeSinkOptions(
            type="eventbridge", endpoint_url=relay.url, region=REGION, time_limit=60
        )
        async with started(options) as sink:
            outcomes = await sink.deliver(events(3))
    assert [type(each) for each in outcomes] == [type(None), EventRefused, DeliveryFailed]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("AWS.SimpleQueueService.NonExistentQueue", 400),
        ("QueueDoesNotExist", 400),
        ("RequestThrottled", 400),
        ("KmsAccessDenied", 400),
        ("InternalFailure", 500),
        ("ServiceUnavailable", 503),
        ("ExpiredToken", 403),
    ],
)
async def test_what_an_operator_or_time_mends_is_worth_another_attempt(
    code: str, status: int, services: AwsServices, moto: Store
) -> None:
    outcomes = await answered(errs(code, status), moto, events(2))
    assert [type(each) for each in outcomes] == [DeliveryFailed, DeliveryFailed]
    assert code.removeprefix("AWS.SimpleQueueService.") in str(outcomes[0])


async def test_a_denial_names_the_permission(services: AwsServices, moto: Store) -> None:
    [outcome] = await answered(errs("AccessDenied", 403), moto, events(1))
    assert "the server needs the permission sqs:SendMessage" in str(outcome)


async def test_a_mistake_of_the_options_refuses_no_event(services: AwsServices, moto: Store) -> None:
    message = "The parameter MessageGroupId is invalid"
    [outcome] = await answered(errs("InvalidParameterValue", message=message), moto, events(1))
    assert isinstance(outcome, DeliveryFailed)


async def test_one_event_that_the_service_refuses_does_not_spoil_its_batch(
    services: AwsServices, moto: Store
) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        ids = [json.loads(entry["MessageBody"])["id"] for entry in body["Entries"]]
        if "event-1" in ids:
            error = {"__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "no"}
            return web.json_response(error, status=400)
        done = [{"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "x"} for e in body["Entries"]]
        return web.json_response({"Successful": done, "Failed": []})

    outcomes = await answered(fault, moto, events(3))
    assert [type(each) for each in outcomes] == [type(None), EventRefused, type(None)]


async def test_what_a_sink_has_no_time_to_send_singly_is_not_tried_and_the_others_count(
    services: AwsServices, moto: Store
) -> None:
    now = 0.0

    async def fault(request: web.Request) -> web.StreamResponse:
        nonlocal now
        now += 45
        body = await request.json()
        if len(body["Entries"]) > 1:
            error = {"__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "no"}
            return web.json_response(error, status=400)
        done = [{"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "x"} for e in body["Entries"]]
        return web.json_response({"Successful": done, "Failed": []})

    async with running_relay(moto) as relay:
        relay.fault = fault
        options = SqsSinkOptions(
            type="sqs", queue_url=QUEUE, endpoint_url=relay.url, region=REGION, time_limit=60
        )
        sink = AwsSink("orders", options, SqsFormat(options), region=None, in_order=False, clock=lambda: now)
        await sink.start()
        try:
            outcomes = await sink.deliver(events(5))
        finally:
            await sink.close()
    assert [type(each) for each in outcomes] == [type(None)] * 2 + [EventNotTried] * 3


async def test_a_page_of_a_proxy_accepts_nothing(services: AwsServices, moto: Store) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    [outcome] = await answered(page, moto, events(1))
    assert isinstance(outcome, DeliveryFailed)


async def test_a_service_that_cannot_be_reached_is_tried_again(services: AwsServices) -> None:
    options = SqsSinkOptions(
        type="sqs",
        queue_url=QUEUE,
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region=REGION,
        time_limit=60,
    )
    async with started(options) as sink:
        [outcome] = await sink.deliver(events(1))
    assert isinstance(outcome, DeliveryFailed)
    assert "EndpointConnectionError" in str(outcome)


async def test_a_service_that_does_not_answer_is_given_up_after_the_time_limit(
    services: AwsServices, moto: Store
) -> None:
    async with running_relay(moto) as relay:

        async def hangs(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(3600)
            return web.Response()

        relay.fault = hangs
        options = SqsSinkOptions(
            type="sqs", queue_url=QUEUE, endpoint_url=relay.url, region=REGION, time_limit=0.2
        )
        async with started(options) as sink:
            [outcome] = await sink.deliver(events(1))
    assert str(outcome) == "no answer within 0.2 s"


# ── where it is ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (QUEUE, "eu-central-1"),
        (TOPIC, "eu-central-1"),
        ("http://127.0.0.1:5000/123456789012/files", None),
        ("default", None),
    ],
)
def test_the_region_is_in_the_name_of_the_destination(name: str, region: str | None) -> None:
    assert region_in(name) == region


async def test_a_region_that_nothing_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    sink = make_sink("orders", EventBridgeSinkOptions(type="eventbridge"))
    with pytest.raises(ConfigurationError, match=r"events\.sinks\.orders\.region is missing"):
        await sink.start()
