"""Sets the attributes of files: of stored ones, of open uploads, and of what a session has just stored."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from s3sftp.backends import Place
from s3sftp.backends.router import backend_at
from s3sftp.errors import NotFound
from s3sftp.fs.own_files import OwnFile
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right
from s3sftp.fs.session_files import SessionFiles
from s3sftp.fs.write.writer import set_stored_attributes


@dataclass(frozen=True, slots=True)
class NewAttributes:
    """The attributes that a client wants to set. None leaves one unchanged."""

    size: int | None = None
    mtime: float | None = None
    permissions: int | None = None
    owner: tuple[int, int] | None = None


class AttributeChanges:
    """SETSTAT of one session."""

    def __init__(self, files: SessionFiles, resize: Callable[[VirtualPath, int], Awaitable[None]]) -> None:
        """`resize` gives a stored file another size, in bytes."""
        self._files = files
        self._resize = resize

    async def set_attributes(self, path: VirtualPath, new: NewAttributes) -> None:
        """Set size, modification time and permissions. Counts attributes that the storage cannot keep."""
        if not self._may_set(path, new):
            await self._set_own(path, new)
            return
        if self._files.mounts.is_fixed(path):
            self.count_ignored(new)
            return
        place = self._files.mounts.place_to_store(path)
        mtime, mode = self.storable(new, place)
        if path.directory_only:
            await self._files.stat_now(path)
        if not self._files.mounts.accepts_file_name(path) and await self._files.access.is_file(place):
            self._files.mounts.refuse_file_name(path)
        upload = self._files.latest_upload(place)
        if upload is not None and await upload.set_attributes(new.size, mtime, mode):
            return
        try:
            await self._set_stored(path, place, new.size, mtime, mode)
        except NotFound:
            upload = self._files.upload_of_nothing_stored(place)
            if upload is None or not await upload.set_attributes(new.size, mtime, mode):
                raise

    def _may_set(self, path: VirtualPath, new: NewAttributes) -> bool:
        """Whether the user may set these attributes of any file there. Raises PermissionDenied: of a size."""
        rules = self._files.mounts.rules.at(path)
        if new.size is None:
            return Right.SETSTAT in rules.rights
        rules.require(Right.APPEND)
        if replace(new, size=None) != NewAttributes():
            rules.require(Right.SETSTAT)
        return True

    async def _set_own(self, path: VirtualPath, new: NewAttributes) -> None:
        """Set attributes of a file that this session writes or has just stored.

        Raises PermissionDenied: if there is none.
        """
        upload = self._files.access.own_upload(path)
        if upload is not None:
            storable = self.storable(new, upload.place)
            if await upload.set_attributes(None, *storable):
                return
        own = await self._files.access.own_now(path)
        if own is None:
            self._files.mounts.place(path, Right.SETSTAT)
            return
        mtime, mode = self.storable(new, own.place)
        if await set_stored_attributes(self._files.backend, own.place, mtime, mode, self._files.session):
            self._files.shared.writers.attributes_changed(own.place)
        info = await self._files.backend.file_info(own.place, self._files.session)
        self._files.access.note_own(path, OwnFile(own.path, own.place, info))

    async def _set_stored(
        self, path: VirtualPath, place: Place, size: int | None, mtime: float | None, mode: int | None
    ) -> None:
        if size is not None:
            await self._resize(path, size)
        if size is None and mtime is None and mode is None:
            await self._files.backend.file_info(place, self._files.session)  # raises if nothing is there
        elif await set_stored_attributes(self._files.backend, place, mtime, mode, self._files.session):
            self._files.shared.writers.attributes_changed(place)
        else:
            self._files.shared.ignored["mtime"] += mtime is not None
            self._files.shared.ignored["permissions"] += mode is not None

    def storable(self, new: NewAttributes, place: Place) -> tuple[float | None, int | None]:
        """The modification time and permissions that the place's storage can keep, else None. Counts the
        others."""
        backend = backend_at(self._files.backend, place)
        mtime = new.mtime if backend.keeps_times else None
        if mtime != new.mtime:
            self._files.shared.ignored["mtime"] += 1
        keeps = backend.keeps_modes and new.permissions is not None
        self.count_ignored(replace(new, permissions=None) if keeps else new)
        return mtime, stat.S_IMODE(new.permissions) if keeps and new.permissions is not None else None

    def count_ignored(self, new: NewAttributes) -> None:
        """Count permissions and owner as ignored."""
        if new.permissions is not None:
            self._files.shared.ignored["permissions"] += 1
        if new.owner is not None:
            self._files.shared.ignored["owner"] += 1
