"""Publishes one kind of event: reserve a place, commit, publish, acknowledge.

async with publisher.room() as publish:      waits while a queue is full; nothing has happened yet
    …commit…
    publish(event)                           puts it into every queue, without waiting
await publisher.acknowledge(event)           the acknowledging subscribers, before the client gets its answer
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from s3sftp.errors import StorageError, StorageFailure
from s3sftp.events.delivery import Delivery, Event, SubscriberCounts
from s3sftp.events.subscriber import Subscriber
from s3sftp.events.subscriber_queue import SubscriberQueue

E = TypeVar("E", bound=Event)
Publish = Callable[[E], None]


class Publisher(Generic[E]):
    """Publishes one kind of event to its subscribers."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        asked = list(subscribers)
        self.lines = {each.label: SubscriberQueue(each) for each in asked if not each.acknowledge}
        self._acknowledging = {each.label: Delivery(each) for each in asked if each.acknowledge}

    @asynccontextmanager
    async def room(self) -> AsyncIterator[Publish[E]]:
        """Reserve a place for one event in every queue. A place that is not used is released.

        Raises Busy: if a queue stays full.
        """
        kept: list[SubscriberQueue] = []

        def announce(event: E) -> None:
            while kept:
                kept.pop().put(event)

        try:
            for line in self.lines.values():
                await line.reserve()
                kept.append(line)
            yield announce
        finally:
            for line in kept:
                line.release()

    async def acknowledge(self, event: E) -> None:
        """Run the handlers that belong to the acknowledgement. Raises the first failure.

        A StorageError is passed on unchanged, with its text; any other error becomes a StorageFailure.
        """
        if not self._acknowledging:
            return
        failures = await asyncio.gather(*(_ask(each, event) for each in self._acknowledging.values()))
        for failure in failures:
            if isinstance(failure, StorageError):
                raise failure
            if failure is not None:
                raise StorageFailure(
                    "the file is stored, but what was to follow failed", detail=str(failure)
                ) from failure

    def counts(self) -> Mapping[str, SubscriberCounts]:
        """The counts by subscriber."""
        return {name: line.counts for name, line in self.lines.items()} | {
            name: delivery.counts for name, delivery in self._acknowledging.items()
        }


async def _ask(delivery: Delivery, event: Event) -> Exception | None:
    try:
        return await delivery.deliver([event], within=delivery.subscriber.time_limit)
    except asyncio.CancelledError:
        delivery.leave([event])
        raise
