"""A storage in front of another one: it passes every call on, and a subclass changes what it must.

session ─► QuotaBackend ─► StorageRouter ─► S3Backend
           (a BackendInFront)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from s3sftp.backends.contract import (
    Amount,
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


class BackendInFront(CompleteBackend):
    """Passes every call to the storage behind it, which its owner starts and stops."""

    def __init__(self, behind: CompleteBackend) -> None:
        self.behind = behind
        self.name = behind.name
        self.begin_is_free = behind.begin_is_free
        self.keeps_modes, self.keeps_times = behind.keeps_modes, behind.keeps_times
        self.wants_grants = behind.wants_grants

    @property
    def first_chunk_bytes(self) -> int:
        return self.behind.first_chunk_bytes

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await self.behind.file_info(place, session)

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        return await self.behind.recent_info(place, session)

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        return self.behind.list_dir(place, session)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self.behind.make_dir(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self.behind.del_dir(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        await self.behind.delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self.behind.rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return await self.behind.copy(source, target, session, version=version)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return await self.behind.set_mtime(place, mtime, session)

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        return await self.behind.set_attributes(place, mtime, mode, session)

    async def usage(self, place: Place, session: Session) -> Usage:
        return await self.behind.usage(place, session)

    async def size_of_file(self, place: Place, session: Session) -> int | None:
        return await self.behind.size_of_file(place, session)

    async def total_below(self, place: Place, session: Session) -> Amount:
        return await self.behind.total_below(place, session)

    async def stored_digest(
        self, place: Place, info: FileInfo, algorithm: str, session: Session
    ) -> bytes | None:
        return await self.behind.stored_digest(place, info, algorithm, session)

    async def refuse_file(self, place: Place, session: Session) -> None:
        await self.behind.refuse_file(place, session)

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        await self.behind.require_version(place, info, session)

    async def remove_version(self, place: Place, info: FileInfo, session: Session) -> None:
        await self.behind.remove_version(place, info, session)

    def copies_from(self, other: CompleteBackend) -> bool:
        return self.behind.copies_from(other)

    async def copy_from(
        self,
        other: CompleteBackend,
        source: Place,
        target: Place,
        info: FileInfo,
        session: Session,
        *,
        exclusive: bool,
    ) -> FileInfo:
        return await self.behind.copy_from(other, source, target, info, session, exclusive=exclusive)

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        return await self.behind.open_file(place, stop, session)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await self.behind.read_file(place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return await self.behind.write_file(place, data, session)

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        return self.behind.read_file_range(place, start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await self.behind.begin_write(place, intent, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self.behind.write_chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self.behind.keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await self.behind.finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self.behind.abort_write(upload, session)
