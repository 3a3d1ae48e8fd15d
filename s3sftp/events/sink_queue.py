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
from s3sftp.events.sink import EventNotTried, EventRefused, EventSink
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_HEADSTRONG: Final = 4
"""Failures in a row after which every other attempt offers another event alone: the first ones may be the
reason."""
_PATIENCE: Final = 3
"""How many time limits a call may take: a sink that offers the events of a batch one by one needs as many. It
keeps them itself; this ends a call that hangs."""


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
    failed_after: int | None = None
    """How many calls had brought events to the sink when it last failed; None if it has not."""
    own_failures: int = 0
    """How often it has failed while the sink accepted others. The more, the fewer come with it."""
    not_before: float = 0.0
    """When it is offered again after such a failure, by the clock of the loop."""
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
        """Calls in a row in which the sink has accepted nothing."""
        self._successes = 0
        """Calls in which the sink has accepted or refused an event: it works."""
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
        """Wait until nothing is in memory but events that fail by themselves, or the sink fails."""
        while not self._failures and any(not each.own_failures for each in self._items):
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
        for each in self._items:
            each.not_before = 0.0
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
            now = loop.time()
            if self._not_before <= now:
                batch = self._first_of([each for each in free if each.not_before <= now])
                for each in batch:
                    each.is_in_hand = True
                if batch:
                    return batch
            due = [max(self._not_before, each.not_before) for each in free]
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(due, default=None)):
                    await self._changed.wait()

    def _first_of(self, due: list[WaitingEvent]) -> list[WaitingEvent]:
        """The next batch of events that may be offered. Those that have failed by themselves come apart."""
        if self._failures >= _HEADSTRONG and self._failures % 2 and len(due) > 1:
            other = self._failures // 2 % len(due)
            return due[other : other + 1]
        if due and due[0].own_failures:
            most = max(1, self.sink.max_batch >> due[0].own_failures)
            return [each for each in due if each.own_failures][:most]
        return [each for each in due if not each.own_failures][: self.sink.max_batch]

    async def _deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        limit = _PATIENCE * self.rule.time_limit + 1
        try:
            async with asyncio.timeout(limit):
                answers = await self.sink.deliver(events)
        except TimeoutError:
            return [TimeoutError(f"no answer within {limit:g} s")] * len(events)
        except Exception as error:
            return [error] * len(events)
        if len(answers) != len(events):
            return [ValueError("the sink has not answered for each event")] * len(events)
        return answers

    def _sort_out(self, batch: list[WaitingEvent], failures: Sequence[Exception | None]) -> None:
        failed: list[WaitingEvent] = []
        taken, last = 0, None
        for waiting, failure in zip(batch, failures, strict=True):
            if isinstance(failure, EventNotTried):
                waiting.attempts -= 1
                continue
            if waiting.attempts > 1:
                self._keeping.counted(self.name, waiting, "retried")
            if failure is None or isinstance(failure, EventRefused):
                taken += 1
                self._items.remove(waiting)
                if failure is None:
                    self._keeping.counted(self.name, waiting, "delivered")
                    self._keeping.accepted(self.name, waiting)
                else:
                    waiting.reason = str(failure) or "the sink gave no reason"
                    self._keeping.counted(self.name, waiting, "refused")
                    self._keeping.refused(self.name, waiting)
                continue
            failed.append(waiting)
            last = last or failure
            waiting.reason = describe_unexpected(failure)
            self._keeping.counted(self.name, waiting, "failed")
            self._keeping.failed(self.name, waiting)
        if taken:
            self._works()
        if failed and last is not None:
            self._fails(failed, last, takes_others=taken > 0)

    def _works(self) -> None:
        """The sink has accepted or refused an event."""
        if self._failures:
            _log.info("events.sink_recovered", sink=self.name, failures=self._failures)
        self._successes += 1
        self._failures, self.failing_since = 0, None

    def _fails(self, failed: list[WaitingEvent], failure: Exception, *, takes_others: bool) -> None:
        """Pause for those of the events that fail although the sink has accepted others since, or with them;
        and for all, if it may be the sink."""
        own = [each for each in failed if takes_others or each.failed_after not in (None, self._successes)]
        is_first = all(each.failed_after is None for each in self._items)
        for each in failed:
            each.failed_after = self._successes
        for each in own:
            each.own_failures += 1
            each.not_before = self._after(each.own_failures)
        is_sink = len(own) < len(failed)
        if is_first or (is_sink and not self._failures):
            _log.warning(
                "events.delivery_failed",
                sink=self.name,
                events=len(failed),
                error=describe_unexpected(failure),
                advice="the events are kept in the outbox and offered again until the sink accepts them",
            )
        if not takes_others and self.failing_since is None:
            self.failing_since = time.time()
        if is_sink:
            self._failures += 1
            self._not_before = self._after(self._failures)

    def _after(self, failures: int) -> float:
        """When to try again, by the clock of the loop."""
        delay = self._backoff.delay(failures) * random.uniform(0.75, 1.0)  # noqa: S311
        return asyncio.get_running_loop().time() + delay
