"""A file that a client has open for writing: the state behind a handle.

An upload is a row in `OpenUploads`: STAT of its path, also from the same user's other sessions in this
process, shows its size so far. Other users and processes do not see it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.backends.router import backend_at, copies_inside
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    Changed,
    NoSpace,
    NotFound,
    StorageError,
    outcome_is_unknown,
)
from s3sftp.events import Committed, Publish, Publisher
from s3sftp.events.announcements import NO_CHANGE, SILENT, Announcer, etag_of
from s3sftp.events.cloud_event import EventKind
from s3sftp.events.outbox.entries import Check
from s3sftp.fs.open_reader import OpenReader
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right
from s3sftp.fs.transfer_book import TransferBook
from s3sftp.fs.transfer_record import FailureReason, TransferRecord
from s3sftp.fs.upload_rules import UploadRules
from s3sftp.fs.write.open_uploads import OpenUpload, OpenUploads
from s3sftp.fs.write.placed_commit import PlacedCommit
from s3sftp.fs.write.writer import Writer
from s3sftp.telemetry import Costs, charging, get_logger, in_transfer
from s3sftp.telemetry.metric_catalogue import RECEIVED_BYTES, SENT_BYTES
from s3sftp.telemetry.metrics import Metrics

_log = get_logger(__name__)
_RECEIVED = RECEIVED_BYTES.row()
_SENT = SENT_BYTES.row()
_KEEPS = frozenset(
    {
        FailureReason.CLIENT_CLOSED,
        FailureReason.CONNECTION_LOST,
        FailureReason.SESSION_ENDED,
        FailureReason.IDLE,
        FailureReason.STALLED,
        FailureReason.PROTOCOL_ERROR,
        FailureReason.INTERNAL_ERROR,
    }
)
"""Ends of a session, after which the parts of an upload may be kept. A CLOSE that failed is none."""
FindFree = Callable[[VirtualPath], Awaitable[tuple[Place, VirtualPath]]]
"""Finds a place and path at which nothing is stored, beside a path that is taken."""


class OpenWriter(OpenUpload):
    """A file open for writing. Calls run one at a time, in the order of their arrival."""

    def __init__(
        self,
        place: Place,
        path: VirtualPath,
        writer: Writer,
        session: Session,
        rows: OpenUploads[OpenWriter],
        commits: Publisher[Committed],
        backend: CompleteBackend,
        metrics: Metrics,
        book: TransferBook,
        rules: UploadRules = UploadRules(),  # noqa: B008  frozen
        free_place: FindFree | None = None,
        stored: Callable[[OpenWriter, FileInfo], None] | None = None,
        announcer: Announcer = SILENT,
    ) -> None:
        """`rules`: what the user may do with the file. `free_place`: finds another place if the name is
        taken. `stored`: called when the file is stored. `announcer`: tells other systems what becomes of
        the upload."""
        super().__init__(place, path, session)
        self.rules = rules
        self.named = path
        """The path that the client knows: the file may get another name if this one is taken."""
        self._free_place = free_place
        self._stored = stored
        if rules.keeps_both:
            writer.when_taken(self._take_free_place)
        writer.before_going_on(self._until_alone)
        self._announcer = announcer
        self._change = NO_CHANGE
        if announcer.routes.wants(EventKind.UPLOAD_COMMITTED):
            writer.before_finish(self._note_change)
        self._metrics = metrics
        self._writer = writer
        self._rows = rows
        self._commits = commits
        self._backend = backend
        self._placed = PlacedCommit(writer, backend, session)
        self._committed: Committed | None = None
        self._lock = asyncio.Lock()
        self._size_at_close: int | None = None
        self._removed: NotFound | None = None
        self.leaving = False
        """Whether it ends without CLOSE, and what it has stored is being kept."""
        self._is_left = False
        """Whether its CLOSE left the stored file as it is, because there was nothing to store."""
        self._loses = False
        """Whether bytes that the client wrote are lost because the name was removed."""
        located = lambda: backend_at(self._backend, self.place).object_at(self.place)  # noqa: E731
        costs = Costs(owner=book.account_of(session.user))
        moved = lambda: self._writer.written  # noqa: E731
        self._transfer = TransferRecord(
            "upload", path, session, costs, metrics, located, book, moved, announcer=announcer
        )
        rows.add(self)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was written, truncated or set since the OPEN."""
        return self._writer.is_untouched

    @property
    def is_whole(self) -> bool:
        """Whether the whole content comes from this upload, and none from a file that was there before."""
        mode = self._writer.mode
        return mode.truncate or (mode.exclusive and mode.create)

    @property
    def creates(self) -> bool:
        """Whether its CLOSE creates the file if there is none."""
        return self._writer.mode.create

    def lead_to(self, place: Place, path: VirtualPath) -> None:
        """Follow a rename of the file or of a directory above it."""
        super().lead_to(place, path)
        self.named = path
        self._transfer.path = path

    async def _take_free_place(self) -> Place | None:
        """Continue under another name, because this one is taken. None: if that is not possible any more."""
        if self._free_place is None or self.place != self._writer.place:
            return None
        named = self.named
        place, path = await self._free_place(named)
        self._rows.lead_to(self, place, path)
        self.named = named
        return place

    async def _until_alone(self) -> None:
        """Wait for what another session of the user has lost here, until it is kept. Raises Changed: if one
        is still sending the file, which STAT has shown: its bytes are not there to be continued."""
        for row in self._rows.sent_elsewhere(self):
            if not row.leaving:
                raise Changed("another session of yours is writing this file")
            await row.over.wait()

    def _refuse_size(self, size: int) -> None:
        """Fail the upload if the file may not be that large. Raises NoSpace: as `UploadRules.refuse_size`."""
        try:
            self.rules.refuse_size(size)
        except NoSpace as error:
            self._writer.fail(error)
            raise

    @property
    def is_bound(self) -> bool:
        """See `Writer.is_bound`."""
        return self._writer.is_bound

    def take_over(self) -> None:
        """See `Writer.take_over`."""
        self._writer.take_over()

    def fail(self, error: Exception) -> None:
        """See `Writer.fail`."""
        self._writer.fail(error)

    def try_write(self, offset: int, data: memoryview) -> bool:
        """See `Writer.try_write`. Returns False also while another call runs. Charges this transfer."""
        if self._lock.locked() or self.rules.is_larger(offset + len(data)):
            return False
        with charging(self._transfer.costs):
            taken = self._writer.try_write(offset, data)
        if taken:
            self._transfer.requests += 1
            self._metrics.add(_RECEIVED, len(data))
        return taken

    async def write(self, offset: int, data: bytes | memoryview, *, received: bool = True) -> None:
        """See `Writer.write`. Charges this transfer. `received`: the bytes came from the client.

        Raises NotFound: if the name was removed in the meantime.
        """
        async with self._lock:
            self._refuse_if_removed()
            with charging(self._transfer.costs):
                if self.rules.rules.max_file_bytes:
                    appends = self._writer.mode.append
                    self._refuse_size(len(data) + ((await self._writer.stat()).size if appends else offset))
                await self._writer.write(offset, data)
        if received:
            self._transfer.requests += 1
            self._metrics.add(_RECEIVED, len(data))

    async def read(self, offset: int, length: int) -> bytes:
        """See `Writer.read`. Raises PermissionDenied: if the user may not read the file."""
        self.rules.rules.require(Right.READ)
        async with self._lock:
            with charging(self._transfer.costs):
                data = await self._writer.read(offset, length)
        self._metrics.add(_SENT, len(data))
        return data

    async def stat(self) -> FileInfo | None:
        """The file as it is so far, or None if the upload has ended, so that the storage must be asked.

        Does not wait for other calls: neither for a WRITE that waits for memory nor for the commit.
        """
        if self._lock.locked():
            info = await self._writer.stat_snapshot(self._size_at_close)
        elif self.committing or self.over.is_set():
            return None
        else:
            async with self._lock:
                info = await self._writer.stat()
        return None if self.over.is_set() else info

    async def set_attributes(
        self, size: int | None, mtime: float | None = None, mode: int | None = None
    ) -> bool:
        """Set size, modification time and permissions. Returns False, with nothing set, if the file has been
        closed in the meantime, so that they must be set in the storage.

        Raises NotFound: if the name was removed in the meantime; PermissionDenied: if the file may be an
        existing one, whose times the user may not set; NoSpace: if it may not be that large.
        """
        if mtime is not None or mode is not None:
            self.rules.refuse_attributes()
        async with self._lock:
            self._refuse_if_removed()
            if size is not None:
                self._refuse_size(size)
            if self.committing or self.over.is_set():
                return False
            with charging(self._transfer.costs):
                if size is not None:
                    await self._writer.resize(size)
                self._writer.set_attributes(mtime, mode)
        return True

    def copy_whole(self, source: OpenReader) -> bool:
        """See `Writer.copy_whole`."""
        self._refuse_size(source.info.size)
        if not copies_inside(self._backend, source.place, self.place, self.session):
            return False
        return self._writer.copy_whole(source.place, source.info)

    async def sync(self) -> None:
        async with self._lock:
            await self._writer.sync()

    async def close(self) -> None:
        """Commit the file. Its row is removed in any case, so that STAT shows what is stored after a failure.

        Before the commit, waits for room for the event in the subscribers' queues. After it, waits for the
        handlers that acknowledge; if one fails, the call fails but the file is stored. Raises Busy: if there
        is no room for the event; NotFound: if the name was removed in the meantime and bytes are lost by
        that.
        """
        if self._removed is not None:
            if self._loses:
                raise self._removed
            return
        try:
            async with self._reserve_event() as announce:
                await self._commit(announce)
        except Exception as error:
            self._change.leave()
            self._end("stored" if self._committed else "failed", error)
            raise
        except BaseException:
            self._change.leave()
            self._end("stored" if self._committed else "aborted")
            raise
        else:
            self._end("aborted" if self._is_left else "stored", why=FailureReason.UNCHANGED)
        if self._committed is not None:
            try:
                await self._commits.acknowledge(self._committed)
                await self._change.acknowledge()
            finally:
                self._change.leave()

    async def _note_change(self, mark: str | None, size: int) -> None:
        """Note in the outbox what is about to be committed. After a refusal, that may be another name."""
        self._change.nothing_happened()
        self._change = self._announcer.upload(self.path.text, self.place, self.session)
        await self._change.begin(Check("commit", self.place, mark=mark, size=size), size=size)

    @asynccontextmanager
    async def _reserve_event(self) -> AsyncIterator[Publish[Committed]]:
        """Reserve room for the event in the subscribers' queues. Aborts the upload if that fails."""
        is_reserved = False
        try:
            async with self._commits.reserve() as announce:
                is_reserved = True
                yield announce
        except BaseException:
            if not is_reserved:
                await self._writer.abort()
            raise

    async def _commit(self, announce: Publish[Committed]) -> None:
        """Commit the file, and publish the event once it is stored, even if the call is cancelled."""
        try:
            async with self._lock:
                await self._rows.until_still(self)
                self.committing = True
                self._size_at_close = self._writer.size_if_known
                with charging(self._transfer.costs):
                    try:
                        await self._store_or_leave()
                    except AlreadyExists as error:
                        if (refusal := self._refusal_of(error)) is error:
                            raise
                        raise refusal from error
        except BaseException:
            if not self.committing:  # cancelled while it waited
                await self._writer.abort()
            raise
        finally:
            stored = self._writer.stored if self.place == self._writer.place else self._placed.moved
            if stored is not None:
                self._rows.stored_changed(self.place, by=self)
                if self._stored is not None:
                    self._stored(self, stored)
                self._committed = self._event(stored)
                announce(self._committed)
                self._change.happened(
                    size=stored.size,
                    etag=etag_of(stored.version),
                    version_id=self._writer.version_id,
                    checksum=self._writer.checksum,
                    mtime=stored.mtime,
                    seconds=round(self._transfer.seconds, 3),
                )

    def _refusal_of(self, error: AlreadyExists) -> StorageError:
        """The error to raise because a file has the name by now."""
        if self.place != self._writer.place:
            return error
        if self.rules.keeps_both:
            return Busy("another file took the name during the upload; send it again", detail=str(error))
        return self.rules.taken(error)

    async def _store_or_leave(self) -> None:
        """Store the file, or leave the stored one as it is.

        An untouched file has no changes to protect, so its CLOSE does not fail because this server itself has
        changed the stored file since the OPEN, and it does not make a removed file again. Changes by other
        workers are only a possibility, so there the storage is asked first; a missing file is then created,
        as the OPEN requested.
        """
        is_only_open = self.is_untouched and not self._writer.has_failed
        if is_only_open and self.overtaken:
            self._is_left = True
            await self._writer.abort()
            return
        try:
            await self._placed.commit(self.place, self.path)
        except Changed:
            if not is_only_open or not self._rows.may_be_overtaken(self):
                raise
            self._is_left = True
        else:
            if not is_only_open and self._writer.stored is None:
                self._rows.attributes_changed(self.place)

    def _event(self, stored: FileInfo) -> Committed:
        return Committed(
            self.path.text,
            self.place,
            stored.size,
            stored.version,
            stored.mtime,
            self.session,
            duration=self._transfer.seconds,
            committed_at=time.time(),
            trace_context=self._commits.trace_context(),
        )

    def give_up(self) -> bool:
        """Fail the upload, because its name was removed or replaced. Later calls raise NotFound.

        Returns whether `abort` must follow. Does nothing if the upload is already committing.
        """
        if self.committing or self.over.is_set():
            return False
        self._loses = not self.is_untouched
        self._removed = NotFound("the file was removed while it was being written, or another took its name")
        self._writer.fail(self._removed)
        self._rows.remove(self)
        return True

    def _refuse_if_removed(self) -> None:
        if self._removed is not None:
            self._loses = True
            raise self._removed

    async def abort(self, why: FailureReason = FailureReason.CANCELLED) -> None:
        """Abort the upload and log that it was not stored. May be called more than once."""
        if self.over.is_set():
            return
        try:
            with charging(self._transfer.costs), in_transfer():
                if why in _KEEPS and self._removed is None and self.place == self._writer.place:
                    self.leaving = True
                    await self._writer.keep()
                else:
                    await self._writer.abort()
        finally:
            self._end("aborted", why=FailureReason.REMOVED if self._removed is not None else why)

    def _end(
        self, outcome: str, error: Exception | None = None, why: FailureReason = FailureReason.CANCELLED
    ) -> None:
        if self.over.is_set():
            return
        self.over.set()
        self._rows.remove(self)
        self._transfer.bytes = self._writer.written
        checksum = self._writer.checksum if outcome == "stored" else None
        in_doubt = None
        if self._change.has_begun:
            may_be_stored = outcome == "aborted" or (
                isinstance(error, StorageError) and outcome_is_unknown(error)
            )
            if may_be_stored and not self._is_left:
                in_doubt = self._change.in_doubt
            else:
                self._change.nothing_happened()
        self._transfer.end(
            outcome, size=self._writer.size, error=error, why=why, checksum=checksum, in_doubt=in_doubt
        )
