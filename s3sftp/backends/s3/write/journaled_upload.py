"""Creates, completes and aborts one multipart upload in the store, and keeps its claim in the journal."""

from __future__ import annotations

import asyncio

from s3sftp.backends.s3.checksums.digest import ChecksumScope
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import has_code, has_status
from s3sftp.backends.s3.metadata.objects import Fields, server_time
from s3sftp.backends.s3.recovery.upload_journal import JournalEntry, UploadJournal
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")


class JournaledUpload:
    """One upload. Call `create` or `adopt` once; then `mark_completed`, `leave` or `abort`."""

    def __init__(
        self,
        client: S3Client,
        journal: UploadJournal,
        key: str,
        scope: ChecksumScope,
        kept_in: str | None = None,
        kept_by: str | None = None,
    ) -> None:
        """`kept_in`, `kept_by`: see `UploadClaim`."""
        self._client = client
        self._journal = journal
        self._kept_in, self._kept_by = kept_in, kept_by
        self._entry: JournalEntry | None = None
        self._completed = False
        self.key = key
        self.scope = scope
        """What the checksums cover."""
        self.upload_id: str | None = None
        self.created_at: float | None = None
        """When it was created, in seconds of the store's clock."""
        self.takes_whole = False
        """Whether the store announced at creation that it verifies the checksum of the whole object."""

    async def create(self, fields: Fields) -> None:
        """Create the upload.

        An attempt whose reply was lost may have created one too, so the journal counts each.
        """
        self._entry = entry = await self._journal.claim(
            self.key, kept_in=self._kept_in, kept_by=self._kept_by
        )
        lost = 0

        async def count_lost() -> None:
            nonlocal lost
            lost += 1
            await entry.unanswered(lost + 1)  # plus the next attempt, which is about to be sent

        try:
            answer = await self._client.call(
                "CreateMultipartUpload", on_unknown=count_lost, Key=self.key, **fields
            )
        except StorageError:
            if lost:
                await entry.unanswered(lost)
            else:
                self._entry = None
                await entry.done()
            raise
        if lost:
            at = entry.claim.claimed_at
            self._journal.abandon(await self._journal.claim(self.key, at=at, requests=lost))
        self.upload_id = answer["UploadId"]
        self.created_at = server_time(answer)
        self.takes_whole = answer.get("ChecksumType") == "FULL_OBJECT"
        await entry.named(answer["UploadId"])

    async def adopt(self, upload_id: str, created_at: float | None, *, takes_whole: bool) -> None:
        """Continue an upload that another process or session has created. Call it instead of `create`."""
        self._entry = entry = await self._journal.claim(
            self.key, kept_in=self._kept_in, kept_by=self._kept_by
        )
        self.upload_id, self.created_at, self.takes_whole = upload_id, created_at, takes_whole
        await entry.named(upload_id)

    async def leave(self) -> None:
        """Leave the upload as it is, because its record keeps it or another session has adopted it."""
        entry, self._entry = self._entry, None
        if entry is not None:
            await entry.done()

    def mark_completed(self) -> asyncio.Task[None] | None:
        """Mark the upload as completed; return the task that removes its claim from the journal."""
        self._completed = True
        return self._client.run_in_background(self._entry.done()) if self._entry is not None else None

    async def abort(self) -> None:
        """Abort the upload unless it is completed. If that fails, its claim stays in the journal."""
        if self._entry is None or self._completed:
            return
        entry, self._entry = self._entry, None
        if self.upload_id is not None and await abort_upload(self._client, self.key, self.upload_id):
            await entry.done()
        else:
            self._journal.abandon(entry)


async def abort_upload(client: S3Client, key: str, upload_id: str) -> bool:
    """Abort an upload and return whether it is gone, which it is too if it did not exist."""
    try:
        await client.call("AbortMultipartUpload", Key=key, UploadId=upload_id)
    except StorageError as error:
        if not has_code(error, "NoSuchUpload") and not has_status(error, 404):
            _log.warning("multipart.abort_failed", error=str(error), detail=error.detail)
            return False
    return True
