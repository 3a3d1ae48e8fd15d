"""One subscriber's bounded queue of events, and the tasks that deliver them.

    reserve ──► put ──► [ queue ] ──► a task: batch ──► deliver
        └──► release (nothing was committed)

A place is reserved before the commit and filled after it, so a commit never overfills the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from s3sftp.errors import Busy
from s3sftp.events.delivery import Delivery, Event, SubscriberCounts
from s3sftp.events.subscriber import Subscriber


class SubscriberQueue:
    """One subscriber's events, from the commit to the handler."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._delivery = Delivery(subscriber)
        self._places = asyncio.Semaphore(subscriber.queue)
        self._queue: asyncio.Queue[Event] = asyncio.Queue()  # bounded by the reservations
        self._in_hand: list[list[Event]] = [[] for _ in range(subscriber.concurrency)]
        """The events that each task has taken from the queue and not yet delivered."""
        self._tasks: list[asyncio.Task[None]] = []
        self._waits: set[asyncio.Timeout] = set()
        self._hurried = False

    @property
    def counts(self) -> SubscriberCounts:
        return replace(self._delivery.counts, waiting=self._queue.qsize() + sum(map(len, self._in_hand)))

    async def reserve(self) -> None:
        """Reserve a place in the queue.

        Raises Busy: if none becomes free in time.
        """
        try:
            async with asyncio.timeout(self._subscriber.queue_wait) as wait:
                with self._hurriable(wait):
                    await self._places.acquire()
        except TimeoutError:
            self._delivery.count("refused", 1)
            full = f"the queue of subscriber {self._subscriber.label} is full"
            raise Busy("server is busy, try again later", detail=full) from None

    def release(self) -> None:
        """Return a place that is not used."""
        self._places.release()

    def put(self, event: Event) -> None:
        """Put an event into a reserved place."""
        self._queue.put_nowait(event)

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [asyncio.create_task(self._work(batch)) for batch in self._in_hand]

    async def drain(self) -> None:
        """Wait until all events are delivered. Batches no longer wait for more events."""
        self.hurry()
        await self._queue.join()

    def hurry(self) -> None:
        """End every wait for room and for batches, from now on."""
        self._hurried = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0)

    async def stop(self) -> None:
        """Stop delivering, and log what remains."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = [event for batch in self._in_hand for event in batch]
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for batch in self._in_hand:
            batch.clear()
        self._delivery.leave(left)

    async def _work(self, batch: list[Event]) -> None:
        while True:
            await self._fill(batch)
            await self._delivery.deliver(batch)
            for _ in batch:
                self._queue.task_done()
            batch.clear()

    async def _fill(self, batch: list[Event]) -> None:
        """Fill the batch: with at least one event, and with those that follow in time."""
        most = self._subscriber.batch or 1
        self._add_to(batch, await self._queue.get())
        try:
            async with asyncio.timeout(self._subscriber.batch_wait) as wait:
                with self._hurriable(wait):
                    while len(batch) < most:
                        self._add_to(batch, await self._queue.get())
        except TimeoutError:
            pass

    def _add_to(self, batch: list[Event], event: Event) -> None:
        batch.append(event)
        self._places.release()

    @contextmanager
    def _hurriable(self, wait: asyncio.Timeout) -> Iterator[None]:
        """Surrounds a wait that `hurry` ends."""
        self._waits.add(wait)
        if self._hurried:
            wait.reschedule(0)
        try:
            yield
        finally:
            self._waits.discard(wait)
