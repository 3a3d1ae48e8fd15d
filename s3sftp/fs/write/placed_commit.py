"""Commits an upload at the place that its name leads to by then: a rename may have moved the name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import AlreadyExists, NotFound, StorageError
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.write.writer import Writer
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)


class PlacedCommit:
    """The commit of one upload."""

    def __init__(self, writer: Writer, backend: CompleteBackend, session: Session) -> None:
        self._writer = writer
        self._backend = backend
        self._session = session
        self.moved: FileInfo | None = None
        """The stored file at its final place, if it had to be committed under its old name and moved."""

    async def commit(self, place: Place, path: VirtualPath) -> None:
        """Commit the file at `place`, which `path` names.

        Chunks that were sent before a rename are bound to the old name. Then the file is committed there and
        moved at once, unless another file has taken the old name.
        """
        writer, old = self._writer, self._writer.place
        try:
            in_place = place == old or await writer.move(place)
            if not in_place:
                await self._refuse_detour(old, place)
        except BaseException:
            await writer.abort()
            raise
        try:
            await writer.commit()
        finally:
            if not in_place and writer.stored is not None:
                await run_to_completion(self._move(old, place, path))

    async def _refuse_detour(self, old: Place, new: Place) -> None:
        """Check, before the file is committed under its old name, that it can be moved from there.

        Raises AlreadyExists: if a file has the old name, or if the new name cannot be replaced.
        """
        if await self._found(old) is not None:
            raise AlreadyExists("another file has taken the name under which the upload was begun")
        there = await self._found(new)
        if there is not None and (there.is_dir or self._writer.mode.exclusive):
            raise AlreadyExists

    async def _found(self, place: Place) -> FileInfo | None:
        try:
            return await self._backend.file_info(place, self._session)
        except NotFound:
            return None

    async def _move(self, old: Place, new: Place, path: VirtualPath) -> None:
        """Move the committed file from its old name. Runs to completion even if the call is cancelled. If the
        move fails, removes the file from the old name."""
        stored = self._writer.stored
        try:
            overwrite = not self._writer.mode.exclusive
            await self._backend.rename(old, new, self._session, overwrite=overwrite)
        except BaseException as error:
            _log.warning("upload.move_failed", path=str(path), place=old.key, storage=old.storage or None)
            if isinstance(error, StorageError):
                with suppress(StorageError):
                    await self._undo_rename(old)
            raise
        self.moved = None if stored is None else replace(stored, version=None)  # a copy has its own
        with suppress(StorageError):
            self.moved = await self._backend.file_info(new, self._session)

    async def _undo_rename(self, old: Place) -> None:
        there, stored = await self._found(old), self._writer.stored
        if there is not None and stored is not None and there.version == stored.version:
            await self._backend.delete(old, self._session)
