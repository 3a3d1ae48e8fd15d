"""A storage in memory with a world for each tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from s3sftp.backends import Entry, FileInfo, Place, Session, Upload, WriteIntent
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import NotFound

STRANGER = Session("mallory", attributes={"tenant": "two"})


class Tenants(MemoryBackend):
    """A directory for each tenant: the one that authentication says of the session, and no other."""

    def within(self, place: Place, session: Session) -> Place:
        """Where it is in the storage of all."""
        tenant = session.attributes.get("tenant", "nobody")
        return Place((tenant.encode(), *place.names))

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.is_root:
            return FileInfo.directory()
        return await super().file_info(self.within(place, session), session)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        with suppress(NotFound) if place.is_root else nullcontext():
            async for page in super().list_dir(self.within(place, session), session):
                yield page

    async def make_dir(self, place: Place, session: Session) -> None:
        await super().make_dir(self.within(place, session), session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await super().del_dir(self.within(place, session), session)

    async def delete(self, place: Place, session: Session) -> None:
        await super().delete(self.within(place, session), session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        source, target = self.within(source, session), self.within(target, session)
        await super().rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        source, target = self.within(source, session), self.within(target, session)
        return await super().copy(source, target, session, version=version)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return await super().set_mtime(self.within(place, session), mtime, session)

    async def read_file(self, place: Place, session: Session) -> bytes:
        return await super().read_file(self.within(place, session), session)

    async def write_file(self, place: Place, data: Any, session: Session) -> FileInfo:
        return await super().write_file(self.within(place, session), data, session)

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Any]:
        return super().read_file_range(self.within(place, session), start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await super().begin_write(self.within(place, session), intent, session)
