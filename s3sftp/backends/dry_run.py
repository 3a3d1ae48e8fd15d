"""A storage in front of another one, which answers reads and only pretends to change anything.

A change looks at what is stored, raises what the real one would raise (`contract`), and otherwise ends as if
it had been made. Only names that it pretends to have removed are remembered, because one operation may remove
a name and then use it. So there is one of these for each operation that is tried.

It is no `BackendInFront`: a change that it does not know must not reach the storage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

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
from s3sftp.backends.cross_storage import MOVED_DIRECTORY, MOVED_TO_OTHER_ROLE
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    OtherStorage,
    StorageFailure,
)


@dataclass(slots=True)
class _PretendedUpload(Upload):
    place: Place
    intent: WriteIntent


class DryRunBackend(CompleteBackend):
    """Reads from `storage`, which its owner starts and stops."""

    name = "dry-run"
    begin_is_free = True

    def __init__(self, storage: CompleteBackend) -> None:
        self._storage = storage
        self.keeps_modes, self.keeps_times = storage.keeps_modes, storage.keeps_times
        self._removed: set[Place] = set()

    @property
    def first_chunk_bytes(self) -> int:
        return self._storage.first_chunk_bytes

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    # ── reads ───────────────────────────────────────────────────────────────────────────────────────

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place in self._removed:
            raise NotFound
        return await self._storage.file_info(place, session)

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        return await self._storage.recent_info(place, session)

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        return self._storage.list_dir(place, session)

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        return await self._storage.open_file(place, stop, session)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await self._storage.read_file(place, session)

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        return self._storage.read_file_range(place, start, stop, version, session)

    async def refuse_file(self, place: Place, session: Session) -> None:
        await self._storage.refuse_file(place, session)

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        await self._storage.require_version(place, info, session)

    async def usage(self, place: Place, session: Session) -> Usage:
        return await self._storage.usage(place, session)

    async def total_below(self, place: Place, session: Session) -> Amount:
        return await self._storage.total_below(place, session)

    # ── pretended changes of names ──────────────────────────────────────────────────────────────────

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._refuse_file_above(place, session)
        if await self._found(place, session) is not None:
            raise AlreadyExists

    async def del_dir(self, place: Place, session: Session) -> None:
        if not (await self.file_info(place, session)).is_dir:
            raise NotADirectory
        async with aclosing(cast(Any, self.list_dir(place, session))) as pages:
            async for page in pages:
                if page:
                    raise NotEmpty
        self._removed.add(place)

    async def delete(self, place: Place, session: Session) -> None:
        if (await self.file_info(place, session)).is_dir:
            raise IsADirectory
        self._removed.add(place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if target != source and target.is_within(source):
            raise InvalidRequest("a directory cannot be moved into itself")
        moved = await self.file_info(source, session)
        if moved.is_dir and is_across(source, target, session):
            is_role = source.storage == target.storage
            raise OtherStorage(MOVED_TO_OTHER_ROLE if is_role else MOVED_DIRECTORY)
        await self._refuse_file_above(target, session)
        replaced = await self._found(target, session)
        if replaced is not None and (not overwrite or moved.is_dir or replaced.is_dir):
            raise AlreadyExists
        self._removed.add(source)
        self._removed.discard(target)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        info = await self.file_info(source, session)
        if info.is_dir:
            raise IsADirectory
        if version not in (None, info.version):
            raise Changed
        await self._refuse_directory(target, session)
        return info

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        await self.file_info(place, session)
        return True

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        await self.file_info(place, session)
        return True

    # ── pretended uploads ───────────────────────────────────────────────────────────────────────────

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        await self._refuse_directory(place, session)
        return FileInfo.file(memoryview(data).nbytes)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return _PretendedUpload(place, intent)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        return

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        return

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if not isinstance(upload, _PretendedUpload):
            raise StorageFailure(detail="an upload of another backend")
        present = await self._refuse_directory(upload.place, session)
        if upload.intent.exclusive and present is not None:
            raise AlreadyExists
        if upload.intent.base is not None and finish.base_kept:
            await self.require_version(upload.place, upload.intent.base, session)
        upload.stored = FileInfo.file(finish.size, finish.mtime)
        return upload.stored

    async def abort_write(self, upload: Upload, session: Session) -> None:
        return

    async def _found(self, place: Place, session: Session) -> FileInfo | None:
        try:
            return await self.file_info(place, session)
        except NotFound:
            return None

    async def _refuse_file_above(self, place: Place, session: Session) -> None:
        """Raises NotADirectory: if the parent is a file."""
        if place.is_root or place.parent.is_root:
            return
        parent = await self._found(place.parent, session)
        if parent is not None and not parent.is_dir:
            raise NotADirectory

    async def _refuse_directory(self, place: Place, session: Session) -> FileInfo | None:
        """The file that is stored at the place. Raises IsADirectory and NotADirectory: under the conditions
        of `write_file`: a storage whose writes begin without a request does not look for directories."""
        await self._storage.refuse_file(place, session)
        info = await self._found(place, session)
        if self._storage.begin_is_free:
            return info if info is not None and not info.is_dir else None
        await self._refuse_file_above(place, session)
        if info is not None and info.is_dir:
            raise IsADirectory
        return info
