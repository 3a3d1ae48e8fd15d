"""What requests to SQS, SNS and EventBridge contain, and what their answers say about each event. Pure.

Each service answers a batch for each entry: some may be accepted while others are not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.sinks.aws.batches import (
    BatchEntry,
    attributes_of,
    attributes_size,
    deduplication_id,
    group_of,
)
from s3sftp.events.sinks.options import EventBridgeSinkOptions, SnsSinkOptions, SqsSinkOptions

_TRACEPARENT = re.compile(r"00-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})")
_TIME_BYTES = 14
"""What EventBridge counts for the time of an entry."""


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """What a service says about an entry that it did not accept."""

    code: str
    message: str


class EventFormat(Protocol):
    """The requests of one service."""

    @property
    def service(self) -> str:
        """Its name in botocore."""

    @property
    def method(self) -> str:
        """The method of botocore's client that sends a batch."""

    @property
    def permission(self) -> str:
        """The permission that a batch needs."""

    @property
    def final(self) -> Collection[str]:
        """Codes of errors that say an event will never be accepted."""

    def entry(self, index: int, event: CloudEvent) -> BatchEntry:
        """The entry for an event."""

    def parameters(self, batch: Sequence[BatchEntry]) -> dict[str, Any]:
        """The parameters of the request."""

    def failures(
        self, answer: Mapping[str, Any], batch: Sequence[BatchEntry]
    ) -> Sequence[EntryFailure | None]:
        """For each entry: None if the answer says that it was accepted."""


_UNTOLD = EntryFailure("", "the answer does not say that the event was accepted: a proxy, or a wrong address")


def _by_id(answer: Mapping[str, Any], batch: Sequence[BatchEntry]) -> Sequence[EntryFailure | None]:
    """For SQS and SNS, which name entries by the ids that the request gave them."""
    accepted = {each.get("Id") for each in answer.get("Successful") or () if each.get("MessageId")}
    failed = {
        each.get("Id"): EntryFailure(str(each.get("Code", "")), str(each.get("Message", "")))
        for each in answer.get("Failed") or ()
    }
    return [
        None if (found := str(entry.index)) in accepted else failed.get(found, _UNTOLD) for entry in batch
    ]


def _message(
    index: int, event: CloudEvent, body: str, options: SqsSinkOptions | SnsSinkOptions
) -> BatchEntry:
    text, attributes = event.to_json().decode(), attributes_of(event)
    fields: dict[str, Any] = {"Id": str(index), body: text, "MessageAttributes": attributes}
    if options.is_fifo:
        fields["MessageGroupId"] = group_of(event, options.group_by)
        fields["MessageDeduplicationId"] = deduplication_id(event)
    return BatchEntry(index, fields, len(text.encode()) + attributes_size(attributes))


class SqsFormat:
    """SendMessageBatch."""

    service, method, permission = "sqs", "send_message_batch", "sqs:SendMessage"
    final = frozenset({"InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong"})

    def __init__(self, options: SqsSinkOptions) -> None:
        self._options = options

    def entry(self, index: int, event: CloudEvent) -> BatchEntry:
        return _message(index, event, "MessageBody", self._options)

    def parameters(self, batch: Sequence[BatchEntry]) -> dict[str, Any]:
        return {"QueueUrl": self._options.queue_url, "Entries": [entry.fields for entry in batch]}

    def failures(
        self, answer: Mapping[str, Any], batch: Sequence[BatchEntry]
    ) -> Sequence[EntryFailure | None]:
        return _by_id(answer, batch)


class SnsFormat:
    """PublishBatch."""

    service, method, permission = "sns", "publish_batch", "sns:Publish"
    final = frozenset(
        {"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "BatchRequestTooLong"}
    )

    def __init__(self, options: SnsSinkOptions) -> None:
        self._options = options

    def entry(self, index: int, event: CloudEvent) -> BatchEntry:
        return _message(index, event, "Message", self._options)

    def parameters(self, batch: Sequence[BatchEntry]) -> dict[str, Any]:
        entries = [entry.fields for entry in batch]
        return {"TopicArn": self._options.topic_arn, "PublishBatchRequestEntries": entries}

    def failures(
        self, answer: Mapping[str, Any], batch: Sequence[BatchEntry]
    ) -> Sequence[EntryFailure | None]:
        return _by_id(answer, batch)


class EventBridgeFormat:
    """PutEvents. The detail of an event is the whole CloudEvent, and its detail-type the `type` of that."""

    service, method, permission = "events", "put_events", "events:PutEvents"
    final = frozenset({"InvalidArgument", "MalformedDetail"})

    def __init__(self, options: EventBridgeSinkOptions) -> None:
        self._options = options

    def entry(self, index: int, event: CloudEvent) -> BatchEntry:
        detail, kind = event.to_json().decode(), f"s3sftp.{event.kind}"
        fields = {
            "EventBusName": self._options.bus,
            "Source": self._options.event_source,
            "DetailType": kind,
            "Detail": detail,
            "Time": datetime.fromtimestamp(event.time, UTC),
        }
        if event.traceparent is not None:  # for X-Ray alone; others find it in the detail
            fields |= _trace_header(event.traceparent)
        size = len(detail.encode()) + len(kind) + len(self._options.event_source) + _TIME_BYTES
        return BatchEntry(index, fields, size)

    def parameters(self, batch: Sequence[BatchEntry]) -> dict[str, Any]:
        return {"Entries": [entry.fields for entry in batch]}

    def failures(
        self, answer: Mapping[str, Any], batch: Sequence[BatchEntry]
    ) -> Sequence[EntryFailure | None]:
        """The results are in the order of the entries."""
        results = answer.get("Entries") or ()
        if len(results) != len(batch):
            return [_UNTOLD] * len(batch)
        return [None if result.get("EventId") else _entry_failure(result) for result in results]


def _entry_failure(result: Mapping[str, Any]) -> EntryFailure:
    if not result.get("ErrorCode"):
        return _UNTOLD
    return EntryFailure(str(result["ErrorCode"]), str(result.get("ErrorMessage", "")))


def _trace_header(traceparent: str) -> dict[str, str]:
    """The trace in the form of X-Ray, which EventBridge passes on to targets."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return {}
    time, rest, parent, flags = match.groups()
    return {"TraceHeader": f"Root=1-{time}-{rest};Parent={parent};Sampled={int(flags, 16) & 1}"}
