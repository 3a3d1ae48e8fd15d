"""Removes files and directories, and makes directories, which may have gone with their last entry."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from s3sftp.backends import FileInfo, Place
from s3sftp.errors import AlreadyExists, NotADirectory, NotFound, StorageError
from s3sftp.events.announcements import NO_CHANGE, AnnouncedChange
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.own_files import OwnFile
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right
from s3sftp.fs.session_files import SessionFiles
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)

_EMPTIED_ENTRIES = 1000


class Removal:
    """REMOVE, RMDIR and MKDIR of one session."""

    def __init__(self, files: SessionFiles) -> None:
        self._files = files
        self._emptied: OrderedDict[VirtualPath, None] = OrderedDict()
        """Directories from which this session has removed an entry, least recent first."""

    async def make_dir(self, path: VirtualPath) -> None:
        """Make one directory.

        Raises AlreadyExists: if the name is taken; NotFound: if the parent directory is missing;
        NotADirectory: if the parent is a file.
        """
        if self._files.mounts.is_fixed(path):
            raise AlreadyExists
        place = self._files.mounts.place(path, Right.MKDIR)
        if not self._files.mounts.is_fixed(path.parent):
            await self._require_directory(path.parent)
        await self._files.backend.make_dir(place, self._files.session)
        self._files.access.note_own(path, OwnFile(path, place, FileInfo.directory()))

    async def _require_directory(self, path: VirtualPath) -> None:
        """Check that a path is a directory. Raises NotFound: if it is missing; NotADirectory: if it is a
        file.

        A directory that vanished with its last entry, which this session removed or moved away, is made
        again, because the client expects it to exist.
        """
        place = self._files.mounts.place_to_store(path)
        try:
            info = await self._files.backend.file_info(place, self._files.session)
        except NotFound:
            if path not in self._emptied:
                raise
            self._files.mounts.rules.at(path).require(Right.MKDIR)
            await self._files.backend.make_dir(place, self._files.session)
        else:
            if not info.is_dir:
                raise NotADirectory

    async def remove_dir(self, path: VirtualPath) -> None:
        place = self._files.mounts.place(path, Right.RMDIR)
        await self._files.backend.del_dir(place, self._files.session)
        self._emptied.pop(path, None)
        self.note_emptied(path)

    async def remove(self, path: VirtualPath) -> None:
        """Remove a stored file and this session's uploads to its name. If nothing is stored there, remove the
        uploads that STAT shows.

        Raises NotFound: if there is neither; IsADirectory: if the path is a directory.
        """
        place = self._files.mounts.place(path, Right.DELETE)
        await self._files.refuse_slash(path)
        await self._files.until_left(place)
        try:
            uploads, change = await self._remove_stored(path, place)
        except NotFound:
            if not await self._files.kept.discard(place, by_removal=True):
                raise
            return
        try:
            with suppress(StorageError):  # the next sweep removes it
                await self._files.kept.discard(place, by_removal=True)
            self.give_up(uploads)
            self.note_emptied(path)
            await change.acknowledge()
        finally:
            change.leave()

    async def _remove_stored(
        self, path: VirtualPath, place: Place
    ) -> tuple[list[OpenWriter], AnnouncedChange]:
        """Remove a stored file. Returns the uploads that are to be given up with it, and the change.

        Raises NotFound: if there is neither a file nor an upload; IsADirectory: if it is a directory.
        """
        writers = self._files.shared.writers
        while True:
            mine = writers.of_session(self._files.session, place)
            try:
                async with self._files.announced.removal(path, place) as change:
                    await self._files.backend.delete(place, self._files.session)
            except NotFound:
                upload = self._files.upload_of_nothing_stored(place)
                if upload is None:
                    raise
                if not upload.committing:
                    return writers.shown_or_of(self._files.session, place), NO_CHANGE
                await upload.over.wait()  # STAT has shown the upload, so what it commits is to be removed
            else:
                writers.stored_changed(place)
                return mine, change

    def note_emptied(self, path: VirtualPath) -> None:
        """Note that a path is gone: the directories above it may have vanished with it."""
        while not (path := path.parent).is_root:
            self._emptied[path] = None
            self._emptied.move_to_end(path)
        while len(self._emptied) > _EMPTIED_ENTRIES:
            self._emptied.popitem(last=False)

    def give_up(self, uploads: list[OpenWriter]) -> None:
        """Give up uploads whose name was removed or replaced."""
        for upload in uploads:
            if upload.give_up():
                self._files.shared.adopt(_abort(upload))


async def _abort(upload: OpenWriter) -> None:
    try:
        await upload.abort()
    except Exception:
        _log.exception("upload.cleanup_failed", path=str(upload.path))
