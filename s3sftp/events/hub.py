"""Publishes the events of one server to their subscribers: reserve a place, commit, publish, acknowledge.

async with publisher.reserve() as publish:   waits while a queue is full; nothing has happened yet
    …commit…
    publish(event)                           puts it into every queue, without waiting
await publisher.acknowledge(event)           the acknowledging subscribers, before the client gets its answer
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

from s3sftp.errors import ConfigurationError, StorageError, StorageFailure
from s3sftp.events.delivery import Delivery, Event, SubscriberCounts
from s3sftp.events.subscriber import Committed, Handler, Renamed, Subscriber
from s3sftp.events.subscriber_queue import SubscriberQueue
from s3sftp.telemetry import current_trace_context

E = TypeVar("E", bound=Event)
Publish = Callable[[E], None]
Subscribers = Handler | Subscriber | Iterable[Handler | Subscriber]
"""One or several; a bare handler becomes a subscriber with the defaults."""


class Publisher(Generic[E]):
    """Publishes one kind of event to its subscribers."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        asked = list(subscribers)
        self.queues = {each.label: SubscriberQueue(each) for each in asked if not each.acknowledge}
        self._acknowledging = {each.label: Delivery(each) for each in asked if each.acknowledge}

    def trace_context(self) -> Mapping[str, str]:
        """The headers of the current operation for an event; empty if nobody will get it."""
        return current_trace_context() if self.queues or self._acknowledging else {}

    @asynccontextmanager
    async def reserve(self) -> AsyncIterator[Publish[E]]:
        """Reserve a place for one event in every queue. A place that is not used is released.

        Raises Busy: if a queue stays full.
        """
        reserved: list[SubscriberQueue] = []

        def publish(event: E) -> None:
            while reserved:
                reserved.pop().put(event)

        try:
            for queue in self.queues.values():
                await queue.reserve()
                reserved.append(queue)
            yield publish
        finally:
            for queue in reserved:
                queue.release()

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
        return {name: queue.counts for name, queue in self.queues.items()} | {
            name: delivery.counts for name, delivery in self._acknowledging.items()
        }


class EventHub:
    """The subscribers of each kind of event."""

    def __init__(self, on_committed: Subscribers = (), on_renamed: Subscribers = ()) -> None:
        """Raises ConfigurationError: if two subscribers have the same name, which counts and logs use."""
        committed, renamed = _subscribers(on_committed), _subscribers(on_renamed)
        names = Counter(each.label for each in (*committed, *renamed))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ConfigurationError(
                [f"several subscribers are called {name}: give each a name" for name in twice]
            )
        self.committed = Publisher[Committed](committed)
        self.renamed = Publisher[Renamed](renamed)

    def counts(self) -> Mapping[str, SubscriberCounts]:
        """The counts of each subscriber, by its name."""
        return {**self.committed.counts(), **self.renamed.counts()}

    def start(self) -> None:
        """Begin to deliver."""
        for queue in self._queues:
            queue.start()

    def hurry(self) -> None:
        """End all waits for places: a commit that would have to wait is refused from now on."""
        for queue in self._queues:
            queue.hurry()

    async def drain(self) -> None:
        """Wait until every queue is empty."""
        await asyncio.gather(*(queue.drain() for queue in self._queues))

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Deliver for at most `grace_seconds`, then log what remains."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self.drain()
        await asyncio.gather(*(queue.stop() for queue in self._queues))

    @property
    def _queues(self) -> list[SubscriberQueue]:
        return [*self.committed.queues.values(), *self.renamed.queues.values()]


def _subscribers(given: Subscribers) -> list[Subscriber]:
    several: Iterable[Any] = given if isinstance(given, Iterable) else [given]
    return [each if isinstance(each, Subscriber) else Subscriber(each) for each in several]


async def _ask(delivery: Delivery, event: Event) -> Exception | None:
    try:
        return await delivery.deliver([event], within=delivery.subscriber.time_limit)
    except asyncio.CancelledError:
        delivery.leave([event])
        raise
