"""Files that clients have open.

A file being uploaded is a row in `OpenWriters`, keyed by user and place: STAT of it, also from the same
user's other sessions of this process, sees its size so far. Nobody else sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.errors import Busy
from s3sftp.events import Announce, Announcements, Committed
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.reading import Expected, Reader
from s3sftp.fs.tally import Tally
from s3sftp.fs.transfer import Transfer
from s3sftp.fs.writing import Writer
from s3sftp.telemetry import Costs, charged_to, current_trace_context


class OpenReader:
    """A file open for reading."""

    def __init__(self, place: Place, path: VirtualPath, reader: Reader, session: Session) -> None:
        self.place = place
        self.path = path
        self.info = reader.info
        self._reader = reader
        self._transfer = Transfer("download", path, session, reader.costs)
        self._failure: Exception | None = None
        # as `Reader` says; what they cost and bring is counted elsewhere
        self.expect = reader.expect
        self.forget = reader.forget
        self.listen = reader.listen

    def try_read(self, offset: int, length: int) -> list[memoryview] | None:
        """`Reader.try_read`."""
        try:
            return self._count(self._reader.try_read(offset, length))
        except Exception as error:
            self._failure = error
            raise

    def collect(self, expected: Expected) -> list[memoryview] | None:
        """`Reader.collect`."""
        try:
            return self._count(self._reader.collect(expected))
        except Exception as error:
            self._failure = error
            raise

    async def read(self, offset: int, length: int) -> list[memoryview]:
        """`Reader.read`."""
        try:
            views = await self._reader.read(offset, length)
        except Exception as error:
            self._failure = error
            raise
        self._count(views)
        return views

    async def close(self) -> None:
        await self._reader.close()
        outcome = "read" if self._failure is None else "failed"
        self._transfer.end(outcome, size=self.info.size, error=self._failure)

    async def abort(self) -> None:
        await self._reader.close()
        self._transfer.end("aborted", size=self.info.size)

    def _count(self, views: list[memoryview] | None) -> list[memoryview] | None:
        if views:
            self._transfer.bytes += sum(map(len, views))
        return views


class OpenWriter:
    """A file open for writing. Calls are put in a line: one at a time, in the order they came."""

    def __init__(
        self,
        place: Place,
        path: VirtualPath,
        writer: Writer,
        session: Session,
        rows: OpenWriters,
        commits: Announcements[Committed],
    ) -> None:
        self.place = place
        self.path = path
        self.session = session
        self._writer = writer
        self._rows = rows
        self._commits = commits
        self._committed: Committed | None = None
        self._line = asyncio.Lock()
        self._closed = False
        self._transfer = Transfer("upload", path, session, Costs())
        rows.add(self)

    def fail(self, error: Exception) -> None:
        """`Writer.fail`."""
        self._writer.fail(error)

    def try_write(self, offset: int, data: memoryview) -> bool:
        """`Writer.try_write`, on this transfer's account; False also while another call is in the line."""
        if self._line.locked():
            return False
        with charged_to(self._transfer.costs):
            return self._writer.try_write(offset, data)

    async def write(self, offset: int, data: bytes | memoryview) -> None:
        async with self._line:
            with charged_to(self._transfer.costs):
                await self._writer.write(offset, data)

    async def read(self, offset: int, length: int) -> bytes:
        async with self._line:
            with charged_to(self._transfer.costs):
                return await self._writer.read(offset, length)

    async def stat(self) -> FileInfo | None:
        """The file as it is so far; None when it has been closed meanwhile: the storage knows better."""
        async with self._line:
            return None if self._closed else await self._writer.stat()

    async def set_attributes(self, size: int | None, mtime: float | None) -> bool:
        """Set them; False when the file has been closed meanwhile: the storage must be told."""
        async with self._line:
            if self._closed:
                return False
            with charged_to(self._transfer.costs):
                if size is not None:
                    await self._writer.resize(size)
                if mtime is not None:
                    self._writer.set_mtime(mtime)
        return True

    def copy_whole(self, source: OpenReader) -> bool:
        """`Writer.copy_whole`."""
        return self._writer.copy_whole(source.place, source.info)

    async def sync(self) -> None:
        async with self._line:
            await self._writer.sync()

    async def close(self) -> FileInfo:
        """Publish; the row goes either way, so that after a failure STAT shows what is really stored.

        Waits for room to tell of it before anything is published, and at the end for those who want to be
        part of the acknowledgement: when they fail the file is stored nevertheless. Raises Busy.
        """
        try:
            async with self._room() as announce:
                info = await self._publish(announce)
        except Exception as error:
            self._end("stored" if self._committed else "failed", error)
            raise
        except BaseException:
            self._end("stored" if self._committed else "aborted")
            raise
        else:
            self._end("stored")
        finally:
            self._rows.remove(self)
        if self._committed is not None:
            await self._commits.acknowledge(self._committed)
        return info

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[Announce[Committed]]:
        """Keep a place for the event; without one nothing is published."""
        async with AsyncExitStack() as kept:
            try:
                announce = await kept.enter_async_context(self._commits.room())
            except BaseException:
                self._closed = True
                await self._writer.abort()
                raise
            yield announce

    async def _publish(self, announce: Announce[Committed]) -> FileInfo:
        """Announced as soon as it is stored, also when the client does not wait for what remains to do."""
        try:
            async with self._line:
                self._closed = True
                with charged_to(self._transfer.costs):
                    return await self._writer.close()
        finally:
            if (stored := self._writer.published) is not None:
                self._committed = self._event(stored)
                announce(self._committed)

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

    async def abort(self) -> None:
        """Throw it away; the log says that it was not stored."""
        self._closed = True
        try:
            with charged_to(self._transfer.costs):
                await self._writer.abort()
        finally:
            self._rows.remove(self)
            self._end("aborted")

    def _end(self, outcome: str, error: Exception | None = None) -> None:
        self._transfer.bytes = self._writer.written
        self._transfer.end(outcome, size=self._writer.size, error=error)


class OpenWriters:
    """The rows: which files are being written, by whom. The limit is that of the whole server."""

    def __init__(self, most_per_user: int, tally: Tally) -> None:
        self._most_per_user = most_per_user
        self._tally = tally
        self._rows: defaultdict[tuple[str, Place], list[OpenWriter]] = defaultdict(list)

    @contextmanager
    def place_for(self, user: str) -> Iterator[None]:
        """Around the opening of a file: its place is taken before anything is awaited.

        The place goes with the row, or at once when the opening fails. Raises Busy at the limit.
        """
        if self._tally.count(user) >= self._most_per_user:
            raise Busy(f"too many uploads at once (at most {self._most_per_user})")
        self._tally.add(user, 1)
        try:
            yield
        except BaseException:
            self._tally.add(user, -1)
            raise

    def add(self, writer: OpenWriter) -> None:
        """Add the row of a file for which a place was taken."""
        self._rows[writer.session.user, writer.place].append(writer)

    def remove(self, writer: OpenWriter) -> None:
        key = (writer.session.user, writer.place)
        if writer in self._rows.get(key, ()):
            self._rows[key].remove(writer)
            self._tally.add(writer.session.user, -1)
            if not self._rows[key]:
                del self._rows[key]

    def find(self, user: str, place: Place) -> OpenWriter | None:
        """The user's latest open upload to this place."""
        rows = self._rows.get((user, place))
        return rows[-1] if rows else None

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))
