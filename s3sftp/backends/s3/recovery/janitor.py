"""Aborts unfinished uploads that were left by servers that are gone, or by failed aborts.

The janitor relies on the journal alone: an upload that no journal mentions belongs to others and is not
touched. It finds an upload whose id no server learned by its key and time (`lost_upload_ids.py`). If it
cannot be sure that an upload is ours, it leaves the upload and logs that.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.recovery.liveness import ClaimAges
from s3sftp.backends.s3.recovery.lost_upload_ids import own_uploads, uploads_of
from s3sftp.backends.s3.recovery.upload_journal import JournalEntry, UploadClaim, UploadJournal
from s3sftp.backends.s3.write.journaled_upload import abort_upload
from s3sftp.errors import StorageError
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
GIVE_UP_SECONDS: Final = 7 * 86400.0
"""Age after which the janitor gives up an upload whose id was never learned."""
ADVICE: Final = (
    "this server may have started some of them: `aws s3api abort-multipart-upload` aborts one, a lifecycle "
    "rule with AbortIncompleteMultipartUpload aborts all old ones"
)


class Janitor:
    """Sweeps once at its start and then at every interval."""

    def __init__(self, client: S3Client, journal: UploadJournal) -> None:
        self._client = client
        self._journal = journal
        self._ages = ClaimAges()
        self._sweeping = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._is_kept: Callable[[UploadClaim], Awaitable[bool]] | None = None

    def spares(self, is_kept: Callable[[UploadClaim], Awaitable[bool]]) -> None:
        """Leave alone what `is_kept` says: uploads that a record keeps for their user, which also says when
        they end. Raises StorageError: if it cannot say."""
        self._is_kept = is_kept

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="s3-janitor")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        self._task = None

    async def sweep(self) -> int:
        """Abort what is old enough; return how many uploads are gone. Only one sweep runs at a time."""
        async with self._sweeping:
            return await self._sweep()

    async def _sweep(self) -> int:
        async with self._journal.dead_entries() as left:
            entries = [entry for entry in [*left, *self._journal.abandoned] if self._is_due(entry.claim)]
            gone = 0
            for entry in entries:
                gone += await self._abort(entry)
            unheard: defaultdict[str, list[JournalEntry]] = defaultdict(list)
            for entry in entries:
                if entry.claim.upload_id is None:
                    unheard[entry.claim.key].append(entry)
            for key, claimed in unheard.items():
                gone += await self._settle(key, claimed)
            return gone

    async def _run(self) -> None:
        while True:
            try:
                gone = await self.sweep()
                if gone:
                    _log.info("janitor.uploads_aborted", count=gone)
            except Exception as failure:  # the next sweep may succeed, and current uploads must not suffer
                _log.warning("janitor.failed", error=type(failure).__name__, detail=str(failure))
            await asyncio.sleep(self._client.options.janitor_interval.total_seconds())

    def _is_due(self, claim: UploadClaim) -> bool:
        return self._age_of(claim) >= self._client.options.janitor_min_age.total_seconds()

    def _age_of(self, claim: UploadClaim) -> float:
        return self._ages.of(claim, time.time(), time.monotonic())

    async def _done(self, entry: JournalEntry) -> None:
        await entry.done()
        self._ages.forget(entry.claim)

    async def _abort(self, entry: JournalEntry) -> int:
        """Abort an upload whose id is known; return how many are gone (0 or 1)."""
        upload_id = entry.claim.upload_id
        if upload_id is None:
            return 0
        if entry.claim.kept_in is not None and self._is_kept is not None:
            try:
                if await self._is_kept(entry.claim):
                    await self._done(entry)
                    return 0
            except StorageError as error:
                _log.warning("kept.record_failed", key=entry.claim.key, error=str(error), detail=error.detail)
                return 0
        if not await abort_upload(self._client, entry.claim.key, upload_id):
            return 0
        await self._done(entry)
        return 1

    async def _settle(self, key: str, entries: list[JournalEntry]) -> int:
        """Abort the uploads of a key whose ids were never learned; return how many are gone. Claims that
        cannot be settled wait for the next sweep, up to `GIVE_UP_SECONDS`."""
        try:
            gone = await self._abort_unheard(key, [entry.claim for entry in entries])
        except StorageError as error:
            _log.warning("janitor.listing_failed", error=str(error), detail=error.detail)
            gone = None
        for entry in entries:
            is_given_up = self._age_of(entry.claim) > GIVE_UP_SECONDS
            if gone is None and is_given_up:
                _log.warning("janitor.upload_abandoned", key=key, advice=ADVICE)
            if gone is not None or is_given_up:
                await self._done(entry)
        return gone or 0

    async def _abort_unheard(self, key: str, claims: list[UploadClaim]) -> int | None:
        """Return how many are gone; None if some may remain, or if it is not yet known which ones are ours.

        The journal is read after the store has listed the uploads. By then an upload that began earlier has
        its id in a claim, or its claim shows that the id is still to come.
        """
        found = await uploads_of(self._client, key)
        claimed = [each for each in await self._journal.claims() if each.key == key]
        if any(each.upload_id is None and each not in claims for each in claimed):
            return None
        if any(each not in claimed for each in claims):
            return None  # another janitor is settling them
        named = {each.upload_id for each in claimed}
        unknown = [upload for upload in found if upload.upload_id not in named]
        ours = await own_uploads(self._client, key, unknown, claims)
        if unknown and not ours:
            ids = [upload.upload_id for upload in unknown]
            _log.warning("janitor.upload_ambiguous", key=key, upload_ids=ids, advice=ADVICE)
            return None
        aborted = [await abort_upload(self._client, key, upload.upload_id) for upload in ours]
        return len(aborted) if all(aborted) else None
