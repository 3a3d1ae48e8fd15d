"""Aborts the unfinished uploads that servers which are gone, or failed aborts, have left behind.

It goes by the journal alone: what no journal names is someone else's, and not touched.
"""

from __future__ import annotations

import asyncio
import enum
import time
from datetime import UTC, datetime
from typing import Final

from s3sftp.backends.s3.ages import Ages
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.multipart import abort_upload
from s3sftp.backends.s3.ownership import Claim, Entry, Journal
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
NONE: Final = ""
EARLIER, LATER = 60.0, 120.0
"""Seconds around a claim within which the upload that it speaks of must have been created; as clocks differ,
by the store's."""


class Outcome(enum.Enum):
    """What became of a claim."""

    KEPT = "kept"
    """Not due, not ours, or not to be had at this time: the next sweep looks again."""
    ABORTED = "aborted"
    NOTHING = "nothing"
    """There was no upload."""


class Janitor:
    """Sweeps at its start and then at every interval."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._ages = Ages()
        self._sweeping = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="s3-janitor")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def sweep(self) -> int:
        """Abort what is old enough; returns how many uploads are gone by it. One sweep at a time."""
        async with self._sweeping:
            return await self._sweep()

    async def _sweep(self) -> int:
        gone = 0
        for instance in await self._journal.dead_instances():
            try:
                for entry in await instance.entries():
                    gone += await self._settle(entry) is Outcome.ABORTED
            finally:
                await instance.close()
        mine, self._journal.abandoned = self._journal.abandoned, []
        for entry in mine:
            outcome = await self._settle(entry)
            gone += outcome is Outcome.ABORTED
            if outcome is Outcome.KEPT:
                self._journal.abandoned.append(entry)
        return gone

    async def _run(self) -> None:
        while True:
            try:
                gone = await self.sweep()
                if gone:
                    _log.info("s3_uploads_cleaned", count=gone)
            except Exception as failure:  # the next sweep may succeed; uploads of now must not suffer
                _log.warning("s3_janitor_failed", error=type(failure).__name__, detail=str(failure))
            await asyncio.sleep(self._store.options.janitor_interval.total_seconds())

    async def _settle(self, entry: Entry) -> Outcome:
        """Abort one upload if it is due."""
        claim = entry.claim
        age = self._ages.of(claim, time.time(), time.monotonic())
        if not self._journal.is_own(claim) or age < self._store.options.janitor_min_age.total_seconds():
            return Outcome.KEPT
        try:
            upload_id = claim.upload_id or await self._find(claim)
        except StorageError as error:
            _log.warning("s3_janitor_cannot_list", error=str(error), detail=error.detail)
            return Outcome.KEPT
        if upload_id is None or (upload_id and not await abort_upload(self._store, claim.key, upload_id)):
            return Outcome.KEPT
        await entry.done()
        self._ages.forget(claim)
        return Outcome.ABORTED if upload_id else Outcome.NOTHING

    async def _find(self, claim: Claim) -> str | None:
        """The id of an upload that may have been created unheard: the only one of its key and time.

        NONE when the key has none; None when it is not known which one it is, which time may clear:
        several could be it, or those that there are seem to be of another time.
        """
        answer = await self._store.call("ListMultipartUploads", Prefix=claim.key)
        earliest = datetime.fromtimestamp(claim.claimed_at - EARLIER, UTC)
        latest = datetime.fromtimestamp(claim.claimed_at + LATER, UTC)
        same_key = [upload for upload in answer.get("Uploads", ()) if upload["Key"] == claim.key]
        found: list[str] = [
            upload["UploadId"] for upload in same_key if earliest <= upload["Initiated"] <= latest
        ]
        if len(found) == 1:
            return found[0]
        if same_key:
            _log.warning("s3_upload_ambiguous", count=len(same_key), of_that_time=len(found))
            return None
        return NONE
