"""Copies and moves files from one storage to another.

    the stores can do it    the target's store copies, with the metadata and tags of the source
    otherwise               the server reads and writes, a chunk at a time, with the time and permissions

A file is whole at the target before it is removed from the source, and is removed only if it still is the
version that was copied. A failure in between leaves both, never neither.

What is reached by another role is another storage here, even if the bucket is the same.

Two storages may be one by two names, such as two addresses of one store. A file that the server copies onto
itself is replaced by its copy, which the mark of the source's write shows: it is not removed then.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from s3sftp.backends.complete.streamed_uploads import Rechunker
from s3sftp.backends.contract import CompleteBackend, FileInfo, Finish, Place, Session, WriteIntent
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotFound,
    OtherStorage,
)
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)
MOVED_DIRECTORY = "a directory cannot be moved to another storage: copy it, then remove it"
MOVED_TO_OTHER_ROLE = "a directory cannot be moved to a mount with another role: copy it, then remove it"
MOST_STREAMS = 4
"""Files that are read and written at once. Each holds up to two chunks of the target in memory, outside of
the byte budget; the others wait."""


@dataclass(frozen=True, slots=True)
class StoredAt:
    """Where a file is: a storage, and the place inside it."""

    name: str
    """The storage's name, for the log."""
    backend: CompleteBackend
    place: Place


class CrossStorage:
    """Copies and moves files between storages, a few at a time where the bytes pass the server."""

    def __init__(self, of_directories: str = MOVED_DIRECTORY) -> None:
        """`of_directories`: why a directory is not moved."""
        self._of_directories = of_directories
        self._streams = asyncio.Semaphore(MOST_STREAMS)

    async def move(self, source: StoredAt, target: StoredAt, session: Session, *, overwrite: bool) -> None:
        """Move a file.

        Raises NotFound: if there is nothing at the source. Raises OtherStorage: if it is a directory. Raises
        AlreadyExists: if the target exists and `overwrite` is false, or if it is a directory. Raises Changed:
        if the source is replaced meanwhile; it then stays, beside the copy. Raises InvalidRequest: if the
        source is the target.
        """
        info = await source.backend.file_info(source.place, session)
        if info.is_dir:
            raise OtherStorage(self._of_directories)
        there = await _found(target, session)
        if there is not None and (there.is_dir or not overwrite):
            raise AlreadyExists
        await self._copied(source, target, info, session, exclusive=not overwrite, is_move=True)
        await source.backend.remove_version(source.place, info, session)

    async def copy(
        self, source: StoredAt, target: StoredAt, session: Session, *, version: str | None
    ) -> FileInfo:
        """Copy a file and replace the target. Returns the new file.

        Raises NotFound: if there is nothing at the source. Raises IsADirectory: if either is a directory.
        Raises Changed: if the source is no longer at `version`.
        """
        info = await source.backend.file_info(source.place, session)
        if info.is_dir:
            raise IsADirectory
        if version not in (None, info.version):
            raise Changed
        return await self._copied(source, target, info, session, exclusive=False)

    async def _copied(
        self,
        source: StoredAt,
        target: StoredAt,
        info: FileInfo,
        session: Session,
        *,
        exclusive: bool,
        is_move: bool = False,
    ) -> FileInfo:
        """Copy the version in `info`. With `exclusive` only if nothing is at the target. `is_move`: refuse if
        the copy has replaced the source."""
        if target.backend.copies_from(source.backend):
            try:
                return await target.backend.copy_from(
                    source.backend, source.place, target.place, info, session, exclusive=exclusive
                )
            except OtherStorage as error:
                _log.info(
                    "storage.copy_streamed", source=source.name, target=target.name, detail=error.detail
                )
        async with self._streams:
            if not is_move:
                return await _streamed(source, target, info, session, exclusive=exclusive)
            mark = await source.backend.write_mark(source.place, session)
            copied = await _streamed(source, target, info, session, exclusive=exclusive)
            await _require_mark(source, mark, target, session)
            return copied


async def _streamed(
    source: StoredAt, target: StoredAt, info: FileInfo, session: Session, *, exclusive: bool
) -> FileInfo:
    backend = target.backend
    mtime = info.mtime if backend.keeps_times else None
    mode = info.mode if backend.keeps_modes else None
    intent = WriteIntent(exclusive=exclusive, mtime=mtime, mode=mode)
    upload = await backend.begin_write(target.place, intent, session)
    recut = Rechunker(upload, lambda chunk: backend.write_chunk(upload, chunk, session))
    try:
        if info.size:
            pieces = source.backend.read_file_range(source.place, 0, info.size, info.version, session)
            async with aclosing(cast(Any, pieces)) as closing:
                async for piece in closing:
                    await recut.put(piece)
        finish = Finish(info.size, mtime, mode=mode)
        return await backend.finish_write(upload, bytes(recut.rest), finish, session)
    except BaseException:
        await backend.abort_write(upload, session)
        raise


async def _require_mark(source: StoredAt, mark: object, target: StoredAt, session: Session) -> None:
    """Check that the source is still the one that was written with `mark`.

    Raises InvalidRequest: if it is the copy by another name. Raises Changed: if it has been replaced.
    """
    now = await source.backend.write_mark(source.place, session)
    if now == mark:
        return
    if now == await target.backend.write_mark(target.place, session):
        _log.error("storage.has_two_names", source=source.name, target=target.name)
        raise InvalidRequest("source and target are the same file")
    raise Changed


async def _found(at: StoredAt, session: Session) -> FileInfo | None:
    try:
        return await at.backend.file_info(at.place, session)
    except NotFound:
        return None
