"""Writes the entries of this process, below an instance that only its lease keeps.

If another process has adopted them, because this one hung, this one goes on under a new instance.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from s3sftp.backends.small_objects import SmallObjects
from s3sftp.errors import StorageError
from s3sftp.events.outbox.entries import (
    ENTRIES,
    ChangeEntry,
    WaitingEntry,
    change_folder,
    entry_name,
    sink_folder,
)
from s3sftp.events.outbox.lease import Lease, LeaseLost, running_clock
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_ATTEMPTS: Final = 3


class OwnEntries:
    """The entries of this process in the outbox."""

    def __init__(
        self,
        objects: SmallObjects,
        takeover_seconds: float,
        lost: Callable[[str], None],
        abandoned: Callable[[str], None],
    ) -> None:
        """`lost` is called with the instance whose entries another process has adopted. `abandoned` is called
        with the key of an entry that could not be written, or not for certain: it must be erased."""
        self._objects = objects
        self._takeover_seconds = takeover_seconds
        self._lost = lost
        self._abandoned = abandoned
        self.lease = self._new_lease()
        self.keys: set[str] = set()
        """The entries that exist, or may exist, of all own instances; bounded by what is in memory."""
        self._used_at = 0.0

    @property
    def instance(self) -> str:
        """The present instance."""
        return self.lease.instance

    def covers(self, key: str | None) -> bool:
        """Whether an entry is certainly this process's own still: another one may have adopted it, perhaps
        while it was being written."""
        is_own = key is not None and key.startswith(f"{ENTRIES}{self.instance}/")
        return is_own and self.lease.is_certain

    async def note(self, entry: ChangeEntry, key: str | None = None) -> str:
        """Write a change that is about to be made. Returns its key. `key`: of what it replaces.

        Raises StorageError: if it cannot be written.
        """
        name = entry_name(entry.deliveries[0].event)
        return await self._write(lambda instance: f"{change_folder(instance)}{name}", entry.to_json(), key)

    async def keep(self, sink: str, entry: WaitingEntry) -> str:
        """Write an event that waits for a sink. Returns its key.

        Raises StorageError: if it cannot be written.
        """
        name = entry_name(entry.event)
        return await self._write(lambda instance: f"{sink_folder(instance, sink)}{name}", entry.to_json())

    async def _write(self, key_of: Callable[[str], str], data: bytes, replaced: str | None = None) -> str:
        await self._require_lease()
        key = key_of(self.instance)
        self.keys.add(key)
        self._used_at = running_clock()
        try:
            await self._objects.put(key, data)
        except BaseException:
            self._abandoned(key)  # it may exist
            raise
        if replaced is not None and replaced != key:
            await self.erase(replaced)
        return key

    async def _require_lease(self) -> None:
        for _ in range(_ATTEMPTS):
            lease = self.lease
            try:
                await lease.require_fresh()
            except LeaseLost:
                self._begin_anew(lease)
                continue
            if lease is self.lease:
                return
        raise StorageError(detail="the lease of the outbox was taken again and again")

    async def erase(self, key: str) -> None:
        """Remove an entry. Raises StorageError: if the store fails."""
        await self._objects.delete(key)
        self.keys.discard(key)

    async def renew(self, *, has_entries: bool) -> None:
        """Show that the process runs, if it has entries; called at every quarter of `takeover_time`.

        Without entries for a while, removes the lease. Raises StorageError: if the store fails.
        """
        if not self.lease.exists:
            return
        lease = self.lease
        if has_entries or self.keys:
            try:
                await lease.renew()
            except LeaseLost:
                self._begin_anew(lease)
        elif running_clock() - self._used_at > self._takeover_seconds / 3:
            await self.lease.end(leaves_entries=False)

    async def end(self, *, leaves_entries: bool) -> None:
        """End in peace. Raises StorageError: if the store fails."""
        if self.lease.exists:
            await self.lease.end(leaves_entries=leaves_entries)

    def _begin_anew(self, lost: Lease) -> None:
        """Go on under a new instance, unless somebody else who wrote at that time has begun one already."""
        if lost is not self.lease:
            return
        _log.warning(
            "events.lease_lost",
            instance=self.instance,
            advice="this process was silent for longer than events.takeover_time, and another one has adopted"
            " its events: some are delivered twice",
        )
        adopted, self.lease = self.instance, self._new_lease()
        self._lost(adopted)

    def _new_lease(self) -> Lease:
        return Lease(self._objects, uuid.uuid4().hex, self._takeover_seconds)
