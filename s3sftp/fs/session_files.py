"""What the operations of one session work on, and what a name is to it: stored, being uploaded, or both.

The user's latest upload answers as long as nothing has been stored or removed under its name since it was
opened. Where nothing is stored, what is safe of an unfinished upload answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.errors import IsADirectory, NotADirectory, NotFound
from s3sftp.fs.access import Access
from s3sftp.fs.announced_changes import AnnouncedChanges
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.write.kept_place import SessionKept

_Ask = Callable[[Place, Session], Awaitable[FileInfo]]
"""A call that asks the storage what is at a place."""


class SessionFiles:
    """The storage, the tree and the rules of one session."""

    def __init__(self, shared: OpenStorage, mounts: Mounts, session: Session) -> None:
        self.shared = shared
        self.session = session
        self.mounts = mounts
        self.backend, self.resources = shared.for_quotas(mounts.quotas)
        self.access = Access(mounts, self.backend, shared.writers, session)
        self.kept = SessionKept(shared.kept, session)
        self.announced = AnnouncedChanges(shared.announcer, self.backend, session)

    async def stat(self, path: VirtualPath) -> FileInfo:
        """Describe a file or directory. A user who may not see what is there is told of what this session has
        stored alone, as it stored it.

        Raises NotFound: if there is none; NotADirectory: if a file's path ends in a slash.
        """
        try:
            return await self._look(path, self.backend.recent_info)
        except NotFound:
            kept = await self._kept_info(path)
            if kept is None:
                raise
            return kept

    async def _kept_info(self, path: VirtualPath) -> FileInfo | None:
        """The user's unfinished upload, where nothing is stored: what is safe of it."""
        if not self.kept or path.directory_only or not self.mounts.rules.at(path).sees:
            return None
        return await self.kept.info(self.mounts.place_to_look_at(path))

    async def until_left(self, place: Place) -> None:
        """Wait until the user's upload to a place is kept, if its line was lost just now."""
        if self.kept:
            upload = self.shared.writers.shown(self.session.user, place)
            if upload is not None and upload.leaving:
                await upload.over.wait()

    async def stat_now(self, path: VirtualPath) -> FileInfo:
        """Like `stat`, but never from a cache: for paths that are about to be changed."""
        return await self._look(path, self.backend.file_info)

    async def _look(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        info = await self._found(path, ask)
        if path.directory_only and not info.is_dir:
            raise NotADirectory
        return info

    async def _found(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        if self.mounts.is_fixed(path):
            return FileInfo.directory()
        if not self.mounts.rules.at(path).sees:
            return await self.access.own_info(path)
        place = self.mounts.place_to_look_at(path)
        await self.until_left(place)
        upload = self.latest_upload(place)
        if upload is not None and (info := await upload.stat()) is not None:
            return self._showing(place, upload, info)
        try:
            info = await ask(place, self.session)
        except NotFound:
            upload = self.upload_of_nothing_stored(place)
            if upload is None or (info := await upload.stat()) is None:
                raise
            return self._showing(place, upload, info)
        self.kept.forget(place)
        return info

    def _showing(self, place: Place, upload: OpenWriter, info: FileInfo) -> FileInfo:
        """Show an upload that runs. If that of another session is kept after this, it may be shorter."""
        if upload.session is self.session:
            self.kept.forget(place)
        else:
            self.kept.shown(place, info.size)
        return info

    def latest_upload(self, place: Place) -> OpenWriter | None:
        """The user's upload to a place, if nothing has been stored or removed there since it was opened."""
        upload = self.shared.writers.shown(self.session.user, place)
        return upload if upload is not None and self.shared.writers.is_latest(upload) else None

    def upload_of_nothing_stored(self, place: Place) -> OpenWriter | None:
        """The user's upload to a place at which, as the storage has just answered, nothing is stored."""
        upload = self.shared.writers.shown(self.session.user, place)
        if upload is not None and upload.creates:
            self.shared.writers.nothing_is_stored_at(upload)
            return upload
        return None

    async def committed(self, place: Place) -> FileInfo:
        """The file as it is stored. Raises NotFound: if there is none; IsADirectory: if it is a directory."""
        info = await self.backend.file_info(place, self.session)
        if info.is_dir:
            raise IsADirectory
        return info

    async def refuse_slash(self, path: VirtualPath) -> None:
        """Refuse a path that ends in a slash, because it cannot name a file.

        Raises IsADirectory, NotADirectory or NotFound: by what the path is.
        """
        if path.directory_only:
            await self.stat_now(path)
            raise IsADirectory
