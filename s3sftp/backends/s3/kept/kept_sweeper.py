"""Removes kept uploads that nobody has continued in time, and tails that no record names; counts the others.

A sweep is a listing. One process of each server also reads the records that are new in it, to count those of
uploads that nobody is sending: neither a listing nor the name of a record tells that.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s3sftp.backends.s3.kept.kept_uploads import S3KeptUploads
from s3sftp.backends.s3.kept.record_store import FoundRecord
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
        self._seen: dict[str, _SeenRecord] = {}
        """What the last sweep has read, by the record's name."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="s3-kept-sweeper")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        self._task = None
        if self._kept.totals.are_counted_here:
            self._kept.totals.found(())

    async def sweep(self) -> int:
        """Remove what is too old, by the store's clock; return how many uploads that were.

        Raises StorageError: if the store fails.
        """
        kept = self._kept
        old: list[ListedEntry] = []
        records: dict[str, ListedEntry] = {}
        tails: defaultdict[str, list[ListedEntry]] = defaultdict(list)
        after = None
        while True:
            page = await kept.objects.page("", after=after)
            oldest = page.now - kept.limits.seconds
            for entry in page.entries:
                if entry.key.endswith(SUFFIX):
                    records[entry.key] = entry
                    old += [entry] if entry.modified < oldest else []
                elif entry.key.endswith(TAIL_SUFFIX) and entry.modified < oldest:
                    tails[record_of_tail(entry.key)].append(entry)
            after = page.next
            if after is None:
                break
        gone = 0
        for entry in old:
            if await self._remove(entry, tails.pop(entry.key, ())):
                del records[entry.key]
                gone += 1
        for name, stray in tails.items():
            if name not in records:
                await self._delete(stray)
        if kept.totals.are_counted_here:
            await self._count(records.values())
        return gone

    async def _count(self, entries: Iterable[ListedEntry]) -> None:
        """Count the uploads of these records, unless they run. Reads those that the last sweep has not."""
        seen: dict[str, _SeenRecord] = {}
        for entry in entries:
            if self._kept.is_held(entry.key):
                continue
            known = self._seen.get(entry.key)
            if known is None or not _is_same(known, entry):
                known = _seen(await self._kept.records.read(entry.key))
            if known is not None:
                seen[entry.key] = known
        self._seen = seen
        self._kept.totals.found([each.size for each in seen.values() if each.size is not None])

    async def _remove(self, entry: ListedEntry, tails: Sequence[ListedEntry]) -> bool:
        """Remove one upload, and return whether it is gone."""
        kept = self._kept
        if kept.is_held(entry.key):
            return False
        found = await kept.records.read(entry.key)
        if found is None:
            await kept.objects.erase(entry.key, entry.etag)  # no record: nobody can use it
            await self._delete(tails)
            return False
        if not _is_same(found, entry) or not await kept.remove(found, outcome="expired"):
            return False
        await self._delete(tails)
        _log.info("upload.kept_expired", key=found.record.key, user=found.record.user)
        return True

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


@dataclass(frozen=True, slots=True)
class _SeenRecord:
    """What the totals need of a record."""

    etag: str
    size: int | None
    """In bytes; None if its upload runs."""


def _seen(found: FoundRecord | None) -> _SeenRecord | None:
    if found is None:
        return None
    return _SeenRecord(found.etag, found.record.size if found.record.state == "kept" else None)


def _is_same(found: FoundRecord | _SeenRecord, entry: ListedEntry) -> bool:
    """Whether a record is still, or was already, as the listing shows it."""
    return found.etag.strip('"') == entry.etag.strip('"')
