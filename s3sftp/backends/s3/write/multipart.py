"""Runs a multipart upload: create, parts, complete or abort.

    reserve 1 ─► upload 1 ─┐
    reserve 2 ─► upload 2 ─┼─► complete ─► the object is visible, whole
    reserve 3 ─► copy 3   ─┘
             (first: create)   abort     ─► nothing is left

The upload is created with the first part. Each step is a task of this object, so that `abort` can stop and
await it even if its caller has gone. A create is never cancelled, because that could leave an upload that
nothing tracks.

The upload learns which checksums the store accepts: a request that the store refuses because of them is
repeated without them, within this upload. If that needs an upload created differently, a second one takes its
place; nothing is lost, because no bytes have been sent yet. See docs/decisions/0032.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.checksums.digest import ChecksumScope, Digest, crc_of_text, creation_fields
from s3sftp.backends.s3.checksums.fallback import algorithm_for, fallback_algorithm, send_with_checksum
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status, is_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.metadata.objects import Fields
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.complete_multipart import complete_parts
from s3sftp.backends.s3.write.completion import CompletedWrite
from s3sftp.backends.s3.write.journaled_upload import JournaledUpload
from s3sftp.backends.s3.write.part_sizes import MAX_PARTS, CopySource, UploadedPart
from s3sftp.backends.s3.write.upload_part_copy import copy_part, is_reported_checksum_right
from s3sftp.errors import InvalidRequest, StorageError, StorageFailure
from s3sftp.runtime.cancellation import StrayCancellationGuard

T = TypeVar("T")


class MultipartUpload:
    """One multipart upload.

    Nothing is sent before the first part. With `copies`, some parts may be copied.
    """

    def __init__(
        self,
        client: S3Client,
        journal: UploadJournal,
        key: str,
        fields: Callable[[], Fields],
        *,
        copies: bool = False,
    ) -> None:
        """`fields`: those of the request that creates the object, asked for when it is sent."""
        self._client = client
        self._journal = journal
        self._key = key
        self._fields = fields
        self._copies = copies
        self._algorithm = algorithm_for(client)
        self._parts: dict[int, UploadedPart] = {}
        self._reserved = 0
        self._begun: JournaledUpload | None = None
        self._all: list[JournaledUpload] = []
        """Every upload that was requested; those that did not become the object are aborted."""
        self._creating: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._doubt = asyncio.Lock()
        """Held by the first copy in a store that may refuse it; no bytes are sent meanwhile."""
        self._takes_copies = False
        """Whether the first copy has succeeded, so that further copies need not wait for each other."""
        self._has_sent = False
        self._aborting: asyncio.Task[None] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._closed = False
        self.completed = False
        self.is_left = False
        """Whether its parts have been left to their record."""
        self.kept_in: str | None = None
        """See `UploadClaim.kept_in`. Set before the first part."""
        self.kept_by: str | None = None
        """See `UploadClaim.kept_by`. Set with it, and before `adopt`."""
        self.when_created: Callable[[JournaledUpload], Awaitable[None]] | None = None
        """Awaited before the first part is sent. Never fails."""

    @property
    def begun(self) -> JournaledUpload | None:
        """The upload in the store; None before the first part."""
        return self._begun

    @property
    def parts(self) -> list[UploadedPart]:
        """The parts that the store has, in order."""
        return [self._parts[number] for number in sorted(self._parts)]

    async def adopt(
        self,
        scope: ChecksumScope,
        upload_id: str,
        created_at: float | None,
        parts: Sequence[UploadedPart],
        *,
        takes_whole: bool,
    ) -> None:
        """Continue an upload that was created before, after its first parts."""
        begun = self._begin(scope)
        await begun.adopt(upload_id, created_at, takes_whole=takes_whole)
        self._parts = {part.number: part for part in parts}
        self._reserved = len(parts)
        self._has_sent = bool(parts)
        self._begun = begun

    async def halt(self) -> None:
        """Stop sending, and wait for what has begun. `abort` or `leave` must follow."""
        self._closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        creations = (task for task in (self._creating, self._replacing) if task is not None)
        await asyncio.gather(*creations, return_exceptions=True)

    async def leave(self) -> None:
        """Stop without an abort: what the store has belongs to the record that keeps it."""
        self.is_left = True
        await self.halt()
        if self._begun is not None:
            await self._begun.leave()

    @property
    def reserved(self) -> int:
        """Number of positions that are reserved."""
        return self._reserved

    @property
    def size(self) -> int:
        """Total bytes of the parts that the store has."""
        return sum(part.size for part in self._parts.values())

    def reserve_number(self) -> int:
        """Reserve the position of the next part. Raises InvalidRequest: if S3 allows no more parts."""
        if self._closed:
            raise StorageFailure("the upload has ended")
        if self._reserved >= MAX_PARTS:
            raise InvalidRequest("file too large", detail=f"more than {MAX_PARTS} parts")
        self._reserved += 1
        return self._reserved

    async def upload(self, number: int, data: Buffer) -> None:
        """Send the bytes of one part."""
        await self._run(self._upload(number, data))

    async def copy(self, number: int, source: CopySource) -> StorageError | None:
        """Have the store copy a part from another object.

        Returns the store's refusal if it does not copy into an upload that already has parts; the caller then
        has to send the bytes.

        Raises Changed: if the source has another version. Raises NotFound: if it does not exist.
        """
        return await self._run(self._copy(number, source))

    async def complete(self, ours: Callable[[Answer], bool], **conditions: str) -> CompletedWrite:
        """Complete the upload. Returns as soon as the store has confirmed it, without waiting for the journal
        (`journal_cleared`). Raises like `complete_write`."""
        begun = await self._created()
        completed = await complete_parts(self._client, begun, self.parts, ours, **conditions)
        self._closed = self.completed = True
        self._clearing = begun.mark_completed()
        # S3 dates the object by its creation, not its completion
        return completed._replace(written_at=begun.created_at or completed.written_at)

    async def journal_cleared(self) -> None:
        """Wait until the journal has removed the completed upload."""
        if self._clearing is not None:
            await asyncio.shield(self._clearing)

    async def abort(self) -> None:
        """Abort the upload unless it is completed.

        Continues if the caller is cancelled, may be called again, and never raises StorageError: an upload
        that could not be aborted stays in the journal.
        """
        self._closed = True
        if self.completed:
            return
        if self._aborting is None:
            self._aborting = self._client.run_in_background(self._abort())
        await asyncio.shield(self._aborting)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step as a task that `abort` can stop."""
        if self._closed:
            work.close()
            raise StorageFailure("the upload has ended")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with StrayCancellationGuard(self._cancelled):
            return await task

    def _cancelled(self) -> StorageFailure:
        """The failure of a step that was cancelled although its caller was not."""
        if self._closed:
            return StorageFailure("the upload was aborted")
        return StorageFailure(detail="a part was cancelled by something that it waited for")

    # ── parts ───────────────────────────────────────────────────────────────────────────────────────

    async def _upload(self, number: int, data: Buffer) -> None:
        if self._doubt.locked():
            async with self._doubt:
                pass
        self._has_sent = True
        begun = await self._created()
        algorithm = (
            fallback_algorithm(self._algorithm)
            if begun.scope is ChecksumScope.NOTHING
            else algorithm_for(self._client)
        )

        async def send(proof: Fields) -> Answer:
            return await self._client.call(
                "UploadPart",
                kind=RequestKind.DATA,
                moved_bytes=len(data),
                Key=self._key,
                UploadId=begun.upload_id,
                PartNumber=number,
                Body=RequestBody(data),
                **proof,
            )

        answer, proof = await send_with_checksum(self._client, data, send, algorithm)
        said = crc_of_text(answer.get("ChecksumCRC32"))
        if None not in (said, proof.crc) and said != proof.crc:
            raise StorageFailure("storage damaged the data", detail=f"part {number}: another CRC than sent")
        self._parts[number] = _sent(number, len(data), answer, proof, confirmed=said is not None)

    async def _copy(self, number: int, source: CopySource) -> StorageError | None:
        features, copied = self._client.features, Feature.COPIED_PART_CHECKSUMS
        if features.is_aws or (features.is_certain(copied) and features.has(copied)):
            return await self._copy_or_replace(number, source, is_sure=True)
        if not self._takes_copies:
            async with self._doubt:
                if not self._takes_copies:
                    refused = await self._copy_or_replace(number, source, is_sure=False)
                    self._takes_copies = refused is None
                    return refused
        is_sure = features.is_certain(copied) and features.has(copied)  # the first copy may have shown it
        return await self._copy_or_replace(number, source, is_sure=is_sure)

    async def _copy_or_replace(
        self, number: int, source: CopySource, *, is_sure: bool
    ) -> StorageError | None:
        """Copy a part. If the store refuses because of the upload's checksums, or reports a wrong one, copy
        it into a new upload without checksums."""
        begun = await self._created()
        try:
            part = await copy_part(self._client, begun, number, source)
        except StorageError as error:
            if not is_refusal(error):
                raise
            if begun.scope is ChecksumScope.NOTHING:
                if _is_unknown_request(error):
                    return error
                raise
            refused = error
        else:
            self._parts[number] = part
            if is_sure or begun.scope is ChecksumScope.NOTHING:
                return None
            is_right = await is_reported_checksum_right(self._client, part, source)
            if is_right:
                self._client.features.seen(Feature.COPIED_PART_CHECKSUMS)
            if is_right is not False:
                return None
            refused = StorageFailure("storage tells a wrong checksum", detail="UploadPartCopy")
        if self._has_sent or self._parts.keys() - {number}:
            return refused  # another upload would lack the parts that this one has
        features = self._client.features
        was_matched = features.has(Feature.MATCHED_COPIES)
        if not await self._is_replaced(number, source):
            if _is_unknown_request(refused):
                return refused
            raise refused
        if features.has(Feature.MATCHED_COPIES) == was_matched:  # otherwise the condition was the reason
            features.lacks(Feature.COPIED_PART_CHECKSUMS, refused.detail)
        await begun.abort()
        return None

    async def _is_replaced(self, number: int, source: CopySource) -> bool:
        """Try to copy the part into a new upload without checksums.

        If that succeeds, it replaces this one.
        """
        other = self._begin(ChecksumScope.NOTHING)
        self._replacing = self._client.run_in_background(other.create(self._fields()))
        try:
            await asyncio.shield(self._replacing)
            self._parts[number] = await copy_part(self._client, other, number, source)
        except StorageError:
            await other.abort()
            return False
        self._begun = other
        return True

    # ── creation and end ────────────────────────────────────────────────────────────────────────────

    async def _created(self) -> JournaledUpload:
        if self._creating is None and self._begun is not None:
            return self._begun  # it was adopted
        if self._creating is None:
            self._creating = self._client.run_in_background(self._create())
        await asyncio.shield(self._creating)
        if self._begun is None:
            raise StorageFailure("the upload has ended")
        return self._begun

    async def _create(self) -> None:
        """Create the upload with the most checksums that the store accepts.

        If all fail, raise the first failure.
        """
        refused: StorageError | None = None
        for scope in self._scopes():
            begun = self._begin(scope)
            try:
                await begun.create(self._fields() | creation_fields(self._algorithm, scope))
            except StorageError as error:
                refused = refused or error
                if is_refusal(error):
                    continue
                break
            self._begun = begun
            if refused is not None:
                lacking = Feature.WHOLE_CHECKSUMS if scope is ChecksumScope.PARTS else Feature.CHECKSUMS
                self._client.features.lacks(lacking, refused.detail)
            if self.when_created is not None:
                await self.when_created(begun)
            return
        if refused is not None:
            raise refused

    def _begin(self, scope: ChecksumScope) -> JournaledUpload:
        begun = JournaledUpload(self._client, self._journal, self._key, scope, self.kept_in, self.kept_by)
        self._all.append(begun)
        return begun

    def _scopes(self) -> list[ChecksumScope]:
        """The checksum scopes to try, the widest first."""
        features = self._client.features
        if self._algorithm not in ("crc32", "sha256"):
            return [ChecksumScope.NOTHING]
        if self._copies and not features.has(Feature.COPIED_PART_CHECKSUMS):
            return [ChecksumScope.NOTHING]
        scopes = [ChecksumScope.PARTS, ChecksumScope.NOTHING]
        if self._algorithm == "crc32" and features.has(Feature.WHOLE_CHECKSUMS):
            scopes.insert(0, ChecksumScope.WHOLE)
        return scopes

    async def _abort(self) -> None:
        await self.halt()
        for begun in self._all:
            await begun.abort()


def _is_unknown_request(error: StorageError) -> bool:
    """Whether the store seems to lack UploadPartCopy altogether, so that the bytes can be sent instead."""
    return has_status(error, 405, 501)


def _sent(number: int, size: int, answer: Answer, proof: Digest, *, confirmed: bool) -> UploadedPart:
    checksum = {name: text for name, text in proof.fields.items() if name.startswith("Checksum")}
    return UploadedPart(number, size, answer["ETag"], checksum, proof.crc, confirmed)
