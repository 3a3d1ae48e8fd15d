"""Makes one backend of several storages: each call goes to the storage that its place names.

    Place(names, storage="archive") ─► backend "archive", with Place(names)
    Place(names)                    ─► backend "", the storage that has no name

A backend gets places without a storage, so it is the same code whether it is alone or one of several. A
server with one storage has no router.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack

from s3sftp.backends.borders import is_across
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
from s3sftp.backends.cross_storage import CrossStorage, StoredAt
from s3sftp.backends.in_front import BackendInFront
from s3sftp.errors import StorageFailure


class StorageRouter(CompleteBackend):
    """Several storages as one backend."""

    name = "router"

    def __init__(self, storages: Mapping[str, CompleteBackend]) -> None:
        """`storages` by name; the one without a name is `""`. They are started and stopped in this order and
        its reverse."""
        self.storages = dict(storages)
        self.begin_is_free = all(backend.begin_is_free for backend in storages.values())
        self.keeps_modes = any(backend.keeps_modes for backend in storages.values())
        self.keeps_times = any(backend.keeps_times for backend in storages.values())
        self.wants_grants = any(backend.wants_grants for backend in storages.values())
        self._started = AsyncExitStack()
        self._across = CrossStorage()

    @property
    def first_chunk_bytes(self) -> int:
        """That of the storage without a name. Ask `backend_at` for that of a place."""
        return self.storages[""].first_chunk_bytes

    def at(self, place: Place) -> CompleteBackend:
        """The backend of the place's storage.

        Raises StorageFailure: if there is no storage of this name.
        """
        backend = self.storages.get(place.storage)
        if backend is None:
            raise StorageFailure(detail=f"there is no storage {place.storage!r}")
        return backend

    def _stored(self, place: Place) -> StoredAt:
        return StoredAt(place.storage, self.at(place), _inside(place))

    async def start(self) -> None:
        """Start all storages. If one fails, those that were started are stopped."""
        async with AsyncExitStack() as started:
            for backend in self.storages.values():
                started.push_async_callback(backend.stop)
                await backend.start()
            self._started = started.pop_all()

    async def stop(self) -> None:
        """Stop all storages, even if one fails to stop."""
        started, self._started = self._started, AsyncExitStack()
        await started.aclose()

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await self.at(place).file_info(_inside(place), session)

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        return await self.at(place).recent_info(_inside(place), session)

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        return self.at(place).list_dir(_inside(place), session)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self.at(place).make_dir(_inside(place), session)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self.at(place).del_dir(_inside(place), session)

    async def delete(self, place: Place, session: Session) -> None:
        await self.at(place).delete(_inside(place), session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """Move a file or a directory, see `Backend.rename`; to another storage, see `CrossStorage.move`."""
        if source.storage != target.storage:
            await self._across.move(self._stored(source), self._stored(target), session, overwrite=overwrite)
            return
        backend = self.at(source)
        await backend.rename(_inside(source), _inside(target), session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        """Copy a file, see `Extras.copy`; to another storage, see `CrossStorage.copy`."""
        if source.storage != target.storage:
            return await self._across.copy(
                self._stored(source), self._stored(target), session, version=version
            )
        return await self.at(source).copy(_inside(source), _inside(target), session, version=version)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return await self.at(place).set_mtime(_inside(place), mtime, session)

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        return await self.at(place).set_attributes(_inside(place), mtime, mode, session)

    async def usage(self, place: Place, session: Session) -> Usage:
        return await self.at(place).usage(_inside(place), session)

    async def size_of_file(self, place: Place, session: Session) -> int | None:
        return await self.at(place).size_of_file(_inside(place), session)

    async def total_below(self, place: Place, session: Session) -> Amount:
        return await self.at(place).total_below(_inside(place), session)

    async def stored_digest(
        self, place: Place, info: FileInfo, algorithm: str, session: Session
    ) -> bytes | None:
        return await self.at(place).stored_digest(_inside(place), info, algorithm, session)

    async def refuse_file(self, place: Place, session: Session) -> None:
        await self.at(place).refuse_file(_inside(place), session)

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        await self.at(place).require_version(_inside(place), info, session)

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        return await self.at(place).open_file(_inside(place), stop, session)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await self.at(place).read_file(_inside(place), session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return await self.at(place).write_file(_inside(place), data, session)

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        return self.at(place).read_file_range(_inside(place), start, stop, version, session)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        upload = await self.at(place).begin_write(_inside(place), intent, session)
        upload.storage = place.storage
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self.storages[upload.storage].write_chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self.storages[upload.storage].keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await self.storages[upload.storage].finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self.storages[upload.storage].abort_write(upload, session)


def backend_at(backend: CompleteBackend, place: Place) -> CompleteBackend:
    """The backend of the place's storage, for its attributes. Calls go through `backend`, which may be a
    router."""
    while isinstance(backend, BackendInFront):
        backend = backend.behind
    return backend.at(place) if isinstance(backend, StorageRouter) else backend


def copies_inside(backend: CompleteBackend, source: Place, target: Place, session: Session) -> bool:
    """Whether a file can be copied from one place to the other without moving its bytes through the
    server."""
    if not is_across(source, target, session):
        return True
    return backend_at(backend, target).copies_from(backend_at(backend, source))


def _inside(place: Place) -> Place:
    """The place as its storage's backend knows it."""
    return Place(place.names) if place.storage else place
