"""Reads events that wait in the outbox back into the sinks' queues, page by page, when there is room.

Each sink has a reader of its own. A folder is listed only when something was put into it that is not in
memory: never at an interval.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from s3sftp.backends.small_objects import SmallObjects
from s3sftp.errors import StorageError
from s3sftp.events.outbox.entries import ENTRIES, WaitingEntry, sink_folder
from s3sftp.events.outbox.own_entries import OwnEntries
from s3sftp.events.sink_queue import SinkQueue, WaitingEvent
from s3sftp.runtime.backoff import Backoff
from s3sftp.runtime.concurrency import for_each
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_PAGE: Final = 100
_AT_ONCE: Final = 8
_BACKOFF: Final = Backoff(1.0, 60.0)
UNREADABLE: Final = "_unreadable"
"""The folder, among those of refused events, of entries that cannot be read."""


class Backlog:
    """Which folders of the outbox have events that are not in memory, and their readers."""

    def __init__(self, objects: SmallObjects, own: OwnEntries, queues: Mapping[str, SinkQueue]) -> None:
        self._objects = objects
        self._own = own
        self._queues = queues
        self._held: set[str] = set()
        """Entries whose events are in memory, or that are being removed."""
        self._unread: dict[str, dict[str, int]] = {name: {} for name in queues}
        """The instances with events that are not in memory, by sink; the number changes with each more."""
        self._expected = Counter[str]()
        """Events that are being put there, by sink."""
        self._wakes: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._read(queue), name=f"events-backlog-{name}")
            for name, queue in self._queues.items()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def expects(self, sink: str) -> None:
        """An event is being put into a folder."""
        self._expected[sink] += 1

    def has_more(self, instance: str, sink: str) -> None:
        """An event was put into a folder, and not into memory, after `expects`."""
        self._expected[sink] -= 1
        self.must_read(instance, sink)

    def must_read(self, instance: str, sink: str) -> None:
        """A folder has events that are not in memory."""
        unread = self._unread[sink]
        unread[instance] = unread.get(instance, 0) + 1
        self.wake(sink)

    def try_to_read(self, instance: str, sink: str) -> bool:
        """As `must_read`. Returns False if there is no such sink."""
        if sink not in self._unread:
            return False
        self.must_read(instance, sink)
        return True

    def holds(self, key: str) -> None:
        """The event of an entry is in memory."""
        self._held.add(key)

    def erased(self, key: str) -> None:
        """An entry has been removed."""
        self._held.discard(key)

    def wake(self, sink: str) -> None:
        """The sink's queue may have room."""
        self._wakes[sink].set()

    def has_any_of(self, instance: str) -> bool:
        """Whether events of an instance are not delivered yet, as far as this process knows."""
        folder = f"{ENTRIES}{instance}/"
        return any(instance in unread for unread in self._unread.values()) or any(
            key.startswith(folder) for key in self._held
        )

    def forget(self, instance: str) -> None:
        """Another process has adopted an instance."""
        for unread in self._unread.values():
            unread.pop(instance, None)
        folder = f"{ENTRIES}{instance}/"
        self._held = {key for key in self._held if not key.startswith(folder)}

    async def _read(self, queue: SinkQueue) -> None:
        wake, failures = self._wakes[queue.name], 0
        while True:
            await wake.wait()
            wake.clear()
            try:
                for instance in list(self._unread[queue.name]):
                    await self._read_folder(queue, instance)
                failures = 0
            except StorageError as error:
                failures += 1
                _log.warning(
                    "events.outbox_unreadable", sink=queue.name, error=str(error), detail=error.detail
                )
                await asyncio.sleep(_BACKOFF.delay(failures))
                wake.set()
            except Exception:
                _log.exception("events.outbox_crashed")
            if not self._unread[queue.name] and not self._expected[queue.name]:
                queue.is_behind = False

    async def _read_folder(self, queue: SinkQueue, instance: str) -> None:
        unread = self._unread[queue.name]
        seen, after = unread.get(instance), None
        while True:
            await self._room(queue)
            page = await self._objects.page(
                sink_folder(instance, queue.name), after=after, most=min(_PAGE, queue.room)
            )
            keys = [each.key for each in page.entries if each.key not in self._held]
            found: dict[str, WaitingEvent] = {}

            async def read(key: str, found: dict[str, WaitingEvent] = found) -> None:
                if (waiting := await self._waiting_at(key)) is not None:
                    found[key] = waiting

            await for_each(keys, read, _AT_ONCE)
            for key in keys:
                if key in found and key not in self._held:
                    self._held.add(key)
                    queue.put_back(found[key])
            after = page.next
            if after is None:
                break
        if unread.get(instance) == seen:
            unread.pop(instance, None)

    async def _room(self, queue: SinkQueue) -> None:
        """Wait until half of the queue is free, and, as long as it has any, until no event is being put into
        the folder: an older one might be listed after a newer one."""
        wake = self._wakes[queue.name]
        while len(queue) > queue.most_waiting // 2 or (len(queue) and self._expected[queue.name]):
            await wake.wait()
            wake.clear()

    async def _waiting_at(self, key: str) -> WaitingEvent | None:
        text = await self._objects.read(key)
        if text is None:
            return None
        try:
            entry = WaitingEntry.from_json(text)
        except ValueError as problem:
            await set_unreadable_aside(self._objects, key, text, problem)
            return None
        return WaitingEvent(entry.event, key, None, entry.attempts, entry.reason, is_being_kept=True)


async def set_unreadable_aside(objects: SmallObjects, key: str, text: bytes, problem: ValueError) -> None:
    """Move an entry that cannot be read to where nobody reads it but an operator."""
    _log.error("events.entry_unreadable", file=key, error=str(problem))
    await objects.put(f"refused/{UNREADABLE}/{key.rpartition('/')[2]}", text)
    await objects.delete(key)
