"""A storage with types, as small as the contract lets it be: for the type checker, and served by nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from mmap import mmap

from s3sftp.backends import Backend, Buffer, Entry, FileInfo, Place, Session


class Typed(Backend):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return FileInfo.directory()

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield []

    async def make_dir(self, place: Place, session: Session) -> None: ...

    async def del_dir(self, place: Place, session: Session) -> None: ...

    async def delete(self, place: Place, session: Session) -> None: ...

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None: ...

    async def read_file(self, place: Place, session: Session) -> mmap:
        return mmap(-1, 1)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> None: ...


backend: Backend = Typed()
