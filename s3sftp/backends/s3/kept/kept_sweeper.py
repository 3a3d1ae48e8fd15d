"""Removes kept uploads that nobody has continued in time, and tails that no record names."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from s3sftp.backends.s3.kept.kept_uploads import S3KeptUploads
from s3sftp.backends.s3.kept.records import SUFFIX, TAIL_SUFFIX, record_of_tail
from s3sftp.backends.small_objects import ListedEntry
from s3sftp.errors import StorageError
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")


class KeptSweeper:
    """Sweeps at its start and then at every `s3.janitor_interval`. Several servers may do so at once: what
    one has removed is gone for the others."""

    def __init__(self, kept: S3KeptUploads) -> None:
        self._kept = kept
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="s3-kept-sweeper")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        self._task = None

    async def sweep(self) -> int:
        """Remove what is too old, by the store's clock; return how many uploads that were.

        Raises StorageError: if the store fails.
        """
        kept = self._kept
        old: list[ListedEntry] = []
        records: set[str] = set()
        tails: defaultdict[str, list[ListedEntry]] = defaultdict(list)
        after = None
        while True:
            page = await kept.objects.page("", after=after)
            oldest = page.now - kept.limits.seconds
            for entry in page.entries:
                if entry.key.endswith(SUFFIX):
                    records.add(entry.key)
                    old += [entry] if entry.modified < oldest else []
                elif entry.key.endswith(TAIL_SUFFIX) and entry.modified < oldest:
                    tails[record_of_tail(entry.key)].append(entry)
            after = page.next
            if after is None:
                break
        gone = 0
        for entry in old:
            gone += await self._remove(entry, tails.pop(entry.key, ()))
        for name, stray in tails.items():
            if name not in records:
                await self._delete(stray)
        return gone

    async def _remove(self, entry: ListedEntry, tails: Sequence[ListedEntry]) -> int:
        """Remove one upload; return how many are gone (0 or 1)."""
        kept = self._kept
        if kept.is_held(entry.key):
            return 0
        found = await kept.records.read(entry.key)
        if found is None:
            await kept.objects.erase(entry.key, entry.etag)  # no record: nobody can use it
            await self._delete(tails)
            return 0
        if found.etag.strip('"') != entry.etag.strip('"') or not await kept.remove(found, outcome="expired"):
            return 0
        await self._delete(tails)
        _log.info("upload.kept_expired", key=found.record.key, user=found.record.user)
        return 1

    async def _delete(self, entries: Sequence[ListedEntry]) -> None:
        for entry in entries:
            await self._kept.objects.delete(entry.key)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StorageError as error:  # the next sweep may succeed
                _log.warning("kept.sweep_failed", error=str(error), detail=error.detail)
            await asyncio.sleep(self._kept.client.options.janitor_interval.total_seconds())
