"""Makes a `CompleteBackend` of any backend: its own operations, and replacements for those that it lacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from s3sftp.backends.capabilities import Capabilities, examine, is_complete
from s3sftp.backends.complete.guard import BackendGuard
from s3sftp.backends.complete.spooled_buffer import BufferQuotas
from s3sftp.backends.complete.spooled_uploads import SpooledUpload, SpooledUploads
from s3sftp.backends.complete.streamed_uploads import ReadRange, Rechunker, StreamedUpload, StreamedUploads
from s3sftp.backends.complete.whole_file_cache import WholeFileCache
from s3sftp.backends.contract import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    Extras,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Changed, IsADirectory, NotADirectory, NotFound, StorageFailure

_MOST_NAMES = 100_000
"""Names of a directory that are remembered, so that a listing shows each once."""


def complete(backend: Backend, quota: SpoolQuota) -> CompleteBackend:
    """Return the backend with all operations: the same object if its class derives from `CompleteBackend`.

    `quota` bounds the disk that uploads and copies of files may use.

    Raises ConfigurationError: if the backend does not fit the contract; the error lists all problems.
    """
    can = examine(backend)
    if is_complete(backend):
        whole = cast(CompleteBackend, backend)
        whole.may_spool(quota)
        return whole
    return CompletedBackend(backend, can, quota)


@dataclass(frozen=True, slots=True)
class Parts:
    """A backend, and the implementations of the operations that it lacks."""

    theirs: BackendGuard
    can: Capabilities
    copies: WholeFileCache
    writes: SpooledUploads | StreamedUploads

    @classmethod
    def of(cls, backend: Backend, can: Capabilities, quota: SpoolQuota, read_range: ReadRange) -> Parts:
        theirs, quotas = BackendGuard(backend), BufferQuotas(quota)
        writes = (
            StreamedUploads(theirs, can, read_range)
            if can.streamed_writes
            else SpooledUploads(theirs, can, quotas, read_range)
        )
        return cls(theirs, can, WholeFileCache(theirs, quotas), writes)


class CompletedBackend(CompleteBackend):
    """A backend completed with replacements. Raises StorageErrors, and any other exception of the backend's
    code."""

    def __init__(self, backend: Backend, can: Capabilities, quota: SpoolQuota) -> None:
        self._parts = Parts.of(backend, can, quota, self.read_file_range)
        self.name = self._parts.theirs.name
        self.begin_is_free = can.begin_is_free

    async def _now(self) -> Parts:
        """The parts that an operation works with. Always the same, unless a subclass replaces them."""
        return self._parts

    @property
    def first_chunk_bytes(self) -> int:
        parts = self._parts
        return parts.theirs.first_chunk_bytes if parts.can.first_chunk_bytes else Upload.chunk_bytes

    async def start(self) -> None:
        await self._parts.theirs.call(Backend.start)

    async def stop(self) -> None:
        await self._parts.copies.close()
        await self._parts.theirs.call(Backend.stop)

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        parts = await self._now()
        try:
            info = await parts.theirs.call(Backend.file_info, place, session)
        except NotFound:
            if not place.is_root:
                raise
            return FileInfo.directory()
        return info if info.is_dir or not place.is_root else FileInfo.directory(info.mtime)

    async def list_dir(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry], None]:
        seen, begun = {b".", b".."}, False
        parts = await self._now()
        try:
            async with aclosing(parts.theirs.list_dir(place, session)) as pages:
                async for page in pages:
                    begun = True
                    if unseen := _unseen(page, seen):
                        yield unseen
        except (NotFound, NotADirectory):
            if begun or not place.is_root:
                raise

    async def make_dir(self, place: Place, session: Session) -> None:
        parts = await self._now()
        await parts.theirs.call(Backend.make_dir, place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        parts = await self._now()
        await parts.theirs.call(Backend.del_dir, place, session)

    async def delete(self, place: Place, session: Session) -> None:
        parts = await self._now()
        try:
            await parts.theirs.call(Backend.delete, place, session)
        finally:
            parts.copies.drop(place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        parts = await self._now()
        try:
            await parts.theirs.call(Backend.rename, source, target, session, overwrite=overwrite)
        finally:
            parts.copies.drop(source, target)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        parts = await self._now()
        try:
            if parts.can.has(Extras.copy):
                return await parts.theirs.copy(source, target, session, version=version)
            return await self._copy(source, target, session, version)
        finally:
            parts.copies.drop(target)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        parts = await self._now()
        if not parts.can.has(Extras.set_mtime):
            return await super().set_mtime(place, mtime, session)
        try:
            return await parts.theirs.call(Extras.set_mtime, place, mtime, session)
        finally:
            parts.copies.drop(place)

    async def usage(self, place: Place, session: Session) -> Usage:
        parts = await self._now()
        if not parts.can.has(Extras.usage):
            return await super().usage(place, session)
        return await parts.theirs.call(Extras.usage, place, session)

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────

    async def read_file(self, place: Place, session: Session) -> Buffer:
        parts = await self._now()
        return await parts.theirs.read_file(place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        parts = await self._now()
        try:
            return await parts.theirs.write_file(place, data, session)
        finally:
            parts.copies.drop(place)

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        info, beginning = await super().open_file(place, stop, session)
        if info.version is None:
            self._parts.copies.begin_anew(place, session)
        return info, beginning

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        parts = self._parts
        reads = parts.theirs.read_file_range if parts.can.ranged_reads else parts.copies.pieces
        return reads(place, start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        parts = await self._now()
        return await parts.writes.begin(place, intent, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await _ours(upload).writes.chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await _ours(upload).writes.keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        ours = _ours(upload)
        try:
            return await ours.writes.finish(upload, tail, finish, session)
        finally:
            self._parts.copies.drop(ours.place)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await _ours(upload).writes.abort(upload, session)

    async def _copy(self, source: Place, target: Place, session: Session, version: str | None) -> FileInfo:
        """Read a file and write it."""
        info = await self.file_info(source, session)
        if info.is_dir:
            raise IsADirectory
        if version not in (None, info.version):
            raise Changed
        parts = self._parts
        if not (parts.can.ranged_reads or parts.can.streamed_writes):
            return await self.write_file(
                target, await parts.copies.whole(source, info.version, session), session
            )
        upload = await self.begin_write(target, WriteIntent(), session)
        recut = Rechunker(upload, lambda chunk: self.write_chunk(upload, chunk, session))
        try:
            async with aclosing(self.read_file_range(source, 0, info.size, info.version, session)) as pieces:
                async for piece in pieces:
                    await recut.put(piece)
            return await self.finish_write(upload, bytes(recut.rest), Finish(info.size), session)
        except BaseException:
            await self.abort_write(upload, session)
            raise


def _ours(upload: Upload) -> SpooledUpload | StreamedUpload:
    if isinstance(upload, SpooledUpload | StreamedUpload):
        return upload
    raise StorageFailure(detail="an upload of another backend")


def _unseen(page: Sequence[Entry], seen: set[bytes]) -> list[Entry]:
    """The entries whose names have not been seen before."""
    unseen = []
    for entry in page:
        if entry.name not in seen:
            unseen.append(entry)
            if len(seen) < _MOST_NAMES:
                seen.add(entry.name)
    return unseen
