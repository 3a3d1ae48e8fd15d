"""One sink's queue: delivers its events in their order, in batches, until the sink has accepted them.

    put ──► [ queue, bounded ] ──► batch ──► deliver ─┬─► accepted
                   │                  ▲               ├─► refused for good: set aside
                   └─ full: kept      └── back-off ───┴─► failed: kept in the outbox, tried again

Each sink has its own, so none waits for another. What happens to an event beside its delivery is decided by
`Keeping`: where it is kept until then.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from s3sftp.errors import describe_unexpected
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.routes import SinkRule
from s3sftp.events.sink import EventRefused, EventSink
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_HEADSTRONG: Final = 4
"""Failures in a row after which every other attempt leaves out the first event, which may be the reason."""


@dataclass(slots=True, eq=False)
class CoveredChange:
    """A change that has happened, until no sink needs its entry in the outbox any more."""

    key: str | None
    """Its entry, until it is removed."""
    sinks: set[str]
    """The sinks that need it."""


@dataclass(slots=True, eq=False)
class WaitingEvent:
    """An event on its way to one sink."""

    event: CloudEvent
    key: str | None = None
    """Its entry in the outbox, if it has one of its own."""
    change: CoveredChange | None = None
    """The change that it belongs to, whose entry covers it too."""
    attempts: int = 0
    reason: str | None = None
    """The last failure."""
    is_in_hand: bool = False
    """Whether the sink is being offered it."""
    is_being_kept: bool = False
    """Whether it has an entry of its own, or will have."""
    is_left: bool = False
    """Whether nobody delivers it any more, because the server stops."""


class Keeping(Protocol):
    """Where events are kept while they wait."""

    def accepted(self, sink: str, waiting: WaitingEvent) -> None:
        """The sink has the event: forget it."""

    def failed(self, sink: str, waiting: WaitingEvent) -> None:
        """An attempt has failed: keep the event in the outbox too."""

    def refused(self, sink: str, waiting: WaitingEvent) -> None:
        """The sink will never accept the event: set it aside."""

    def no_room(self, sink: str, waiting: WaitingEvent) -> None:
        """The queue is full: keep the event in the outbox alone."""

    def counted(self, sink: str, waiting: WaitingEvent, result: str) -> None:
        """Count an outcome: `delivered`, `failed`, `retried` or `refused`."""

    def has_room(self, sink: str) -> None:
        """The queue has taken less than half of its room."""


class SinkQueue:
    """The events of one sink."""

    def __init__(
        self,
        sink: EventSink,
        rule: SinkRule,
        keeping: Keeping,
        *,
        most_waiting: int = 1000,
        backoff: Backoff | None = None,
    ) -> None:
        """At most `most_waiting` events wait in memory."""
        self.sink = sink
        self.rule = rule
        self.name = rule.name
        self.is_behind = False
        """Whether earlier events are in the outbox alone, so that new ones go there too."""
        self.failing_since: float | None = None
        """When the first of the present failures in a row happened, in seconds since the epoch."""
        self._keeping = keeping
        self.most_waiting = most_waiting
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._items: list[WaitingEvent] = []
        self._calls = asyncio.Semaphore(sink.concurrency)
        self._failures = 0
        self._not_before = 0.0
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """How many more events fit."""
        return max(0, self.most_waiting - len(self._items))

    @property
    def oldest(self) -> float | None:
        """When the oldest event in memory happened, in seconds since the epoch."""
        return min((each.event.time for each in self._items), default=None)

    @property
    def items(self) -> Sequence[WaitingEvent]:
        return self._items

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [
            asyncio.create_task(self._work(), name=f"events-{self.name}")
            for _ in range(self.sink.concurrency)
        ]

    async def drain(self) -> None:
        """Wait until nothing is in memory, or the sink fails."""
        while self._items and not self._failures:
            self._progress.clear()
            await self._progress.wait()

    async def stop(self) -> list[WaitingEvent]:
        """Stop delivering. Returns the events that are left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left, self._items = self._items, []
        return left

    def put(self, waiting: WaitingEvent) -> None:
        """Add a new event, in memory if there is room."""
        if self.is_behind or not self.room:
            self.is_behind = True
            self._keeping.no_room(self.name, waiting)
            return
        self.put_back(waiting)

    def put_back(self, waiting: WaitingEvent) -> None:
        """Add an event from the outbox, which was there before all new ones."""
        self._items.append(waiting)
        self._changed.set()

    def hurry(self) -> None:
        """Try again now."""
        self._not_before = 0.0
        self._changed.set()

    async def ask(self, waiting: WaitingEvent) -> Exception | None:
        """Deliver one event now, beside the queue, for a client that waits. Returns the failure.

        The attempt, with its wait for a call that is under way, takes at most the sink's time limit.
        """
        waiting.attempts += 1
        try:
            async with asyncio.timeout(self.rule.time_limit):
                async with self._calls:
                    failure = (await self._deliver([waiting.event]))[0]
        except TimeoutError:
            failure = TimeoutError(f"no answer within {self.rule.time_limit:g} s")
        self._keeping.counted(self.name, waiting, "delivered" if failure is None else "failed")
        return failure

    # ── delivering ──────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            batch = await self._next_batch()
            try:
                async with self._calls:
                    for each in batch:
                        each.attempts += 1
                        if each.attempts > 1:
                            self._keeping.counted(self.name, each, "retried")
                    failures = await self._deliver([each.event for each in batch])
                self._sort_out(batch, failures)
            finally:
                for each in batch:
                    each.is_in_hand = False
                self._progress.set()
            if len(self._items) <= self.most_waiting // 2:
                self._keeping.has_room(self.name)

    async def _next_batch(self) -> list[WaitingEvent]:
        """Wait until there are events and an attempt is due, and take the first ones in hand."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            free = [each for each in self._items if not each.is_in_hand]
            pause = self._not_before - loop.time()
            if free and pause <= 0:
                if self._failures >= _HEADSTRONG and self._failures % 2 and len(free) > 1:
                    free = free[1:]
                batch = free[: self.sink.max_batch]
                for each in batch:
                    each.is_in_hand = True
                return batch
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if free else None):
                    await self._changed.wait()

    async def _deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        try:
            async with asyncio.timeout(self.rule.time_limit):
                answers = await self.sink.deliver(events)
        except TimeoutError:
            return [TimeoutError(f"no answer within {self.rule.time_limit:g} s")] * len(events)
        except Exception as error:
            return [error] * len(events)
        if len(answers) != len(events):
            return [ValueError("the sink has not answered for each event")] * len(events)
        return answers

    def _sort_out(self, batch: list[WaitingEvent], failures: Sequence[Exception | None]) -> None:
        failed = 0
        for waiting, failure in zip(batch, failures, strict=True):
            if failure is None or isinstance(failure, EventRefused):
                self._items.remove(waiting)
                if failure is None:
                    self._keeping.counted(self.name, waiting, "delivered")
                    self._keeping.accepted(self.name, waiting)
                else:
                    waiting.reason = str(failure) or "the sink gave no reason"
                    self._keeping.counted(self.name, waiting, "refused")
                    self._keeping.refused(self.name, waiting)
                continue
            failed += 1
            waiting.reason = describe_unexpected(failure)
            self._keeping.counted(self.name, waiting, "failed")
            self._keeping.failed(self.name, waiting)
        self._pause_after(failed, len(batch), next(filter(None, failures), None))

    def _pause_after(self, failed: int, of: int, failure: Exception | None) -> None:
        if not failed:
            if self._failures:
                _log.info("events.sink_recovered", sink=self.name, failures=self._failures)
            self._failures, self.failing_since = 0, None
            return
        if not self._failures:
            self.failing_since = time.time()
            _log.warning(
                "events.delivery_failed",
                sink=self.name,
                events=failed,
                error="" if failure is None else describe_unexpected(failure),
                advice="the events are kept in the outbox and offered again until the sink accepts them",
            )
        self._failures = self._failures + 1 if failed == of else 1
        delay = self._backoff.delay(self._failures) * random.uniform(0.75, 1.0)  # noqa: S311
        self._not_before = asyncio.get_running_loop().time() + delay
