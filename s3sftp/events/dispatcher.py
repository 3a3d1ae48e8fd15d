"""Brings events to the sinks, and keeps in the outbox what they have not accepted yet.

    Change (noted before a change) ──┐
    told (what changes nothing) ─────┼─► SinkQueue of each sink ──► sink
    Backlog (what the outbox has) ───┘        │
                                              └─ failed, no room, stop ──► outbox

The entry of a change covers its event until each sink has accepted it, or has an entry of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from s3sftp.backends.small_objects import SmallObjects
from s3sftp.errors import StorageError, describe_unexpected
from s3sftp.events.background import Background
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.event_metrics import EventMetrics
from s3sftp.events.outbox.backlog import Backlog
from s3sftp.events.outbox.entries import WaitingEntry, entry_name, refused_folder
from s3sftp.events.outbox.own_entries import OwnEntries
from s3sftp.events.outbox.takeover import Takeover
from s3sftp.events.outbox.unfinished_changes import Look
from s3sftp.events.routes import SinkRule
from s3sftp.events.sink import EventRefused, EventSink
from s3sftp.events.sink_queue import CoveredChange, SinkQueue, WaitingEvent
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_MOST_JOBS: Final = 2000
"""Entries to be written that may wait in memory."""
_MOST_ERASURES: Final = 10_000
"""Entries to be removed that may wait in memory."""
_STOP_SECONDS: Final = 10.0
_ERASE_SECONDS: Final = 5.0
"""What is not removed at a stop is delivered twice, and nothing worse."""


class EventDispatcher:
    """All sinks of one process."""

    def __init__(
        self,
        sinks: Sequence[tuple[SinkRule, EventSink]],
        objects: SmallObjects,
        metrics: EventMetrics,
        look: Look,
        *,
        takeover_seconds: float,
        most_waiting: int,
        backoff: Backoff,
    ) -> None:
        self.own = OwnEntries(objects, takeover_seconds, self._adopted_by_another, self.forget)
        self.queues: Mapping[str, SinkQueue] = {
            rule.name: SinkQueue(sink, rule, self, most_waiting=most_waiting, backoff=backoff)
            for rule, sink in sinks
        }
        self.backlog = Backlog(objects, self.own, self.queues)
        self.takeover = Takeover(objects, self.own, self.backlog, look, takeover_seconds)
        self._objects = objects
        self._metrics = metrics
        self._background = Background()
        self._erasing = Background()
        """A queue of its own: entries that cannot be removed hold up none that must be written."""
        self._has_left = False
        """Whether there are own entries that found no room among those to be removed."""
        self._renewing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._doubts: set[asyncio.Task[None]] = set()
        self._takeover_seconds = takeover_seconds
        self.doubt_seconds = takeover_seconds
        """After so long, no reply of the store can be on its way any more."""

    async def start(self) -> None:
        """Begin to deliver. Sends nothing to the bucket."""
        for queue in self.queues.values():
            await queue.sink.start()
            queue.start()
        self._background.start()
        self._erasing.start()
        self.backlog.start()
        self.takeover.start()
        self._renewing = asyncio.create_task(self._renew(), name="events-lease")
        self._sampling = asyncio.create_task(self._metrics.sample(self.queues.values()))

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────

    def happened(self, change: CoveredChange, deliveries: Iterable[tuple[CloudEvent, Sequence[str]]]) -> None:
        """Deliver the events of a change. Another process may have settled its entry if this one hung: then
        the events get entries of their own at once."""
        is_covered = self.own.covers(change.key)
        for event, names in deliveries:
            for name in names:
                waiting = WaitingEvent(event, change=change)
                self.queues[name].put(waiting)
                if not is_covered:
                    self.failed(name, waiting)

    def told(self, event: CloudEvent, names: Iterable[str]) -> None:
        """Deliver an event of what has changed nothing: it is kept in memory alone at first."""
        for name in names:
            self.queues[name].put(WaitingEvent(event))

    async def told_for_good(self, event: CloudEvent, names: Iterable[str]) -> None:
        """Deliver an event of what nobody will tell again: it is in the outbox when this returns.

        Raises StorageError: if it cannot be kept there, or not for each sink.
        """
        for name in names:
            queue = self.queues[name]
            waiting = WaitingEvent(event, is_being_kept=True)
            waiting.key = await self.own.keep(name, WaitingEntry(event, 0, ""))
            self._metrics.count(queue.rule, event.kind, "kept")
            if queue.is_behind or not queue.room:
                queue.is_behind = True
                self.own.keys.discard(waiting.key)
                self.backlog.must_read(self.own.instance, name)
            else:
                self.backlog.holds(waiting.key)
                queue.put_back(waiting)

    def synchronous(self, names: Iterable[str]) -> set[str]:
        """Those of the sinks for which a client's answer waits."""
        return {name for name in names if self.queues[name].rule.synchronous}

    async def ask(self, name: str, waiting: WaitingEvent) -> Exception | None:
        """Have a sink accept an event now, whatever waits for it already. Returns the failure; the event then
        waits in the queue, as all others do."""
        queue = self.queues[name]
        try:
            failure = await queue.ask(waiting)
        except BaseException:
            queue.put(waiting)
            raise
        if failure is None:
            self.release(name, waiting)
        elif isinstance(failure, EventRefused):
            waiting.reason = str(failure)
            self.refused(name, waiting)
        else:
            waiting.reason = describe_unexpected(failure)
            queue.put(waiting)
            self.failed(name, waiting)
        return failure

    def forget(self, key: str) -> None:
        """Remove an entry that is not needed, in the background."""
        self._erase(key)

    @property
    def is_stopping(self) -> bool:
        """Whether the server stops, so that nobody can wait any more for what the store may still do."""
        return self._stopping.is_set()

    def decide_later(self, decide: Callable[[], Awaitable[None]]) -> None:
        """Call this when no reply of the store can be on its way any more, or when the server stops."""

        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.doubt_seconds):
                    await self._stopping.wait()
            self._background.add(decide)

        task = asyncio.create_task(wait(), name="events-doubt")
        self._doubts.add(task)
        task.add_done_callback(self._doubts.discard)

    # ── Keeping ─────────────────────────────────────────────────────────────────────────────────────

    def accepted(self, sink: str, waiting: WaitingEvent) -> None:
        if waiting.key is not None:
            self._erase(waiting.key)
        self.release(sink, waiting)

    def failed(self, sink: str, waiting: WaitingEvent) -> None:
        if waiting.key is None and not waiting.is_being_kept:
            waiting.is_being_kept = True
            self._background.add(lambda: self._keep(sink, waiting))

    def refused(self, sink: str, waiting: WaitingEvent) -> None:
        _log.warning(
            "events.refused",
            sink=sink,
            id=waiting.event.id,
            kind=str(waiting.event.kind),
            path=waiting.event.subject,
            error=waiting.reason,
            advice="`s3sftp events replay` offers it again",
        )
        if len(self._background) < _MOST_JOBS:
            self._background.add(lambda: self._set_aside(sink, waiting))
        else:
            self._leave(sink, waiting)

    def no_room(self, sink: str, waiting: WaitingEvent) -> None:
        if len(self._background) < _MOST_JOBS:
            self.backlog.expects(sink)
            self._background.add(lambda: self._keep_elsewhere(sink, waiting))
        else:
            self._leave(sink, waiting)

    def counted(self, sink: str, waiting: WaitingEvent, result: str) -> None:
        self._metrics.count(self.queues[sink].rule, waiting.event.kind, result)

    def has_room(self, sink: str) -> None:
        self.backlog.wake(sink)

    def release(self, sink: str, waiting: WaitingEvent) -> None:
        """The sink does not need the entry of the change any more."""
        change = waiting.change
        if change is None:
            return
        change.sinks.discard(sink)
        if not change.sinks and change.key is not None:
            key, change.key = change.key, None
            self._erase(key)

    def _leave(self, sink: str, waiting: WaitingEvent) -> None:
        """Forget an event; its entry brings it back later, as if this process had ended."""
        change, key = waiting.change, waiting.key
        if key is None and change is not None:
            key, change.key = change.key, None
        if key is None:
            self._metrics.count(self.queues[sink].rule, waiting.event.kind, "lost")
            _log.error("events.lost", sink=sink, kind=str(waiting.event.kind), path=waiting.event.subject)
            return
        self.own.keys.discard(key)
        self.backlog.erased(key)
        self.takeover.has_own_changes = True

    # ── the outbox, in the background ───────────────────────────────────────────────────────────────

    def _erase(self, key: str) -> None:
        """Remove an entry. One that finds no room among those to be removed is forgotten, so that its event
        comes twice: when entries can be removed again, or from the next process."""

        async def erase() -> None:
            await self.own.erase(key)
            self.backlog.erased(key)
            if self._has_left and len(self._erasing) < _MOST_ERASURES // 2:
                self._has_left = False
                self.takeover.has_own_changes = True

        if len(self._erasing) < _MOST_ERASURES:
            self._erasing.add(erase)
        else:
            self.own.keys.discard(key)
            self.backlog.erased(key)
            self._has_left = True

    async def _keep(self, sink: str, waiting: WaitingEvent) -> None:
        """Give an event that is in memory an entry of its own."""
        if waiting not in self.queues[sink].items and not waiting.is_left:
            return  # it has been accepted meanwhile
        entry = WaitingEntry(waiting.event, waiting.attempts, waiting.reason)
        key = await self.own.keep(sink, entry)
        self._metrics.count(self.queues[sink].rule, waiting.event.kind, "kept")
        waiting.key = key
        self.backlog.holds(key)
        if waiting not in self.queues[sink].items and not waiting.is_left:
            self.accepted(sink, waiting)
        else:
            self.release(sink, waiting)

    async def _keep_elsewhere(self, sink: str, waiting: WaitingEvent) -> None:
        """Keep an event in the outbox alone."""
        key = await self.own.keep(sink, WaitingEntry(waiting.event, waiting.attempts, waiting.reason))
        self._metrics.count(self.queues[sink].rule, waiting.event.kind, "kept")
        self.own.keys.discard(key)
        self.backlog.has_more(self.own.instance, sink)
        self.release(sink, waiting)

    async def _set_aside(self, sink: str, waiting: WaitingEvent) -> None:
        """Move a refused event to where nobody reads it but an operator."""
        entry = WaitingEntry(waiting.event, waiting.attempts, waiting.reason)
        await self._objects.put(refused_folder(sink) + entry_name(waiting.event), entry.to_json())
        self.accepted(sink, waiting)

    def _adopted_by_another(self, instance: str) -> None:
        """Keep all that is in memory under the new instance, since another process has the entries."""
        self.backlog.forget(instance)
        for name, queue in self.queues.items():
            for waiting in queue.items:
                if waiting.key is not None and waiting.key in self.own.keys:
                    self.own.keys.discard(waiting.key)
                    waiting.key, waiting.is_being_kept = None, False
                self.failed(name, waiting)
        self.own.keys.clear()

    def _has_own(self) -> bool:
        is_left = self._has_left or self.takeover.has_own_changes
        return is_left or self.backlog.has_any_of(self.own.instance)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._takeover_seconds / 4)
            try:
                await self.own.renew(has_entries=self._has_own())
            except StorageError as error:
                _log.warning("events.lease_renewal_failed", error=str(error), detail=error.detail)
            await self.takeover.renew()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    async def drain(self) -> None:
        """Wait until the sinks have accepted what is in memory, as far as they are not failing."""
        await asyncio.gather(*(queue.drain() for queue in self.queues.values()))

    async def stop(self) -> None:
        """Stop delivering, and leave in the outbox what is not delivered."""
        if self._renewing is None:
            return
        self._stopping.set()
        if self._doubts:
            await asyncio.wait(self._doubts)
            await self._background.finish(_STOP_SECONDS)
        await self.takeover.stop()
        await self.backlog.stop()
        left = 0
        for name, queue in self.queues.items():
            for waiting in await queue.stop():
                left += 1
                waiting.is_left = True
                self.failed(name, waiting)
        is_kept = await self._background.finish(_STOP_SECONDS)
        await self._erasing.finish(_ERASE_SECONDS)
        for task in (self._renewing, self._sampling):
            task.cancel()
        await asyncio.gather(self._renewing, self._sampling, return_exceptions=True)
        await self._background.stop()
        await self._erasing.stop()
        with suppress(StorageError):
            await self.own.end(leaves_entries=bool(self.own.keys) or self._has_own())
        await self.takeover.release()
        for queue in self.queues.values():
            await queue.sink.close()
        if left and is_kept and self._objects.is_durable:
            _log.info("events.left", events=left)
        elif left or not is_kept:
            _log.error("events.left_unkept", events=left)
