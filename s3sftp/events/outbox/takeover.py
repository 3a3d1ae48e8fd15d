"""Adopts the entries of processes that have ended.

    each half of `takeover_time`   LIST of the leases ─► one silent for `takeover_time`, or empty?
                                   ─► PUT it, if it still is what was listed ─► its entries are ours
    then                           its changes are settled, and its events are read

A process holds the leases of all instances whose entries it has, and renews them: if it ends too, another one
adopts them all. Entries that have no lease are looked for at the start, and now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from s3sftp.backends.small_objects import ListedEntry, SmallObjects
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.events.outbox.backlog import Backlog
from s3sftp.events.outbox.entries import CHANGES, ENTRIES, LEASES
from s3sftp.events.outbox.failure_reports import FailureReports
from s3sftp.events.outbox.lease import Lease, LeaseLost, running_clock
from s3sftp.events.outbox.own_entries import OwnEntries
from s3sftp.events.outbox.unfinished_changes import Look, UnfinishedChanges
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
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
        self._seconds = takeover_seconds
        self._silent: dict[str, _Silence] = {}
        self._adopted: dict[str, Lease] = {}
        self._unsettled: set[str] = set()
        """Adopted instances that may have changes, or events that no reader knows of."""
        self._reports = FailureReports()
        self.changes = UnfinishedChanges(objects, look, self._reports, takeover_seconds)
        self._sweeps = 0
        self._asked = 0.0
        """When the latest listing of the leases was requested."""
        self.has_own_changes = False
        """Whether entries of own changes are to be settled, because their events had no room in memory."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="events-takeover")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)

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
                _log.warning("events.takeover_failed", key=LEASES, error=str(error), detail=error.detail)
            except Exception:
                _log.exception("events.takeover_crashed", key=LEASES)
            await asyncio.sleep(self._seconds / 2)

    async def sweep(self) -> None:
        """Adopt the instances that have ended, and settle their changes. What fails for one of them does not
        hold up the others. Raises StorageError: if the store does not list the leases."""
        try:
            leases = await self._leases()
        except StorageError:
            self._silent.clear()  # nobody can give a sign of life while the store does not answer
            raise
        for listed in leases.values():
            with self._reports.of(listed.key):
                await self._adopt_if_ended(listed)
        if self._sweeps % _SWEEPS_PER_SEARCH == 0:
            with self._reports.of(ENTRIES):
                await self._adopt_without_lease(leases)
        self._sweeps += 1
        for instance in list(self._adopted):
            with self._reports.of(f"{ENTRIES}{instance}/"):
                await self._look_after(instance)
        if self.has_own_changes:
            with self._reports.of(f"{ENTRIES}{self._own.instance}/"):
                await self._look_after_own(self._own.instance)

    async def _look_after(self, instance: str) -> None:
        """Settle the changes of an adopted instance, and have its events read; end it when it is empty."""
        if instance in self._unsettled:
            is_done = await self.changes.settle_all(instance, ())
            await self._find_folders(instance)  # after that, so that events keep their order
            if is_done:
                self._unsettled.discard(instance)
        if instance not in self._unsettled and not self._backlog.has_any_of(instance):
            await self._end_if_empty(instance)

    async def _look_after_own(self, instance: str) -> None:
        self.has_own_changes = False
        is_done = False
        try:
            are_settled = await self.changes.settle_all(instance, self._own.keys)
            await self._find_folders(instance)
            is_done = are_settled
        finally:
            self.has_own_changes |= not is_done

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
                if not known and await self._has_entries(instance):
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
        except StorageError:
            self._silent.pop(instance, None)  # while nothing can be written, it can give no sign of life
            raise
        self._adopted[instance] = lease
        self._unsettled.add(instance)
        _log.info("events.adopted", instance=instance, silent_seconds=round(silent, 1))

    def _drop(self, instance: str) -> None:
        self._adopted.pop(instance, None)
        self._unsettled.discard(instance)
        self._backlog.forget(instance)
        self._reports.forget(f"{ENTRIES}{instance}/")

    async def _find_folders(self, instance: str) -> Collection[str]:
        """Have the readers read the events that wait, of each sink. Returns the names of the folders."""
        page = await self._objects.page(f"{ENTRIES}{instance}/", delimiter="/")
        for folder in page.folders:
            sink = folder.removesuffix("/").rpartition("/")[2]
            if sink == CHANGES or self._backlog.try_to_read(instance, sink):
                continue
            if self._reports.is_new(folder):
                _log.warning("events.sink_unknown", sink=sink, instance=instance)
        return [folder.removesuffix("/").rpartition("/")[2] for folder in page.folders]

    async def _end_if_empty(self, instance: str) -> None:
        """Give up the lease, unless something has come since the folders were found: of `replay`, or of a
        process that hung while it wrote."""
        if await self._has_entries(instance):
            if CHANGES in await self._find_folders(instance):
                self._unsettled.add(instance)
            return
        lease = self._adopted[instance]
        self._drop(instance)
        await lease.end(leaves_entries=False)

    async def _has_entries(self, instance: str) -> bool:
        """Some stores list folders that are empty: those of a process that has just no events and goes on."""
        page = await self._objects.page(f"{ENTRIES}{instance}/", most=1)
        return bool(page.entries)
