"""Delivers events to a service of AWS, in batches, and says of each event what became of it.

events ─► too large: refused
   └────► batches ─► one request each ─► accepted, refused or failed, entry by entry
                           └─ refused as a whole: each event alone, so that one does not spoil the others
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from s3sftp.backends.s3.credentials.errors import one_line
from s3sftp.backends.s3.credentials.service_client import (
    DENIED,
    REQUEST_FAILURES,
    STALE_CREDENTIALS,
    AwsServiceClient,
    code_of,
    error_of,
)
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.sink import EventNotTried, EventRefused
from s3sftp.events.sinks.aws.batches import MAX_BATCH_BYTES, MAX_ENTRIES, BatchEntry, batches
from s3sftp.events.sinks.aws.formats import EntryFailure, EventFormat
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.options import AwsSinkOptions

_MAX_CONNECTIONS = 8
_CONCURRENCY = 4
_CODE_PREFIX = "AWS.SimpleQueueService."
_OF_THE_DESTINATION = ("TopicArn", "QueueUrl", "MessageGroupId", "EventBusName", "MessageDeduplicationId")
"""Parameters that an operator has to mend: an error that names one is not the fault of the event."""

Outcome = Exception | None


class AwsSink:
    """An EventSink over one queue, topic or bus."""

    def __init__(
        self,
        name: str,
        options: AwsSinkOptions,
        form: EventFormat,
        *,
        region: str | None,
        in_order: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`region` is that of the destination's name, for options without one; `in_order` allows one request
        at a time. `clock`, in seconds, says whether there is time for another request of a delivery."""
        self.name = name
        self.max_batch = MAX_ENTRIES
        self.concurrency = 1 if in_order else _CONCURRENCY
        self._form = form
        self._limit = options.time_limit.total_seconds()
        self._clock = clock
        access = options if options.region else options.model_copy(update={"region": region})
        self._client = AwsServiceClient(
            form.service,
            f"events.sinks.{name}",
            access,
            limit=timedelta(seconds=self._limit),
            most_connections=_MAX_CONNECTIONS,
            section={"events": "eventbridge"}.get(form.service, form.service),
        )

    async def start(self) -> None:
        """Raises ConfigurationError: if the region, the profile or the address cannot be used."""
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        began = self._clock()
        outcomes: list[Outcome] = [EventNotTried("not tried yet")] * len(events)
        entries = []
        for index, event in enumerate(events):
            entry = self._form.entry(index, event)
            if entry.size > MAX_BATCH_BYTES:
                outcomes[index] = EventRefused(
                    f"the event has {entry.size} bytes, and the service takes {MAX_BATCH_BYTES}"
                )
            else:
                entries.append(entry)
        for number, batch in enumerate(batches(entries)):
            if number and self._clock() >= began + self._limit:
                break
            await self._send(batch, outcomes, began + 2 * self._limit)
        return outcomes

    async def _send(self, batch: Sequence[BatchEntry], outcomes: list[Outcome], until: float) -> None:
        """Send a batch, and note the outcome of each of its events. If they are sent one by one, no request
        but the first begins after `until`."""
        try:
            async with asyncio.timeout(self._limit):
                results = await self._attempt(batch)
        except TimeoutError:
            results = DeliveryFailed(f"no answer within {self._limit:g} s")
        if len(batch) > 1 and isinstance(results, EventRefused):
            for number, entry in enumerate(batch):
                if number and self._clock() >= until:
                    break
                await self._send([entry], outcomes, until)
            return
        for number, entry in enumerate(batch):
            outcomes[entry.index] = results if isinstance(results, Exception) else results[number]

    async def _attempt(self, batch: Sequence[BatchEntry]) -> Exception | Sequence[Outcome]:
        """The outcome of each event, or the failure of the whole request."""
        generation = self._client.generation
        parameters = self._form.parameters(batch)
        try:
            answer = await self._client.call(self._form.method, **parameters)
        except REQUEST_FAILURES as failure:
            if (code := code_of(failure)) in STALE_CREDENTIALS:
                await self._client.renew(generation)  # for the next attempt
            return self._whole_failure(failure, code)
        except ValueError as error:  # an answer that is not what the service sends
            return DeliveryFailed(f"what answers is not the service ({type(error).__name__})")
        failures = self._form.failures(answer, batch)
        return [None if each is None else self._outcome(each) for each in failures]

    def _whole_failure(self, failure: BaseException, code: str) -> Exception:
        if not code:
            return DeliveryFailed(one_line(f"{type(failure).__name__}: {failure}"))
        return self._outcome(EntryFailure(code, str(error_of(failure).get("Message", ""))))

    def _outcome(self, failed: EntryFailure) -> Exception:
        """Refused for good are only errors of the event itself: an operator mends all others."""
        code = failed.code.removeprefix(_CODE_PREFIX).removesuffix("Exception")
        said = one_line(f"{failed.code}: {failed.message}" if failed.code else failed.message)
        if code in DENIED or failed.code in DENIED:
            return DeliveryFailed(f"{said} (the server needs the permission {self._form.permission})")
        if code in self._form.final and not any(word in failed.message for word in _OF_THE_DESTINATION):
            return EventRefused(said)
        return DeliveryFailed(said)


def region_in(arn_or_url: str) -> str | None:
    """The region that an ARN, or the URL of a queue of AWS, names; None if it names none."""
    parts: Any = arn_or_url.split(":")
    if parts[0] == "arn":
        return parts[3] or None
    host = arn_or_url.partition("://")[2].partition("/")[0].partition(":")[0].split(".")
    return host[1] if len(host) > 2 and host[0] == "sqs" and "amazonaws" in host else None
