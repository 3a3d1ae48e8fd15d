"""Uploads to a storage that only takes whole files: held until CLOSE, then written in one call.

The conditions of the upload (the target does not exist, the base is unchanged) are checked immediately before
the file is written. Other uploads of this process cannot come between, but other processes can, because check
and write are not atomic. A storage that must keep the conditions against others has to stream its writes.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from s3sftp.backends.capabilities import Capabilities
from s3sftp.backends.complete.guard import BackendGuard
from s3sftp.backends.complete.spooled_buffer import BufferQuotas, SpooledBuffer
from s3sftp.backends.complete.streamed_uploads import ReadRange, base_of
from s3sftp.backends.contract import (
    Backend,
    Buffer,
    Extras,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    WriteIntent,
)
from s3sftp.errors import AlreadyExists, Changed, IsADirectory, NotFound, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)


class SpooledUpload(Upload):
    """An upload whose bytes are held until it is finished."""

    def __init__(
        self, writes: SpooledUploads, place: Place, intent: WriteIntent, quotas: BufferQuotas
    ) -> None:
        self.writes = writes
        self.place = place
        self.intent = intent
        self.held = SpooledBuffer(quotas)


class SpooledUploads:
    """The four methods of `StreamedWrites`, implemented on `write_file`."""

    def __init__(
        self, theirs: BackendGuard, can: Capabilities, quotas: BufferQuotas, read_range: ReadRange
    ) -> None:
        self._theirs = theirs
        self._can = can
        self._quotas = quotas
        self._read_range = read_range
        self._locks: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        """Begin an upload.

        Raises IsADirectory: if a directory has the name.
        Raises any other StorageError: if the storage cannot be asked.
        """
        present = await self._present(place, session)
        if present is not None and present.is_dir:
            raise IsADirectory
        return SpooledUpload(self, place, intent, self._quotas)

    async def chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await _ours(upload).held.append(data)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        mine = _ours(upload)
        base = base_of(mine.intent)
        async for piece in self._read_range(mine.place, start, stop, base.version, session):
            await mine.held.append(piece)

    async def finish(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        mine = _ours(upload)
        await mine.held.append(tail)
        if mine.held.size != finish.size:
            raise StorageFailure(detail=f"{mine.held.size} bytes came, {finish.size} were announced")
        async with self._locks.setdefault(mine.place, asyncio.Lock()):
            await self._check_conditions(mine, finish, session)
            mine.stored = info = await self._theirs.write_file(mine.place, mine.held.whole(), session)
        mine.held.close()
        return await self._with_mtime(mine.place, info, finish.mtime, session)

    async def abort(self, upload: Upload, session: Session) -> None:
        _ours(upload).held.close()

    async def _check_conditions(self, upload: SpooledUpload, finish: Finish, session: Session) -> None:
        """Check the conditions of the upload.

        Raises AlreadyExists: if the upload is exclusive and the file exists.
        Raises Changed: if bytes of the base were kept and the file is no longer that version.
        """
        intent = upload.intent
        base = intent.base if finish.base_kept else None
        if not intent.exclusive and base is None:
            return
        present = await self._present(upload.place, session)
        if intent.exclusive and present is not None:
            raise AlreadyExists
        if base is not None and (present is None or present.identity != base.identity):
            raise Changed

    async def _present(self, place: Place, session: Session) -> FileInfo | None:
        try:
            return await self._theirs.call(Backend.file_info, place, session)
        except NotFound:
            return None

    async def _with_mtime(
        self, place: Place, info: FileInfo, mtime: float | None, session: Session
    ) -> FileInfo:
        """Set the time of a file that is stored; a failure to do so does not fail the upload."""
        if mtime is None or not self._can.has(Extras.set_mtime):
            return info
        try:
            was_set = await self._theirs.call(Extras.set_mtime, place, mtime, session)
            return await self._theirs.call(Backend.file_info, place, session) if was_set else info
        except StorageError as error:
            _log.warning("upload.mtime_not_set", error=str(error), detail=error.detail)
            return info


def _ours(upload: Upload) -> SpooledUpload:
    if not isinstance(upload, SpooledUpload):
        raise StorageFailure(detail="an upload of another backend")
    return upload
