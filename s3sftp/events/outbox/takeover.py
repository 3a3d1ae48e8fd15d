"""Adopts the entries of processes that have ended, and settles the changes that they had begun.

    each half of `takeover_time`   LIST of the leases ─► one silent for `takeover_time`, or empty?
                                   ─► PUT it, if it still is what was listed ─► its entries are ours
    then                           each old change: look at what is stored ─► events for the sinks, or nothing

A process holds the leases of all instances whose entries it has, and renews them: if it ends too, another one
adopts them all. Entries that have no lease are looked for at the start, and now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from s3sftp.backends import Place
from s3sftp.backends.small_objects import ListedEntry, SmallObjects
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.outbox.backlog import Backlog, set_unreadable_aside
from s3sftp.events.outbox.entries import (
    CHANGES,
    ENTRIES,
    LEASES,
    ChangeEntry,
    WaitingEntry,
    change_folder,
    entry_name,
    sink_folder,
)
from s3sftp.events.outbox.lease import Lease, LeaseLost, running_clock
from s3sftp.events.outbox.own_entries import OwnEntries
from s3sftp.events.outbox.settling import Found, Verdict, settle
from s3sftp.runtime.concurrency import for_each
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
Look = Callable[[Place], Awaitable[Found | None]]
"""Asks the storage what is at a place."""
_PAGE: Final = 100
_AT_ONCE: Final = 8
_SWEEPS_PER_SEARCH: Final = 20
"""Sweeps from one search for entries without a lease to the next."""


@dataclass(slots=True)
class _Silence:
    mark: tuple[str, float]
    since: float


class Takeover:
    """The instances whose entries this process has adopted."""

    def __init__(
        self,
        objects: SmallObjects,
        own: OwnEntries,
        backlog: Backlog,
        look: Look,
        takeover_seconds: float,
    ) -> None:
        self._objects = objects
        self._own = own
        self._backlog = backlog
        self._look = look
        self._seconds = takeover_seconds
        self._silent: dict[str, _Silence] = {}
        self._adopted: dict[str, Lease] = {}
        self._unsettled: set[str] = set()
        """Adopted instances that may have changes."""
        self._sweeps = 0
        self._asked = 0.0
        """When the latest listing of the leases was requested."""
        self.has_own_changes = False
        """Whether entries of own changes are to be settled, because their events had no room in memory."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="events-takeover")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def release(self) -> None:
        """Ask others to adopt what this process had adopted."""
        for lease in self._adopted.values():
            with suppress(StorageError):
                await lease.end(leaves_entries=True)
        self._adopted.clear()

    async def renew(self) -> None:
        """Renew the leases of all adopted instances."""
        for instance, lease in list(self._adopted.items()):
            try:
                await lease.renew()
            except LeaseLost:
                self._drop(instance)
                _log.warning(
                    "events.lease_lost",
                    instance=instance,
                    advice="another process has adopted these events meanwhile: some are delivered twice",
                )
            except StorageError as error:
                _log.warning("events.lease_renewal_failed", error=str(error), detail=error.detail)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StorageError as error:
                self._silent.clear()  # nobody can give a sign of life while the store does not answer
                _log.warning("events.takeover_failed", error=str(error), detail=error.detail)
            except Exception:
                _log.exception("events.takeover_crashed")
            await asyncio.sleep(self._seconds / 2)

    async def sweep(self) -> None:
        """Adopt the instances that have ended, and settle their changes. Raises StorageError: if the store
        fails."""
        leases = await self._leases()
        for listed in leases.values():
            await self._adopt_if_ended(listed)
        if self._sweeps % _SWEEPS_PER_SEARCH == 0:
            await self._adopt_without_lease(leases)
        self._sweeps += 1
        for instance in list(self._adopted):
            if instance in self._unsettled:
                is_done = await self._settle_all(instance, ())
                await self._find_folders(instance)  # after that, so that events keep their order
                if is_done:
                    self._unsettled.discard(instance)
            if instance not in self._unsettled and not self._backlog.has_any_of(instance):
                await self._end_if_empty(instance)
        if self.has_own_changes:
            self.has_own_changes = not await self._settle_all(self._own.instance, self._own.keys)
            await self._find_folders(self._own.instance)

    async def _leases(self) -> dict[str, ListedEntry]:
        found: dict[str, ListedEntry] = {}
        after: str | None = None
        asked = running_clock()
        while True:
            page = await self._objects.page(LEASES, after=after)
            found |= {each.key.removeprefix(LEASES): each for each in page.entries}
            after = page.next
            if after is None:
                break
        self._silent = {instance: seen for instance, seen in self._silent.items() if instance in found}
        answered = running_clock()
        for instance, each in found.items():
            mark = (each.etag, each.modified)
            if instance not in self._silent or self._silent[instance].mark != mark:
                self._silent[instance] = _Silence(mark, answered)
        self._asked = asked
        return found

    async def _adopt_if_ended(self, listed: ListedEntry) -> None:
        instance = listed.key.removeprefix(LEASES)
        if instance == self._own.instance or instance in self._adopted:
            return
        silent = self._asked - self._silent[instance].since
        if listed.size and silent < self._seconds:
            return
        await self._adopt(instance, listed.etag, silent)

    async def _adopt_without_lease(self, leases: Collection[str]) -> None:
        after: str | None = None
        while True:
            page = await self._objects.page(ENTRIES, after=after, delimiter="/")
            for folder in page.folders:
                instance = folder.removeprefix(ENTRIES).removesuffix("/")
                known = instance in leases or instance in self._adopted or instance == self._own.instance
                if not known:
                    await self._adopt(instance, None, 0.0)
            after = page.next
            if after is None:
                return

    async def _adopt(self, instance: str, etag: str | None, silent: float) -> None:
        lease = Lease(self._objects, instance, self._seconds, etag)
        try:
            await lease.renew()
        except (LeaseLost, Changed, AlreadyExists, NotFound):
            return  # another process was faster, or it lives
        self._adopted[instance] = lease
        self._unsettled.add(instance)
        _log.info("events.adopted", instance=instance, silent_seconds=round(silent, 1))

    def _drop(self, instance: str) -> None:
        self._adopted.pop(instance, None)
        self._unsettled.discard(instance)
        self._backlog.forget(instance)

    async def _find_folders(self, instance: str) -> None:
        """Have the readers read the events that wait, of each sink."""
        page = await self._objects.page(f"{ENTRIES}{instance}/", delimiter="/")
        for folder in page.folders:
            sink = folder.removesuffix("/").rpartition("/")[2]
            if sink != CHANGES and not self._backlog.try_to_read(instance, sink):
                _log.warning("events.sink_unknown", sink=sink, instance=instance)

    async def _end_if_empty(self, instance: str) -> None:
        page = await self._objects.page(f"{ENTRIES}{instance}/", most=1)
        if not page.entries:
            lease = self._adopted.pop(instance)
            await lease.end(leaves_entries=False)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────

    async def _settle_all(self, instance: str, but: Collection[str]) -> bool:
        """Settle the changes of an instance. Returns whether none is left, because none is too new."""
        after: str | None = None
        is_done = True
        while True:
            page = await self._objects.page(change_folder(instance), after=after, most=_PAGE)
            old = [each for each in page.entries if page.now - each.modified >= self._seconds]
            old = [each for each in old if each.key not in but]
            is_done &= len(old) == len([each for each in page.entries if each.key not in but])
            await for_each(old, lambda each: self._settle(instance, each), _AT_ONCE)
            after = page.next
            if after is None:
                return is_done

    async def _settle(self, instance: str, listed: ListedEntry) -> None:
        text = await self._objects.read(listed.key)
        if text is None:
            return
        try:
            entry = ChangeEntry.from_json(text)
        except ValueError as problem:
            await set_unreadable_aside(self._objects, listed.key, text, problem)
            return
        verdict, found = await self.verdict_of(entry, listed.modified)
        _log.info("events.settled", instance=instance, outcome=verdict.value, action=entry.check.action)
        if verdict is not Verdict.NOT:
            for delivery in entry.deliveries:
                event = settled_event(delivery.event, verdict, found)
                for sink in delivery.sinks:
                    key = sink_folder(instance, sink) + entry_name(event)
                    await self._objects.put(key, WaitingEntry(event).to_json())
        await self._objects.delete(listed.key)

    async def verdict_on(self, key: str, entry: ChangeEntry) -> tuple[Verdict, Found | None]:
        """As `verdict_of`, for an entry with this key. Raises StorageError: if the store fails."""
        page = await self._objects.page(key, most=1)
        return await self.verdict_of(entry, page.entries[0].modified if page.entries else 0.0)

    async def verdict_of(self, entry: ChangeEntry, written: float) -> tuple[Verdict, Found | None]:
        """What became of a change, and the file that tells. Raises StorageError: if the store fails."""
        check = entry.check
        at_target = None if check.target is None else await self._look(check.target)
        at_place = await self._look(check.place)
        verdict = settle(check, at_place, at_target, written)
        return verdict, at_place if check.action == "commit" else at_target


def settled_event(event: CloudEvent, verdict: Verdict, found: Found | None) -> CloudEvent:
    """The event of a change, with what the stored file tells of it."""
    data = {**event.data, "certainty": verdict.value}
    if verdict is Verdict.HAPPENED and found is not None and not found.is_dir:
        etag = None if found.version is None else found.version.removeprefix("W/").strip('"')
        known = {"size": found.size, "etag": etag, "version_id": found.version_id}
        data |= {name: value for name, value in known.items() if value is not None}
    return replace(event, data=data)
