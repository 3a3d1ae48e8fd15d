"""One kind of events: room is kept, the thing is done, it is announced, it is acknowledged.

async with announcements.room() as announce:    waits while a queue is full; nothing has happened yet
    …commit…
    announce(event)                             puts it into every queue; needs no waiting
await announcements.acknowledge(event)          those who asked for it, before the client gets its answer
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
    """Tells the subscribers of one kind of events."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        asked = list(subscribers)
        self.lines = {each.label: SubscriberQueue(each) for each in asked if not each.acknowledge}
        self._acknowledging = {each.label: Delivery(each) for each in asked if each.acknowledge}

    @asynccontextmanager
    async def room(self) -> AsyncIterator[Publish[E]]:
        """Keep a place for one event in every queue; what is not announced leaves no trace. Raises Busy."""
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
        """Let those act who asked to be part of the acknowledgement. Raises the first failure.

        A StorageError is passed on as it is, text and all; anything else becomes a StorageFailure.
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
        """By subscriber."""
        return {name: line.counts for name, line in self.lines.items()} | {
            name: delivery.counts for name, delivery in self._acknowledging.items()
        }


async def _ask(delivery: Delivery, event: Event) -> Exception | None:
    try:
        return await delivery.deliver([event], within=delivery.subscriber.time_limit)
    except asyncio.CancelledError:
        delivery.leave([event])
        raise
