"""Keeps, finds and continues uploads that ended without CLOSE.

Who owns an upload is what its record says, and each change of the record is conditional on the version that
was read: of several who want to continue an upload, one succeeds, and the one that had it before notices at
its next change. Two writers who do not know of each other cannot mix their bytes: CompleteMultipartUpload
names the ETag of each part.

    first part     PUT record, `sending`       so that the parts are found even if this process is killed
    lost line      PUT tail, PUT record        `kept`
    STAT           GET record, ListParts       what the store has decides, not what the record remembers
    go on          PUT record, `sending`       another owner
    CLOSE          DELETE record
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from s3sftp.backends.contract import Place, Session, Upload
from s3sftp.backends.kept_uploads import AdoptedBytes, KeepLimits, KeptFile
from s3sftp.backends.s3.checksums.digest import ChecksumScope
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials.user_scope import in_scope
from s3sftp.backends.s3.kept.kept_totals import KeptTotals
from s3sftp.backends.s3.kept.record_store import FoundRecord, RecordStore
from s3sftp.backends.s3.kept.records import (
    KeptRecord,
    contiguous,
    folder_of,
    kept_prefix,
    name_of_record,
    scope_name,
    total_of,
    with_parts,
)
from s3sftp.backends.s3.kept.stored_bytes import StoredBytes
from s3sftp.backends.s3.recovery.upload_journal import UploadClaim, UploadJournal
from s3sftp.backends.s3.small_objects import BucketObjects
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.journaled_upload import JournaledUpload, abort_upload
from s3sftp.backends.s3.write.uploads import S3Upload
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import KEPT_UPLOADS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.s3")
_TRIES: Final = 3
RENEWALS: Final = 4
"""How often a running upload renews its record within the time limit."""


class BackgroundSweep(Protocol):
    """Removes what is too old, from time to time."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class UploadHold:
    """A running upload's hold on its record."""

    def __init__(self, kept: S3KeptUploads, name: str, user: str, upload: S3Upload) -> None:
        self._kept = kept
        self.name = name
        self.upload = upload
        self.etag: str | None = None
        """Of the record that this upload owns; None if it owns none."""
        self.is_lost = False
        """Whether it owned a record that another session has taken."""
        self.lock = asyncio.Lock()
        """Held while the record is changed."""
        now = time.time()
        self.record = KeptRecord(
            user, upload.key, uuid.uuid4().hex, upload.write_id, "sending", now, now, mtime=upload.mtime
        )

    async def created(self, begun: JournaledUpload) -> None:
        """Write the record, because the first part is about to be sent. If that fails, a crash loses the
        parts, and nothing else."""
        record = replace(
            self.record,
            upload_id=begun.upload_id,
            scope=scope_name(begun.scope),
            takes_whole=begun.takes_whole,
            created_at=begun.created_at,
            mtime=self.upload.mtime,
            mode=self.upload.mode,
            written_at=time.time(),
        )
        try:
            await self._kept.write(self, record)
        except StorageError as error:
            _log.warning("kept.record_failed", key=record.key, error=str(error), detail=error.detail)

    async def completed(self) -> None:
        """Remove the record, because the object is visible."""
        with suppress(StorageError):  # it names an upload that is gone, so nobody can continue it
            await self._kept.release(self)

    async def may_abort(self) -> bool:
        """Give the record up before an abort. Returns whether the upload's parts are still its own: not if
        another session has continued it meanwhile, or if that cannot be known now."""
        if self.etag is None and not self.is_lost:
            return True
        upload_id = self.record.upload_id
        try:
            if await self._kept.release(self):
                return True
            found = await self._kept.records.read(self.name)
        except StorageError:
            return False
        return found is None or upload_id is None or found.record.upload_id != upload_id


class S3KeptUploads:
    """The kept uploads of one bucket."""

    def __init__(
        self,
        client: S3Client,
        key_of: Callable[[Place], str],
        journal: UploadJournal,
        conditions: ConditionalSupport,
        limits: KeepLimits,
        metrics: Metrics,
        storage: str = "",
    ) -> None:
        """`storage` is its name for the metrics."""
        self.client = client
        self.limits = limits
        self.objects = BucketObjects(client, kept_prefix(client.options.prefix), conditions)
        self.records = RecordStore(self.objects)
        self.stored = StoredBytes(client, self.objects)
        self.totals = KeptTotals(metrics, storage)
        self._key_of = key_of
        self._journal = journal
        self._metrics = metrics
        self._held: dict[str, UploadHold] = {}
        """The running uploads that own their record, by its name."""
        self._task: asyncio.Task[None] | None = None
        self.sweeper: BackgroundSweep | None = None
        """Starts and stops with it."""

    async def start(self) -> None:
        if self.sweeper is not None:
            self.sweeper.start()
        self._task = asyncio.create_task(self._renew(), name="s3-kept-renewal")

    async def stop(self) -> None:
        if self.sweeper is not None:
            await self.sweeper.stop()
        await cancel_and_wait(self._task)
        self._task = None

    def count(self, outcome: str) -> None:
        """Count what has become of a kept upload."""
        self._metrics.add(KEPT_UPLOADS.row(outcome))

    def is_held(self, name: str) -> bool:
        """Whether an upload of this process owns the record."""
        return name in self._held

    # ── for running uploads ─────────────────────────────────────────────────────────────────────────

    def watch(self, upload: Upload, session: Session) -> None:
        if not isinstance(upload, S3Upload) or upload.hold is not None or upload.intent.base is not None:
            return
        hold = UploadHold(self, name_of_record(session.user, upload.key), session.user, upload)
        upload.hold = hold
        upload.multipart.kept_in, upload.multipart.kept_by = hold.name, hold.record.owner
        upload.multipart.when_created = hold.created

    async def keep(self, upload: Upload, tail: bytes, session: Session) -> int | None:
        hold = upload.hold if isinstance(upload, S3Upload) else None
        if not isinstance(upload, S3Upload) or not isinstance(hold, UploadHold):
            return None
        multipart = upload.multipart
        parts = contiguous(multipart.parts, self.client.options.min_part_bytes)
        if len(parts) < multipart.reserved:  # some are not stored yet, and the tail is behind them
            tail = b""
        stored = total_of(parts)
        size = stored + len(tail)
        if size == 0 or await self.stored.has_file(upload.key):
            return None
        if not await self._has_room(session.user, hold.name, size):
            self.count("refused")
            _log.warning("upload.not_kept", key=upload.key, bytes=size, user=session.user)
            return None
        kept = replace(hold.record, state="kept", mtime=upload.mtime, mode=upload.mode, size=size)
        record = with_parts(replace(kept, written_at=time.time()), parts)
        former = hold.record.tail
        record = await self.stored.with_tail(hold.name, record, stored, tail)
        try:
            await self.write(hold, record)
        except BaseException:
            await self.stored.delete_tail(record.tail)
            raise
        self._end(hold)
        self.totals.added(record)
        await self.stored.delete_tail(former)
        await multipart.leave()
        self.count("kept")
        _log.info("upload.kept", key=upload.key, bytes=size, user=session.user)
        return size

    async def adopt(
        self, upload: Upload, session: Session, offset: int | None, at_least: int = 0
    ) -> AdoptedBytes | None:
        hold = upload.hold if isinstance(upload, S3Upload) else None
        if not isinstance(upload, S3Upload) or not isinstance(hold, UploadHold):
            return None
        found = await self.records.read(hold.name)
        if found is None or not _is_of(found.record, session.user, upload.key):
            return None
        if hold.name in self._held:
            raise Changed("another session of yours is writing this file")
        start = await self.stored.start_of(found.record)
        if start is None:
            return None
        if start.size < at_least:
            raise Changed(f"only {start.size} bytes of the unfinished upload are stored now: go on there")
        start = start.up_to(offset)
        tail = await self.stored.tail_of(found.record) if start.tail_bytes else b""
        record = with_parts(
            replace(found.record, owner=uuid.uuid4().hex, state="sending", written_at=time.time()),
            start.parts,
        )
        hold.etag = found.etag
        try:
            await self.write(hold, record)
        except BaseException:
            hold.etag = None
            raise
        self.totals.removed(found.record)
        upload.write_id = upload.mark = record.write_id
        upload.mtime, upload.mode = record.mtime, record.mode
        if record.upload_id is not None:
            upload.multipart.kept_by = record.owner
            await upload.multipart.adopt(
                ChecksumScope[record.scope],
                record.upload_id,
                record.created_at,
                start.parts,
                takes_whole=record.takes_whole,
            )
        upload.plan()
        self.count("resumed")
        _log.info("upload.resumed", key=upload.key, bytes=start.size, user=session.user)
        return AdoptedBytes(start.stored, tail)

    async def write(self, hold: UploadHold, record: KeptRecord) -> None:
        """Write the record of an upload, in place of any other of its name unless the upload owns one.

        Raises Changed: if it owned one, and another session has taken it.
        """
        async with hold.lock:
            await self._write(hold, record)

    async def _write(self, hold: UploadHold, record: KeptRecord) -> None:
        if hold.is_lost:
            raise Changed("another session has continued this upload")
        data, replaced = record.encoded(), None
        for attempt in range(1, _TRIES + 1):
            known = hold.etag or (replaced.etag if replaced is not None else None)
            try:
                etag = await self.objects.put(hold.name, data, etag=known, is_new=known is None)
                break
            except (AlreadyExists, Changed, NotFound):
                if hold.etag is not None:
                    self._end(hold)
                    hold.is_lost = True
                    raise Changed("another session has continued this upload") from None
                if attempt == _TRIES:
                    raise
                replaced = await self.records.read(hold.name)
        hold.record, hold.etag = record, etag
        self._held[hold.name] = hold
        if replaced is not None:
            await self._dispose(replaced.record, aborts=replaced.record.state == "kept")

    async def release(self, hold: UploadHold) -> bool:
        """Remove the record of an upload and its tail, and return whether the upload still owned it."""
        async with hold.lock:
            etag = hold.etag
            if etag is None:
                return False
            self._end(hold)
            if not await self.objects.erase(hold.name, etag):
                hold.is_lost = True
                return False
        await self.stored.delete_tail(hold.record.tail)
        return True

    def _end(self, hold: UploadHold) -> None:
        hold.etag = None
        if self._held.get(hold.name) is hold:
            del self._held[hold.name]

    async def _renew(self) -> None:
        """Write the records of running uploads again, so that they do not look too old."""
        while True:
            await asyncio.sleep(self.limits.seconds / RENEWALS)
            for hold in list(self._held.values()):
                with suppress(StorageError):  # a record that is not renewed ends at its time
                    await self._renew_record(hold)

    async def _renew_record(self, hold: UploadHold) -> None:
        async with hold.lock:
            if self._held.get(hold.name) is hold:
                await self._write(hold, replace(hold.record, written_at=time.time()))

    # ── for those who ask ───────────────────────────────────────────────────────────────────────────

    async def find(self, place: Place, session: Session) -> KeptFile | None:
        key = self._key_of(place)
        name = name_of_record(session.user, key)
        if name in self._held:
            return None
        found = await self.records.read(name)
        if found is None or not _is_of(found.record, session.user, key):
            return None
        start = await self.stored.start_of(found.record)
        return None if start is None else KeptFile(start.size, found.record.written_at)

    async def discard(self, place: Place, session: Session, *, by_removal: bool) -> bool:
        key = self._key_of(place)
        name = name_of_record(session.user, key)
        if name in self._held:
            return False
        found = await self.records.read(name)
        if found is None or not _is_of(found.record, session.user, key):
            return False
        return await self.remove(found, aborts=by_removal or found.record.state == "kept")

    async def remove(self, found: FoundRecord, *, aborts: bool = True, outcome: str = "discarded") -> bool:
        """Remove a record that has not changed since it was read, and with `aborts` its parts."""
        if not await self.objects.erase(found.name, found.etag):
            return False
        await self._dispose(found.record, aborts=aborts)
        self.count(outcome)
        return True

    async def keeps(self, claim: UploadClaim) -> bool:
        """Whether the record of an upload whose server is gone keeps it. The record takes it over: from now
        on nobody sends parts of it. It does not keep what exceeds the user's limits, unless another session
        has continued the upload: then the end of that one decides."""
        found = await self.records.read(claim.kept_in) if claim.kept_in is not None else None
        if found is None or found.record.upload_id != claim.upload_id:
            return False
        record = found.record
        if claim.kept_by not in (None, record.owner) or found.name in self._held:
            return True
        if record.state == "sending":
            size = await self._size_that_may_stay(found) if claim.kept_by is not None else record.size
            if size is None:
                return False
            kept = replace(record, state="kept", size=size)
            with suppress(Changed, AlreadyExists, NotFound):  # another session has continued it just now
                await self.objects.put(found.name, kept.encoded(), etag=found.etag)
                self.totals.added(kept)
        return True

    # ── within ──────────────────────────────────────────────────────────────────────────────────────

    async def _size_that_may_stay(self, found: FoundRecord) -> int | None:
        """The bytes of an upload that a dead server has left. None if the user's limits do not allow it: then
        its record is removed, unless it has changed meanwhile, because somebody uses it."""
        record = found.record
        start = await self.stored.start_of(record)
        size = 0 if start is None else start.size
        if await self._has_room(record.user, found.name, size):
            return size
        if not await self.remove(found, aborts=False, outcome="refused"):
            return size
        _log.warning("upload.not_kept", key=record.key, bytes=size, user=record.user)
        return None

    async def _has_room(self, user: str, name: str, size: int) -> bool:
        """Whether the user's limits allow another kept upload of this size."""
        others = [each for each in await self.records.names_of(folder_of(user)) if each != name]
        if len(others) >= self.limits.uploads or size > self.limits.bytes:
            return False
        for other in others:
            found = await self.records.read(other)
            start = None if found is None else await self.stored.start_of(found.record)
            size += 0 if start is None else start.size
        return size <= self.limits.bytes

    async def _dispose(self, record: KeptRecord, *, aborts: bool) -> None:
        """Remove what a record that is gone has named."""
        self.totals.removed(record)
        await self.stored.delete_tail(record.tail)
        if aborts and record.upload_id is not None:
            with in_scope(None):
                if not await abort_upload(self.client, record.key, record.upload_id):
                    entry = await self._journal.claim(record.key)
                    await entry.named(record.upload_id)
                    self._journal.abandon(entry)


def _is_of(record: KeptRecord, user: str, key: str) -> bool:
    """Whether a record really is that of a user's upload to a key."""
    return record.user == user and record.key == key
