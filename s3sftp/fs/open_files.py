"""Files that clients have open.

A file being uploaded is a row in `OpenUploads`: STAT of it, also from the same user's other sessions of this
process, sees its size so far. Nobody else sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.events import Committed, Publish, Publisher
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.read.reader import AwaitedRange, Reader
from s3sftp.fs.transfer_record import FailureReason, TransferRecord
from s3sftp.fs.write.open_uploads import OpenUpload, OpenUploads
from s3sftp.fs.write.writer import Writer
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.telemetry import Costs, charging, current_trace_context, get_logger
from s3sftp.telemetry.metric_catalogue import RECEIVED_BYTES, SENT_BYTES
from s3sftp.telemetry.metrics import Metrics

_log = get_logger(__name__)
_RECEIVED = RECEIVED_BYTES.row()
_SENT = SENT_BYTES.row()


class OpenReader:
    """A file open for reading."""

    def __init__(
        self, place: Place, path: VirtualPath, reader: Reader, session: Session, metrics: Metrics
    ) -> None:
        self.place = place
        self.path = path
        self.info = reader.info
        self._reader = reader
        self._transfer = TransferRecord("download", path, session, reader.costs, metrics)
        self._metrics = metrics
        self._failure: Exception | None = None
        # as `Reader` says; what they cost and bring is counted elsewhere
        self.expect = reader.expect
        self.forget = reader.forget
        self.listen = reader.listen

    def try_read(self, offset: int, length: int) -> list[memoryview] | None:
        """`Reader.try_read`."""
        try:
            return self._sent(self._reader.try_read(offset, length))
        except Exception as error:
            self._failure = error
            raise

    def collect(self, expected: AwaitedRange) -> list[memoryview] | None:
        """`Reader.collect`."""
        try:
            return self._sent(self._reader.collect(expected))
        except Exception as error:
            self._failure = error
            raise

    async def read(self, offset: int, length: int) -> list[memoryview]:
        """`Reader.read`, for what is not sent to the client."""
        try:
            views = await self._reader.read(offset, length)
        except Exception as error:
            self._failure = error
            raise
        self._transfer.bytes += sum(map(len, views))
        return views

    async def close(self) -> None:
        await self._reader.close()
        outcome = "read" if self._failure is None else "failed"
        self._transfer.end(outcome, size=self.info.size, error=self._failure)

    async def abort(self, why: FailureReason = FailureReason.CANCELLED) -> None:
        await self._reader.close()
        self._transfer.end("aborted", size=self.info.size, why=why)

    def _sent(self, views: list[memoryview] | None) -> list[memoryview] | None:
        if views:
            count = sum(map(len, views))
            self._transfer.bytes += count
            self._metrics.add(_SENT, count)
        return views


class OpenWriter(OpenUpload):
    """A file open for writing. Calls are put in a line: one at a time, in the order they came."""

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
    ) -> None:
        super().__init__(place, path, session)
        self._metrics = metrics
        self._writer = writer
        self._rows = rows
        self._commits = commits
        self._backend = backend
        self._moved: FileInfo | None = None
        """What is stored where it leads, after it had to be published under its old name."""
        self._committed: Committed | None = None
        self._line = asyncio.Lock()
        self._size_at_close: int | None = None
        self._removed: NotFound | None = None
        self._is_left = False
        """Whether its CLOSE has nothing to store and nothing to prove."""
        self._loses = False
        """Whether something that the client wrote goes with the name."""
        self._transfer = TransferRecord("upload", path, session, Costs(), metrics)
        rows.add(self)

    @property
    def is_untouched(self) -> bool:
        """Whether it is only open: nothing was written, truncated or set."""
        return self._writer.is_untouched

    @property
    def creates(self) -> bool:
        """Whether its CLOSE makes the file when there is none."""
        return self._writer.mode.create

    def lead_to(self, place: Place, path: VirtualPath) -> None:
        """The name was changed, or that of a directory above."""
        super().lead_to(place, path)
        self._transfer.path = path

    @property
    def is_bound(self) -> bool:
        """`Writer.is_bound`."""
        return self._writer.is_bound

    def take_over(self) -> None:
        """`Writer.take_over`."""
        self._writer.take_over()

    def fail(self, error: Exception) -> None:
        """`Writer.fail`."""
        self._writer.fail(error)

    def try_write(self, offset: int, data: memoryview) -> bool:
        """`Writer.try_write`, on this transfer's account; False also while another call is in the line."""
        if self._line.locked():
            return False
        with charging(self._transfer.costs):
            taken = self._writer.try_write(offset, data)
        if taken:
            self._metrics.add(_RECEIVED, len(data))
        return taken

    async def write(self, offset: int, data: bytes | memoryview, *, received: bool = True) -> None:
        """`Writer.write`, on this transfer's account; `received`: the client has sent the bytes."""
        async with self._line:
            self._refuse_if_removed()
            with charging(self._transfer.costs):
                await self._writer.write(offset, data)
        if received:
            self._metrics.add(_RECEIVED, len(data))

    async def read(self, offset: int, length: int) -> bytes:
        async with self._line:
            with charging(self._transfer.costs):
                data = await self._writer.read(offset, length)
        self._metrics.add(_SENT, len(data))
        return data

    async def stat(self) -> FileInfo | None:
        """The file as it is so far; None when it is over: the storage knows better.

        Waits for nobody: neither for a WRITE that has no room yet nor for the commit.
        """
        if self._line.locked():
            info = await self._writer.stat_snapshot(self._size_at_close)
        elif self.committing or self.over.is_set():
            return None
        else:
            async with self._line:
                info = await self._writer.stat()
        return None if self.over.is_set() else info

    async def set_attributes(
        self, size: int | None, mtime: float | None = None, mode: int | None = None
    ) -> bool:
        """Set them; False when the file has been closed meanwhile: the storage must be told."""
        async with self._line:
            self._refuse_if_removed()
            if self.committing or self.over.is_set():
                return False
            with charging(self._transfer.costs):
                if size is not None:
                    await self._writer.resize(size)
                self._writer.set_attributes(mtime, mode)
        return True

    def copy_whole(self, source: OpenReader) -> bool:
        """`Writer.copy_whole`."""
        return self._writer.copy_whole(source.place, source.info)

    async def sync(self) -> None:
        async with self._line:
            await self._writer.sync()

    async def close(self) -> None:
        """Publish; the row goes either way, so that after a failure STAT shows what is really stored.

        Waits for room to tell of it before anything is published, and at the end for those who want to be
        part of the acknowledgement: when they fail the file is stored nevertheless. Raises Busy, and NotFound
        when its name was removed meanwhile, unless nothing is lost by that.
        """
        if self._removed is not None:
            if self._loses:
                raise self._removed
            return
        try:
            async with self._room() as announce:
                await self._publish(announce)
        except Exception as error:
            self._end("stored" if self._committed else "failed", error)
            raise
        except BaseException:
            self._end("stored" if self._committed else "aborted")
            raise
        else:
            self._end("aborted" if self._is_left else "stored", why=FailureReason.UNCHANGED)
        if self._committed is not None:
            await self._commits.acknowledge(self._committed)

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[Publish[Committed]]:
        """Keep a place for the event; without one nothing is published."""
        async with AsyncExitStack() as kept:
            try:
                announce = await kept.enter_async_context(self._commits.room())
            except BaseException:
                await self._writer.abort()
                raise
            yield announce

    async def _publish(self, announce: Publish[Committed]) -> None:
        """Announced as soon as it is stored, also when the client does not wait for what remains to do."""
        try:
            async with self._line:
                await self._rows.until_still(self)
                self.committing = True
                self._size_at_close = self._writer.size_if_known
                with charging(self._transfer.costs):
                    await self._store_or_leave()
        except BaseException:
            if not self.committing:  # given up while it waited
                await self._writer.abort()
            raise
        finally:
            stored = self._writer.published if self.place == self._writer.place else self._moved
            if stored is not None:
                self._rows.stored_changed(self.place, by=self)
                self._committed = self._event(stored)
                announce(self._committed)

    async def _store_or_leave(self) -> None:
        """A file that is only open has nothing to protect: what this server itself has done to the name since
        the OPEN does not fail it. Nor does CLOSE make the file again that was removed.

        That another worker did something is not sure, so what is stored is looked at first; then a file that
        is not there is made, as the OPEN asked for.
        """
        is_only_open = self.is_untouched and not self._writer.has_failed
        if is_only_open and self.overtaken:
            self._is_left = True
            await self._writer.abort()
            return
        try:
            await self._store()
        except Changed:
            if not is_only_open or not self._rows.may_be_overtaken(self):
                raise
            self._is_left = True
        else:
            if not is_only_open and self._writer.published is None:
                self._rows.attributes_changed(self.place)

    async def _store(self) -> None:
        """Publish where it leads. What was sent already is bound to the name under which it was begun: that
        is published there and moved at once, if nobody has taken the name meanwhile."""
        writer, old = self._writer, self._writer.place
        try:
            in_place = self.place == old or await writer.move(self.place)
            if not in_place:
                await self._refuse_detour(old)
        except BaseException:
            await writer.abort()
            raise
        try:
            await writer.close()
        finally:
            if not in_place and writer.published is not None:
                await run_to_completion(self._move_from(old))

    async def _refuse_detour(self, old: Place) -> None:
        """Before anything is published under the old name: could it be moved? Raises AlreadyExists."""
        if await self._found(old) is not None:
            raise AlreadyExists("another file has taken the name under which the upload was begun")
        there = await self._found(self.place)
        if there is not None and (there.is_dir or self._writer.mode.exclusive):
            raise AlreadyExists

    async def _found(self, place: Place) -> FileInfo | None:
        try:
            return await self._backend.file_info(place, self.session)
        except NotFound:
            return None

    async def _move_from(self, old: Place) -> None:
        """Move what is published under the old name, also when nobody waits for it any more; if that fails,
        nothing stays there."""
        published = self._writer.published
        try:
            overwrite = not self._writer.mode.exclusive
            await self._backend.rename(old, self.place, self.session, overwrite=overwrite)
        except BaseException as error:
            _log.warning("upload.move_failed", path=str(self.path), place=old.key)
            if isinstance(error, StorageError):
                with suppress(StorageError):
                    await self._undo_rename(old)
            raise
        self._moved = None if published is None else replace(published, version=None)  # a copy has its own
        with suppress(StorageError):
            self._moved = await self._backend.file_info(self.place, self.session)

    async def _undo_rename(self, old: Place) -> None:
        there, published = await self._found(old), self._writer.published
        if there is not None and published is not None and there.version == published.version:
            await self._backend.delete(old, self.session)

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
            trace_context=current_trace_context(),
        )

    def give_up(self) -> bool:
        """The name was removed, or given to another file: nothing will be stored, and later calls say so.

        Returns whether `abort` must follow; a CLOSE that publishes already goes on.
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
        """Throw it away; the log says that it was not stored. May be called twice."""
        if self.over.is_set():
            return
        try:
            with charging(self._transfer.costs):
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
        self._transfer.end(outcome, size=self._writer.size, error=error, why=why)
