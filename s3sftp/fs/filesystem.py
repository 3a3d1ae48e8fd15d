"""What a user sees: one operation reads as a sentence, ask for a place, act on it."""

from __future__ import annotations

import asyncio
import stat
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from s3sftp.backends import FileInfo, Place, Session, Usage
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotFound,
    StorageError,
)
from s3sftp.events import Renamed
from s3sftp.fs.block_digests import HashRequest
from s3sftp.fs.hashing import SessionHasher
from s3sftp.fs.listing import OpenDirectory
from s3sftp.fs.mounts import Mounts, Need
from s3sftp.fs.open_files import OpenReader, OpenWriter
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.read.reader import OPEN_BYTES, Reader
from s3sftp.fs.shared_state import SharedState
from s3sftp.fs.write.upload_pipeline import WriteMode
from s3sftp.fs.write.writer import Writer, set_stored_attributes
from s3sftp.telemetry import Costs, charging, current_trace_context, get_logger

_log = get_logger(__name__)

_COPY_BYTES = 1 << 20
_EMPTIED_ENTRIES = 1000

_Ask = Callable[[Place, Session], Awaitable[FileInfo]]
"""A question to the storage: what is there?"""


@dataclass(frozen=True, slots=True)
class NewAttributes:
    """What a client wants to set; None: leave as it is."""

    size: int | None = None
    mtime: float | None = None
    permissions: int | None = None
    owner: tuple[int, int] | None = None


class FileSystem:
    """The files of one session."""

    def __init__(self, shared: SharedState, mounts: Mounts, session: Session) -> None:
        self.shared = shared
        self.session = session
        self._mounts = mounts
        self._backend = shared.backend
        self._hashing = SessionHasher(shared.hashing, session)
        self._emptied: OrderedDict[VirtualPath, None] = OrderedDict()
        """Directories out of which this session has removed something."""

    async def stat(self, path: VirtualPath) -> FileInfo:
        """Describe a file or directory. Raises NotFound; NotADirectory for a file's name with a slash at its
        end."""
        return await self._look(path, self._backend.recent_info)

    async def _stat_now(self, path: VirtualPath) -> FileInfo:
        """As `stat`, for what is to be changed: nothing is told from memory."""
        return await self._look(path, self._backend.file_info)

    async def _look(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        info = await self._found(path, ask)
        if path.directory_only and not info.is_dir:
            raise NotADirectory
        return info

    async def _found(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        place = self._mounts.place(path, Need.LIST)
        if self._mounts.is_fixed(path):
            return FileInfo.directory()
        upload = self._latest_upload(place)
        if upload is not None and (info := await upload.stat()) is not None:
            return info
        try:
            return await ask(place, self.session)
        except NotFound:
            upload = self._upload_of_nothing_stored(place)
            if upload is None or (info := await upload.stat()) is None:
                raise
            return info

    async def open_reader(self, path: VirtualPath) -> OpenReader:
        """Open the version of the file that is there now. Raises NotFound, IsADirectory."""
        place = self._mounts.place(path, Need.READ)
        if self._mounts.is_fixed(path):
            raise IsADirectory
        await self._refuse_slash(path)
        shared, costs, began = self.shared, Costs(), asyncio.get_running_loop().time()
        with charging(costs):
            info, beginning = await self._backend.open_file(place, OPEN_BYTES, self.session)
        reader = Reader(self._backend, place, info, self.session, shared.options, shared.budget, costs)
        if beginning is not None:
            reader.go_on(beginning, began)
        return OpenReader(place, path, reader, self.session, shared.metrics)

    async def open_writer(
        self,
        path: VirtualPath,
        mode: WriteMode,
        *,
        readable: bool = False,
        new: NewAttributes | None = None,
    ) -> OpenWriter:
        """Open for writing; nothing is stored or changed before it is closed. What is uploaded gets `new`; a
        file that is left as it was keeps its own.

        Raises AlreadyExists (exclusive), NotFound (neither create nor there), IsADirectory, Busy.
        """
        place = self._mounts.place(path, Need.WRITE)
        if readable:
            self._mounts.place(path, Need.READ)
        if self._mounts.is_fixed(path):
            raise IsADirectory
        try:
            await self._refuse_slash(path)
        except NotFound:
            if not mode.create:
                raise
            raise IsADirectory("no such directory, and no file has a name that ends in a slash") from None
        await self._backend.refuse_file(place, self.session)
        with self.shared.writers.place_for(self.session.user):
            base = await self._base_for(path, place, mode)
            writer = Writer(self.shared.tools, place, mode, self.session, base)
            if new is not None:
                writer.begin_with(*self.take(new))
            await writer.begin()
            shared = self.shared
            return OpenWriter(
                place,
                path,
                writer,
                self.session,
                shared.writers,
                shared.events.committed,
                shared.backend,
                shared.metrics,
            )

    async def open_dir(self, path: VirtualPath) -> OpenDirectory:
        """Open a directory. Raises NotFound, NotADirectory."""
        place = self._mounts.place(path, Need.LIST)
        pages = self._backend.list_dir(place, self.session)
        listing = OpenDirectory(pages, self._mounts.fixed_names_in(path), lenient=self._mounts.is_fixed(path))
        try:
            await listing.start()
        except BaseException:
            await listing.close()
            raise
        return listing

    async def make_dir(self, path: VirtualPath) -> None:
        """Make one directory. Raises AlreadyExists; NotFound when the directory above is missing,
        NotADirectory when it is a file."""
        place = self._mounts.place(path, Need.WRITE)
        if self._mounts.is_fixed(path):
            raise AlreadyExists
        if not self._mounts.is_fixed(path.parent):
            await self._require_directory(path.parent)
        await self._backend.make_dir(place, self.session)

    async def _require_directory(self, path: VirtualPath) -> None:
        """Raise NotFound or NotADirectory unless the name is a directory's. One that went with its last file,
        which this session has removed or moved away, is made again: to the client it is still there."""
        place = self._mounts.place(path, Need.WRITE)
        try:
            info = await self._backend.file_info(place, self.session)
        except NotFound:
            if path not in self._emptied:
                raise
            await self._backend.make_dir(place, self.session)
        else:
            if not info.is_dir:
                raise NotADirectory

    def _note_emptied(self, path: VirtualPath) -> None:
        """Something has gone from a directory, which may have gone with it, and those above it."""
        while not (path := path.parent).is_root:
            self._emptied[path] = None
            self._emptied.move_to_end(path)
        while len(self._emptied) > _EMPTIED_ENTRIES:
            self._emptied.popitem(last=False)

    async def remove_dir(self, path: VirtualPath) -> None:
        place = self._mounts.place(path, Need.DELETE)
        await self._backend.del_dir(place, self.session)
        self._emptied.pop(path, None)
        self._note_emptied(path)

    async def remove(self, path: VirtualPath) -> None:
        """Remove what is stored, with the uploads of this session to the name; where nothing is stored, the
        uploads that STAT shows. Raises NotFound, IsADirectory."""
        place = self._mounts.place(path, Need.DELETE)
        await self._refuse_slash(path)
        self._give_up(await self._remove_stored(place))
        self._note_emptied(path)

    async def rename(self, source: VirtualPath, target: VirtualPath, *, overwrite: bool) -> None:
        """Move a file or directory; with `overwrite` onto a file, or a directory onto an empty one. Uploads
        that are open in it move along; what this session is writing under the name that is replaced goes with
        it, as with `remove`.

        Raises AlreadyExists, NotEmpty, NotFound, NotADirectory, InvalidRequest; Busy when an upload in it
        cannot move along.
        """
        from_place = self._mounts.place(source, Need.DELETE)
        to_place = self._mounts.place(target, Need.WRITE)
        if source == target:
            await self._stat_now(source)
            if not overwrite:
                raise AlreadyExists
            return
        if target.is_within(source):
            if not (await self._stat_now(source)).is_dir:
                raise NotADirectory  # nothing is below a file
            raise InvalidRequest("a directory cannot be moved into itself")
        if self._mounts.is_fixed(target):
            raise AlreadyExists
        if source.directory_only or target.directory_only:
            await self._stat_now(VirtualPath(source.names, directory_only=True))
        renamed: Renamed | None = None
        writers = self.shared.writers
        async with writers.moving(self.session.user, from_place) as move:
            if any(upload.is_bound and not upload.superseded for upload in move.rows()):
                raise Busy("a file open there is being added to and cannot be renamed before it is closed")
            replaced = writers.of_session(self.session, to_place) if overwrite else []
            try:
                renamed = await self._rename_stored(source, target, from_place, to_place, overwrite)
            except NotFound:
                if self._upload_of_nothing_stored(from_place) is None:
                    raise
                if await self._replaces_stored(to_place, overwrite):
                    for upload in move.rows():
                        upload.take_over()
            move.done(to_place, target)
            if renamed is not None:
                self._note_emptied(source)
                writers.stored_changed(from_place)
                writers.stored_changed(to_place)
            self._give_up(replaced)
        if renamed is not None:
            await self.shared.events.renamed.acknowledge(renamed)

    async def _move(self, source: Place, target: Place, *, overwrite: bool) -> None:
        """Rename. An empty directory gives way to a directory (POSIX), and comes back should that fail."""
        try:
            await self._backend.rename(source, target, self.session, overwrite=overwrite)
        except AlreadyExists:
            if not overwrite or not await self._are_directories(source, target):
                raise
        else:
            return
        with suppress(NotFound):
            await self._backend.del_dir(target, self.session)
        try:
            await self._backend.rename(source, target, self.session, overwrite=False)
        except BaseException:
            with suppress(StorageError):
                await self._backend.make_dir(target, self.session)
            raise

    async def _are_directories(self, *places: Place) -> bool:
        infos = [await self._backend.file_info(place, self.session) for place in places]
        return all(info.is_dir for info in infos)

    async def set_attributes(self, path: VirtualPath, new: NewAttributes) -> None:
        """Set what the storage can keep: size, modification time, permissions; what it cannot is counted."""
        place = self._mounts.place(path, Need.WRITE)
        mtime, mode = self.take(new)
        if self._mounts.is_fixed(path):
            return
        if path.directory_only:
            await self._stat_now(path)
        upload = self._latest_upload(place)
        if upload is not None and await upload.set_attributes(new.size, mtime, mode):
            return
        try:
            await self._set_stored(path, place, new.size, mtime, mode)
        except NotFound:
            upload = self._upload_of_nothing_stored(place)
            if upload is None or not await upload.set_attributes(new.size, mtime, mode):
                raise

    async def _set_stored(
        self, path: VirtualPath, place: Place, size: int | None, mtime: float | None, mode: int | None
    ) -> None:
        if size is not None:
            await self._resize(path, size)
        if size is None and mtime is None and mode is None:
            await self._backend.file_info(place, self.session)  # what is ignored is ignored of what is there
        elif await set_stored_attributes(self._backend, place, mtime, mode, self.session):
            self.shared.writers.attributes_changed(place)
        else:
            self.shared.ignored["mtime"] += mtime is not None
            self.shared.ignored["permissions"] += mode is not None

    def take(self, new: NewAttributes) -> tuple[float | None, int | None]:
        """The time and the permissions to keep, where the storage keeps them; the others are counted."""
        mtime = new.mtime if self._backend.keeps_times else None
        if mtime != new.mtime:
            self.shared.ignored["mtime"] += 1
        keeps = self._backend.keeps_modes and new.permissions is not None
        self.count_ignored(replace(new, permissions=None) if keeps else new)
        return mtime, stat.S_IMODE(new.permissions) if keeps and new.permissions is not None else None

    def count_ignored(self, new: NewAttributes) -> None:
        """Accept and ignore permissions and owner where there is no place for them."""
        if new.permissions is not None:
            self.shared.ignored["permissions"] += 1
        if new.owner is not None:
            self.shared.ignored["owner"] += 1

    async def copy(self, source: OpenReader, start: int, length: int, target: OpenWriter, at: int) -> None:
        """Copy bytes between open files; a whole file into an empty one never leaves the storage.

        `length` 0 means to the end of the source.
        """
        size = source.info.size
        stop = size if length == 0 else min(size, start + length)
        if start == at == 0 and stop == size and target.copy_whole(source):
            return
        try:
            while start < stop:
                data = b"".join(await source.read(start, min(_COPY_BYTES, stop - start)))
                await target.write(at, data, received=False)
                start, at = start + len(data), at + len(data)
        except Exception as error:
            target.fail(error)  # a file of which a part is missing must not be published
            raise

    async def hash_file(self, path: VirtualPath, wanted: HashRequest, most_bytes: int) -> bytes:
        """The hashes of a file as it is stored now, at most so many bytes of them.

        Raises NotFound, IsADirectory, PermissionDenied; InvalidRequest and TimedOut as `Hashing.hashes`.
        """
        place = self._mounts.place(path, Need.READ)
        await self._refuse_slash(path)
        info = await self._committed(path, place)
        return await self._hashing.hashes(path, place, info, wanted, most_bytes)

    async def hash_open_file(self, source: OpenReader, wanted: HashRequest, most_bytes: int) -> bytes:
        """The same of the version that is open for reading. Raises Changed when it is not there any more."""
        return await self._hashing.hashes(source.path, source.place, source.info, wanted, most_bytes)

    async def usage(self, path: VirtualPath) -> Usage:
        return await self._backend.usage(self._mounts.place(path, Need.LIST), self.session)

    async def _remove_stored(self, place: Place) -> list[OpenWriter]:
        """Remove what is stored; returns the uploads that go with it. Raises NotFound, IsADirectory."""
        writers = self.shared.writers
        while True:
            mine = writers.of_session(self.session, place)
            try:
                await self._backend.delete(place, self.session)
            except NotFound:
                upload = self._upload_of_nothing_stored(place)
                if upload is None:
                    raise
                if not upload.committing:
                    return writers.shown_or_of(self.session, place)
                await upload.over.wait()  # STAT has shown it: then what it stores is to be removed
            else:
                writers.stored_changed(place)
                return mine

    async def _rename_stored(
        self, source: VirtualPath, target: VirtualPath, origin: Place, goal: Place, overwrite: bool
    ) -> Renamed:
        async with self.shared.events.renamed.room() as announce:
            await self._move(origin, goal, overwrite=overwrite)
            trace = current_trace_context()
            renamed = Renamed(source.text, target.text, origin, goal, self.session, time.time(), trace)
            announce(renamed)
        return renamed

    async def _replaces_stored(self, place: Place, overwrite: bool) -> bool:
        """Whether an upload that gets the name replaces a stored file. Raises what a storage raises when it
        renames a file there: AlreadyExists; NotADirectory below what it knows to be a file."""
        try:
            info = await self._backend.file_info(place, self.session)
        except NotFound:
            await self._backend.refuse_file(place, self.session)
            return False
        if info.is_dir or not overwrite:
            raise AlreadyExists
        return True

    def _give_up(self, uploads: list[OpenWriter]) -> None:
        """The files that they were to become have lost their name."""
        for upload in uploads:
            if upload.give_up():
                self.shared.adopt(_let_go(upload))

    def _latest_upload(self, place: Place) -> OpenWriter | None:
        """The user's upload to a name, if nothing has been stored or removed there since it was opened."""
        upload = self.shared.writers.shown(self.session.user, place)
        return upload if upload is not None and self.shared.writers.is_latest(upload) else None

    def _upload_of_nothing_stored(self, place: Place) -> OpenWriter | None:
        """The user's upload to a name at which the storage has just said that nothing is."""
        upload = self.shared.writers.shown(self.session.user, place)
        if upload is not None and upload.creates:
            self.shared.writers.nothing_is_stored_at(upload)
            return upload
        return None

    async def _committed(self, path: VirtualPath, place: Place) -> FileInfo:
        """The file as it is stored. Raises IsADirectory."""
        if self._mounts.is_fixed(path):
            raise IsADirectory
        info = await self._backend.file_info(place, self.session)
        if info.is_dir:
            raise IsADirectory
        return info

    async def _base_for(self, path: VirtualPath, place: Place, mode: WriteMode) -> FileInfo | None:
        """What must be known of the present file when it is opened; no request where nothing must."""
        if mode.exclusive and mode.create:
            try:
                await self._backend.file_info(place, self.session)
            except NotFound:
                return None
            raise AlreadyExists
        if not mode.create:
            return await self._committed(path, place)
        return None

    async def _resize(self, path: VirtualPath, size: int) -> None:
        writer = await self.open_writer(path, WriteMode(create=False))
        try:
            await writer.set_attributes(size)
        except BaseException:
            await writer.abort()
            raise
        await writer.close()

    async def _refuse_slash(self, path: VirtualPath) -> None:
        """Raise what a name that ends in a slash is: IsADirectory, NotADirectory or NotFound, but no file."""
        if path.directory_only:
            await self._stat_now(path)
            raise IsADirectory


async def _let_go(upload: OpenWriter) -> None:
    try:
        await upload.abort()
    except Exception:
        _log.exception("upload.cleanup_failed", path=str(upload.path))
