"""A small object that shows that the process with certain entries runs.

It is rewritten only as long as there are entries, each time on the condition that it still is what this
process has written. If it is not, another process has considered this one dead and adopted its entries.

    valid for a third of `takeover_time`     entries may be added without a request
    silent for `takeover_time`               another process may adopt the entries
    empty                                    its process has ended in peace: adopted at once
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid

from s3sftp.backends.small_objects import SmallObjects
from s3sftp.errors import AlreadyExists, Changed, NotFound
from s3sftp.events.outbox.entries import LEASES


def running_clock() -> float:
    """Seconds that pass also while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(Exception):
    """Another process has adopted the entries."""


class Lease:
    """The lease of one instance, as its holder sees it."""

    def __init__(
        self, objects: SmallObjects, instance: str, takeover_seconds: float, etag: str | None = None
    ) -> None:
        """`etag`: of the lease, if it has been taken over; None if it does not exist yet."""
        self._objects = objects
        self.instance = instance
        self._valid_seconds = takeover_seconds / 3
        self._takeover_seconds = takeover_seconds
        self._etag = etag
        self._renewed_at = running_clock() if etag is not None else -1e9
        self._lock = asyncio.Lock()

    @property
    def exists(self) -> bool:
        return self._etag is not None

    @property
    def is_fresh(self) -> bool:
        """Whether entries may be added without a request."""
        return self.exists and running_clock() - self._renewed_at < self._valid_seconds

    @property
    def is_certain(self) -> bool:
        """Whether nobody can have adopted the entries up to now."""
        return self.exists and running_clock() - self._renewed_at < self._takeover_seconds

    async def require_fresh(self) -> None:
        """Renew the lease if it is not fresh. Raises LeaseLost and StorageError, as `renew`."""
        if not self.is_fresh:
            async with self._lock:
                if not self.is_fresh:
                    await self._renew()

    async def renew(self) -> None:
        """Write the lease. Raises LeaseLost: if another process has written it; StorageError: if the store
        fails."""
        async with self._lock:
            await self._renew()

    async def _renew(self) -> None:
        began = running_clock()
        body = uuid.uuid4().hex.encode("ascii")
        try:
            self._etag = await self._objects.put(
                LEASES + self.instance, body, etag=self._etag, is_new=self._etag is None
            )
        except (Changed, AlreadyExists, NotFound) as error:
            raise LeaseLost from error
        self._renewed_at = began

    async def end(self, *, leaves_entries: bool) -> None:
        """Remove the lease, or leave it empty, which asks others to adopt the entries at once.

        Does nothing if somebody may hold it by now. Raises StorageError: if the store fails.
        """
        async with self._lock:
            if leaves_entries:
                with contextlib.suppress(Changed, AlreadyExists, NotFound):
                    await self._objects.put(
                        LEASES + self.instance, b"", etag=self._etag, is_new=self._etag is None
                    )
            elif self.is_certain:
                await self._objects.delete(LEASES + self.instance)
            self._etag, self._renewed_at = None, -1e9
