"""A backend with everything: what it has itself, and the rest made of that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import cast

from s3sftp.backends.capabilities import Capabilities, examine, is_complete
from s3sftp.backends.complete.copies import Copies
from s3sftp.backends.complete.guarded import Guarded
from s3sftp.backends.complete.held import Rooms
from s3sftp.backends.complete.recut import Recut
from s3sftp.backends.complete.spooled import SpooledUpload, SpooledWrites
from s3sftp.backends.complete.streamed import StreamedUpload, StreamedWrites
from s3sftp.backends.contract import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.backends.spool import SpoolRoom
from s3sftp.errors import Changed, IsADirectory, NotADirectory, NotFound, StorageFailure

_MOST_NAMES = 100_000
"""So many names of a directory are remembered, to show each once."""


def complete(backend: Backend, room: SpoolRoom) -> CompleteBackend:
    """The backend with everything; the very same object if its class says that it is a `CompleteBackend`.

    `room` is the disk that uploads and copies of files may use. Raises ConfigurationError with all that is
    wrong with the backend.
    """
    can = examine(backend)
    if is_complete(backend):
        whole = cast(CompleteBackend, backend)
        whole.may_spool(room)
        return whole
    return Completed(backend, can, room)


class Completed(CompleteBackend):
    """Made of another backend. Raises StorageErrors, and what nobody foresaw."""

    def __init__(self, backend: Backend, can: Capabilities, room: SpoolRoom) -> None:
        self._theirs = theirs = Guarded(backend)
        self._can = can
        self.name = theirs.name
        self.begin_is_free = can.begin_is_free
        rooms = Rooms(room)
        self._copies = Copies(theirs, rooms)
        self._writes = (
            StreamedWrites(theirs, can, self.read_file_range)
            if can.streamed_writes
            else SpooledWrites(theirs, can, rooms, self.read_file_range)
        )

    @property
    def first_chunk_bytes(self) -> int:
        return self._theirs.first_chunk_bytes if self._can.first_chunk_bytes else Upload.chunk_bytes

    async def start(self) -> None:
        await self._theirs.start()

    async def stop(self) -> None:
        await self._copies.close()
        await self._theirs.stop()

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        try:
            info = await self._theirs.file_info(place, session)
        except NotFound:
            if not place.is_root:
                raise
            return FileInfo.directory()
        return info if info.is_dir or not place.is_root else FileInfo.directory(info.mtime)

    async def list_dir(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry], None]:
        seen, begun = {b".", b".."}, False
        try:
            async with aclosing(self._theirs.list_dir(place, session)) as pages:
                async for page in pages:
                    begun = True
                    if unseen := _unseen(page, seen):
                        yield unseen
        except (NotFound, NotADirectory):
            if begun or not place.is_root:
                raise

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._theirs.make_dir(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._theirs.del_dir(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        try:
            await self._theirs.delete(place, session)
        finally:
            self._copies.drop(place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        try:
            await self._theirs.rename(source, target, session, overwrite=overwrite)
        finally:
            self._copies.drop(source, target)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        try:
            if self._can.copy:
                return await self._theirs.copy(source, target, session, version=version)
            return await self._copy(source, target, session, version)
        finally:
            self._copies.drop(target)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        if not self._can.set_mtime:
            await self.file_info(place, session)  # raises NotFound
            return False
        try:
            return await self._theirs.set_mtime(place, mtime, session)
        finally:
            self._copies.drop(place)

    async def usage(self, place: Place, session: Session) -> Usage:
        return await self._theirs.usage(place, session) if self._can.usage else Usage()

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await self._theirs.read_file(place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        try:
            return await self._theirs.write_file(place, data, session)
        finally:
            self._copies.drop(place)

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        info, beginning = await super().open_file(place, stop, session)
        if info.version is None:
            self._copies.begin_anew(place, session)
        return info, beginning

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        reads = self._theirs.read_file_range if self._can.ranged_reads else self._copies.pieces
        return reads(place, start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await self._writes.begin(place, intent, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self._writes.chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self._writes.keep(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        try:
            return await self._writes.finish(upload, tail, finish, session)
        finally:
            self._copies.drop(_place_of(upload))

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self._writes.abort(upload, session)

    async def _copy(self, source: Place, target: Place, session: Session, version: str | None) -> FileInfo:
        """Read a file and write it."""
        info = await self.file_info(source, session)
        if info.is_dir:
            raise IsADirectory
        if version not in (None, info.version):
            raise Changed
        if not (self._can.ranged_reads or self._can.streamed_writes):
            return await self.write_file(
                target, await self._copies.whole(source, info.version, session), session
            )
        upload = await self.begin_write(target, WriteIntent(), session)
        recut = Recut(upload, lambda chunk: self.write_chunk(upload, chunk, session))
        try:
            async with aclosing(self.read_file_range(source, 0, info.size, info.version, session)) as pieces:
                async for piece in pieces:
                    await recut.put(piece)
            return await self.finish_write(upload, bytes(recut.rest), Finish(info.size), session)
        except BaseException:
            await self.abort_write(upload, session)
            raise


def _place_of(upload: Upload) -> Place:
    if isinstance(upload, SpooledUpload | StreamedUpload):
        return upload.place
    raise StorageFailure(detail="an upload of another backend")


def _unseen(page: Sequence[Entry], seen: set[bytes]) -> list[Entry]:
    """The entries whose names come for the first time."""
    unseen = []
    for entry in page:
        if entry.name not in seen:
            unseen.append(entry)
            if len(seen) < _MOST_NAMES:
                seen.add(entry.name)
    return unseen
