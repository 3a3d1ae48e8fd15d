"""Storages that have only what is required, or that and streaming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from s3sftp.backends import Buffer, Entry, FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend


class WholeFiles:
    """A storage that reads and writes whole files, and nothing besides."""

    def __init__(self) -> None:
        self.inner = MemoryBackend(page_entries=3)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await self.inner.file_info(place, session)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(b".", FileInfo.directory()), Entry(b"..", FileInfo.directory())]
        async for page in self.inner.list_dir(place, session):
            yield page

    async def make_dir(self, place: Place, session: Session) -> None:
        await self.inner.make_dir(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self.inner.del_dir(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        await self.inner.delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self.inner.rename(source, target, session, overwrite=overwrite)

    async def read_file(self, place: Place, session: Session) -> bytes:
        return await self.inner.read_file(place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> None:
        await self.inner.write_file(place, data, session)


class Streaming(WholeFiles):
    """One that streams, and has none of the extras."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = MemoryBackend(chunk_bytes=7, min_chunk_bytes=3, parallel_chunks=3, chunk_growth_bytes=2)

    def read_file_range(self, *arguments: Any) -> AsyncIterator[Buffer]:
        return self.inner.read_file_range(*arguments)

    async def begin_write(self, *arguments: Any) -> Any:
        return await self.inner.begin_write(*arguments)

    async def write_chunk(self, *arguments: Any) -> None:
        await self.inner.write_chunk(*arguments)

    async def finish_write(self, *arguments: Any) -> FileInfo:
        return await self.inner.finish_write(*arguments)

    async def abort_write(self, *arguments: Any) -> None:
        await self.inner.abort_write(*arguments)
