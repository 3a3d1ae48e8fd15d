"""The storage that is a service in another process, as the server sees it.

What a service can do is known when it has said hello, and may be otherwise when it comes back. So the backend
is made whole for each hello that differs from the last one; an upload stays with what it began on. Nothing is
answered for a service that is not there: every operation fails at once, and `ready` is false.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from s3sftp.backends.complete import complete
from s3sftp.backends.contract import (
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
from s3sftp.backends.service.connector import Connector
from s3sftp.backends.service.packing import require_msgpack
from s3sftp.backends.service.stub import stub_for
from s3sftp.backends.spool import SpoolRoom
from s3sftp.errors import StorageFailure

if TYPE_CHECKING:
    from s3sftp.backends.service.hello import ServiceHello
    from s3sftp.backends.service.options import ServiceOptions


class ServiceBackend(CompleteBackend):
    """Needs msgpack: `s3sftp[service]`."""

    name = "service"

    def __init__(self, options: ServiceOptions) -> None:
        """Raises ConfigurationError when msgpack is not installed."""
        require_msgpack()
        self._connector = Connector(options, self._found)
        self._room = SpoolRoom(None, 0)
        self._hello: ServiceHello | None = None
        self._whole: CompleteBackend | None = None
        self._begun_on: WeakKeyDictionary[Upload, CompleteBackend] = WeakKeyDictionary()

    @property
    def ready(self) -> bool:
        """Whether the service is there."""
        return self._connector.ready

    @property
    def first_chunk_bytes(self) -> int:
        return self._whole.first_chunk_bytes if self._whole else Upload.chunk_bytes

    def may_spool(self, room: SpoolRoom) -> None:
        """What the service cannot do by itself is done there."""
        self._room = room

    async def start(self) -> None:
        """Connect. That nobody is there yet is logged; raises NotUnderstood for one that makes no sense."""
        await self._connector.start()

    async def stop(self) -> None:
        await self._connector.stop()
        whole, self._whole, self._hello = self._whole, None, None
        if whole is not None:
            await whole.stop()

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await (await self._there()).file_info(place, session)

    async def list_dir(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry], None]:
        listing = (await self._there()).list_dir(place, session)
        async with aclosing(cast("AsyncGenerator[Sequence[Entry], None]", listing)) as pages:
            async for page in pages:
                yield page

    async def make_dir(self, place: Place, session: Session) -> None:
        await (await self._there()).make_dir(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await (await self._there()).del_dir(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        await (await self._there()).delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await (await self._there()).rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return await (await self._there()).copy(source, target, session, version=version)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return await (await self._there()).set_mtime(place, mtime, session)

    async def usage(self, place: Place, session: Session) -> Usage:
        return await (await self._there()).usage(place, session)

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        return await (await self._there()).open_file(place, stop, session)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await (await self._there()).read_file(place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return await (await self._there()).write_file(place, data, session)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        reading = (await self._there()).read_file_range(place, start, stop, version, session)
        async with aclosing(cast("AsyncGenerator[Buffer, None]", reading)) as pieces:
            async for piece in pieces:
                yield piece

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        whole = await self._there()
        upload = await whole.begin_write(place, intent, session)
        self._begun_on[upload] = whole
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self._whole_of(upload).write_chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self._whole_of(upload).keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await self._whole_of(upload).finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self._whole_of(upload).abort_write(upload, session)

    # ── the service ─────────────────────────────────────────────────────────────────────────────────

    async def _there(self) -> CompleteBackend:
        """The backend that the service is now. Raises NotThere, NotUnderstood."""
        await self._connector.reach()
        assert self._whole is not None  # noqa: S101 — `_found` comes before anybody reaches it
        return self._whole

    def _whole_of(self, upload: Upload) -> CompleteBackend:
        if upload not in self._begun_on:
            raise StorageFailure(detail="an upload of another backend")
        return self._begun_on[upload]

    async def _found(self, hello: ServiceHello) -> None:
        if hello == self._hello:
            return
        stub = stub_for(self._connector.reach, hello.callbacks, hello.name, hello.first_chunk_bytes)
        before, self._whole, self._hello = self._whole, complete(stub, self._room), hello
        if before is not None:
            await before.stop()  # gives back the room of its copies
