"""Implements the file operations of one session: resolve and authorize a path, then act on its place.

Most operations are authorized by `Mounts.place`, with the right that they need. The others:

    STAT       `AppliedRules.sees`, else only what this session has stored (`Access.own_info`)
    OPEN       to write: `upload_rules`, by what the flags ask for
    SETSTAT    `_may_set`, else only this session's own files (`_set_own`)
    RENAME     `authorize_rename`, for both ends and all that moves

A name may belong to what is stored, to an upload that is still open, or to both. The user's latest upload
answers STAT as long as nothing has been stored or removed under its name since it was opened. REMOVE and
RENAME act on what is stored first; where nothing is, they act on the upload. Everything else is about what
is stored. A place names its storage; where there are several, `backends/router.py` passes each call to it.
"""

from __future__ import annotations

import asyncio
import stat
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from s3sftp.backends import Entry, FileInfo, Place, Session, Usage
from s3sftp.backends.router import backend_at
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
from s3sftp.events.announcements import NO_CHANGE, AnnouncedChange
from s3sftp.fs.access import Access
from s3sftp.fs.announced_changes import AnnouncedChanges
from s3sftp.fs.authorized_rename import AuthorizedRename, authorize_rename, fail_refused, refuse_uploads
from s3sftp.fs.hashing import HashRequest, SessionHasher
from s3sftp.fs.listing import OpenDirectory
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.open_files import OpenReader, OpenWriter
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.own_files import OwnFile
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.quota import QuotaBackend
from s3sftp.fs.read.reader import OPEN_BYTES, Reader
from s3sftp.fs.rights import Right
from s3sftp.fs.upload_rules import UploadRules, upload_rules
from s3sftp.fs.write.kept_place import SessionKept
from s3sftp.fs.write.upload_pipeline import WriteMode
from s3sftp.fs.write.writer import Writer, set_stored_attributes
from s3sftp.telemetry import Costs, charging, get_logger

_log = get_logger(__name__)

_COPY_BYTES = 1 << 20
_EMPTIED_ENTRIES = 1000

_Ask = Callable[[Place, Session], Awaitable[FileInfo]]
"""A call that asks the storage what is at a place."""


@dataclass(frozen=True, slots=True)
class NewAttributes:
    """The attributes that a client wants to set. None leaves one unchanged."""

    size: int | None = None
    mtime: float | None = None
    permissions: int | None = None
    owner: tuple[int, int] | None = None


class FileSystem:
    """The files of one session: what its user can see and do."""

    def __init__(self, shared: OpenStorage, mounts: Mounts, session: Session) -> None:
        self.shared = shared
        self.session = session
        self._mounts = mounts
        self._backend, self._resources = shared.for_quotas(mounts.quotas)
        self._hashing = SessionHasher(shared.hashing, session)
        self._access = Access(mounts, self._backend, shared.writers, session)
        self._kept = SessionKept(shared.kept, session)
        self._announced = AnnouncedChanges(shared.announcer, self._backend, session)
        self._emptied: OrderedDict[VirtualPath, None] = OrderedDict()
        """Directories from which this session has removed an entry, least recent first."""

    async def stat(self, path: VirtualPath) -> FileInfo:
        """Describe a file or directory. A user who may not see what is there is told of what this session has
        stored alone, as it stored it.

        Raises NotFound: if there is none; NotADirectory: if a file's path ends in a slash.
        """
        try:
            return await self._look(path, self._backend.recent_info)
        except NotFound:
            kept = await self._kept_info(path)
            if kept is None:
                raise
            return kept

    async def _kept_info(self, path: VirtualPath) -> FileInfo | None:
        """The user's unfinished upload, where nothing is stored: what is safe of it."""
        if not self._kept or path.directory_only or not self._mounts.rules.at(path).sees:
            return None
        return await self._kept.info(self._mounts.place_to_look_at(path))

    async def _until_left(self, place: Place) -> None:
        """Wait until the user's upload to a place is kept, if its line was lost just now."""
        if self._kept:
            upload = self.shared.writers.shown(self.session.user, place)
            if upload is not None and upload.leaving:
                await upload.over.wait()

    async def _stat_now(self, path: VirtualPath) -> FileInfo:
        """Like `stat`, but never from a cache: for paths that are about to be changed."""
        return await self._look(path, self._backend.file_info)

    async def _look(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        info = await self._found(path, ask)
        if path.directory_only and not info.is_dir:
            raise NotADirectory
        return info

    async def _found(self, path: VirtualPath, ask: _Ask) -> FileInfo:
        if self._mounts.is_fixed(path):
            return FileInfo.directory()
        if not self._mounts.rules.at(path).sees:
            return await self._access.own_info(path)
        place = self._mounts.place_to_look_at(path)
        await self._until_left(place)
        upload = self._latest_upload(place)
        if upload is not None and (info := await upload.stat()) is not None:
            return self._showing(place, upload, info)
        try:
            info = await ask(place, self.session)
        except NotFound:
            upload = self._upload_of_nothing_stored(place)
            if upload is None or (info := await upload.stat()) is None:
                raise
            return self._showing(place, upload, info)
        self._kept.forget(place)
        return info

    def _showing(self, place: Place, upload: OpenWriter, info: FileInfo) -> FileInfo:
        """Show an upload that runs. If that of another session is kept after this, it may be shorter."""
        if upload.session is self.session:
            self._kept.forget(place)
        else:
            self._kept.shown(place, info.size)
        return info

    async def open_reader(self, path: VirtualPath) -> OpenReader:
        """Open the current version of a file for reading.

        Raises NotFound: if there is none; IsADirectory: if it is a directory.
        """
        if self._mounts.is_fixed(path):
            raise IsADirectory
        place = self._mounts.place(path, Right.READ)
        await self._refuse_slash(path)
        shared, began = self.shared, asyncio.get_running_loop().time()
        costs = Costs(owner=shared.book.account_of(self.session.user))
        with charging(costs):
            info, beginning = await self._backend.open_file(place, OPEN_BYTES, self.session)
        reader = Reader(self._backend, place, info, self.session, shared.options, shared.budget, costs)
        if beginning is not None:
            reader.continue_with(beginning, began)
        return OpenReader(
            place, path, reader, self.session, self._backend, shared.metrics, shared.book, shared.announcer
        )

    async def open_writer(
        self,
        path: VirtualPath,
        mode: WriteMode,
        *,
        readable: bool = False,
        new: NewAttributes | None = None,
    ) -> OpenWriter:
        """Open a file for writing. Nothing visible changes before it is closed.

        An uploaded file gets the attributes `new`; a file that is left unchanged keeps its own. Raises
        AlreadyExists: if `mode` is exclusive and the file exists; NotFound: if it does not exist and `mode`
        does not create it; IsADirectory: if it is a directory; Busy: if the user has too many uploads open;
        PermissionDenied: if the rules refuse it; NoSpace: if it may not be that large.
        """
        if self._mounts.is_fixed(path):
            raise IsADirectory
        place = self._mounts.place_to_store(path)
        rules = upload_rules(self._access.upload_rules_at(path), mode)
        self._mounts.refuse_file_name(path)
        if readable:
            rules.rules.require(Right.READ)
        if new is not None and new.size is not None:
            rules.refuse_size(new.size)
        try:
            await self._refuse_slash(path)
        except NotFound:
            if not mode.create:
                raise
            raise IsADirectory("no such directory, and no file has a name that ends in a slash") from None
        with self.shared.writers.reserve(self.session.user):
            named, base = path, None
            if rules.keeps_both:
                if not mode.create and rules.rules.sees:
                    await self._committed(place)
                place, path = await self._access.free_beside(path)
            await self._backend.refuse_file(place, self.session)
            kept = self._kept.at(place) if not rules.keeps_both and rules.rules.sees else None
            if kept is not None:
                kept.continues = not mode.truncate and not mode.exclusive
                await self._until_left(place)
            if not rules.keeps_both:
                try:
                    base = await self._base_for(place, rules)
                except NotFound:
                    may_create = Right.WRITE in rules.rules.rights
                    if kept is None or not kept.continues or not may_create or not await kept.is_there():
                        raise
                    kept.stands_in = True
                    rules = replace(rules, mode=replace(rules.mode, create=True))
            if kept is not None and not kept.continues:
                await kept.discard()
            writer = Writer(self._resources, place, rules.mode, self.session, base, kept)
            if new is not None:
                writer.begin_with(*self.storable(new, place))
            await writer.begin()
            shared = self.shared
            upload = OpenWriter(
                place,
                path,
                writer,
                self.session,
                shared.writers,
                shared.events.committed,
                self._backend,
                shared.metrics,
                shared.book,
                rules,
                self._access.free_beside,
                self._access.note_stored,
                shared.announcer,
            )
            upload.named = named
            return upload

    async def open_dir(self, path: VirtualPath) -> OpenDirectory:
        """Open a directory. Raises NotFound: if there is none; NotADirectory: if it is a file."""
        mounts = self._mounts
        pages = (
            _nothing()
            if mounts.is_virtual(path)
            else self._backend.list_dir(mounts.place(path, Right.LIST), self.session)
        )
        hides = mounts.rules.at(path).hides if mounts.rules.hide_anything else None
        fixed = await self._configured_in(path)
        listing = OpenDirectory(pages, fixed, lenient=mounts.is_fixed(path), hides=hides)
        try:
            await listing.start()
        except BaseException:
            await listing.close()
            raise
        return listing

    async def _configured_in(self, path: VirtualPath) -> dict[bytes, FileInfo | None]:
        """What the configuration puts into a directory: fixed directories and mounted files. A mounted file
        that the user may not see is left out, as if it were missing, because STAT does not find it either."""
        found: dict[bytes, FileInfo | None] = dict.fromkeys(
            self._mounts.fixed_names_in(path), FileInfo.directory()
        )
        for name, place in self._mounts.files_in(path):
            found[name] = None
            if not self._mounts.rules.at(VirtualPath((*path.names, name))).sees:
                continue
            with suppress(NotFound):
                info = await self._backend.file_info(place, self.session)
                found[name] = None if info.is_dir else info
        return found

    async def make_dir(self, path: VirtualPath) -> None:
        """Make one directory.

        Raises AlreadyExists: if the name is taken; NotFound: if the parent directory is missing;
        NotADirectory: if the parent is a file.
        """
        if self._mounts.is_fixed(path):
            raise AlreadyExists
        place = self._mounts.place(path, Right.MKDIR)
        if not self._mounts.is_fixed(path.parent):
            await self._require_directory(path.parent)
        await self._backend.make_dir(place, self.session)
        self._access.note_own(path, OwnFile(path, place, FileInfo.directory()))

    async def _require_directory(self, path: VirtualPath) -> None:
        """Check that a path is a directory. Raises NotFound: if it is missing; NotADirectory: if it is a
        file.

        A directory that vanished with its last entry, which this session removed or moved away, is made
        again, because the client expects it to exist.
        """
        place = self._mounts.place_to_store(path)
        try:
            info = await self._backend.file_info(place, self.session)
        except NotFound:
            if path not in self._emptied:
                raise
            self._mounts.rules.at(path).require(Right.MKDIR)
            await self._backend.make_dir(place, self.session)
        else:
            if not info.is_dir:
                raise NotADirectory

    def _note_emptied(self, path: VirtualPath) -> None:
        """Note that a path is gone: the directories above it may have vanished with it."""
        while not (path := path.parent).is_root:
            self._emptied[path] = None
            self._emptied.move_to_end(path)
        while len(self._emptied) > _EMPTIED_ENTRIES:
            self._emptied.popitem(last=False)

    async def remove_dir(self, path: VirtualPath) -> None:
        place = self._mounts.place(path, Right.RMDIR)
        await self._backend.del_dir(place, self.session)
        self._emptied.pop(path, None)
        self._note_emptied(path)

    async def remove(self, path: VirtualPath) -> None:
        """Remove a stored file and this session's uploads to its name. If nothing is stored there, remove the
        uploads that STAT shows.

        Raises NotFound: if there is neither; IsADirectory: if the path is a directory.
        """
        place = self._mounts.place(path, Right.DELETE)
        await self._refuse_slash(path)
        await self._until_left(place)
        try:
            uploads, change = await self._remove_stored(path, place)
        except NotFound:
            if not await self._kept.discard(place, by_removal=True):
                raise
            return
        try:
            with suppress(StorageError):  # the next sweep removes it
                await self._kept.discard(place, by_removal=True)
            self._give_up(uploads)
            self._note_emptied(path)
            await change.acknowledge()
        finally:
            change.leave()

    async def rename(self, source: VirtualPath, target: VirtualPath, *, overwrite: bool) -> None:
        """Move a file or directory. With `overwrite` a file may replace a file, and a directory an empty one.

        Open uploads at or below the source move along. This session's uploads to a replaced name are given
        up, as in `remove`. Raises AlreadyExists: if the target exists and may not be replaced; NotEmpty: if
        it is a directory with entries; NotFound: if the source is missing; NotADirectory: if a file is used
        as a directory; InvalidRequest: if the target is below the source; Busy: if an upload cannot move
        along.
        """
        move = await authorize_rename(
            self._access, self._backend, self.session, source, target, overwrite=overwrite
        )
        if source == target:
            await self._stat_now(source)
            if not overwrite:
                raise AlreadyExists
            return
        if target.is_within(source):
            if not (await self._stat_now(source)).is_dir:
                raise NotADirectory  # a file has no entries
            raise InvalidRequest("a directory cannot be moved into itself")
        if source.directory_only or target.directory_only:
            await self._stat_now(VirtualPath(source.names, directory_only=True))
        renamed, change = await (self._rename_beside(move) if move.keeps_both else self._rename(move))
        try:
            if renamed is not None:
                await self.shared.events.renamed.acknowledge(renamed)
            await change.acknowledge()
        finally:
            change.leave()

    async def _rename_beside(self, move: AuthorizedRename) -> tuple[Renamed | None, AnnouncedChange]:
        """Rename a file, to another name if the target is taken."""
        while True:
            try:
                return await self._rename(move)
            except AlreadyExists:
                goal, target = await self._access.free_beside(move.named, besides=move.target)
                move = replace(move, goal=goal, target=target)

    async def _rename(self, move: AuthorizedRename) -> tuple[Renamed | None, AnnouncedChange]:
        """Rename what is stored, with the uploads below it, or the upload if nothing is stored."""
        source, target, from_place, to_place = move.source, move.target, move.origin, move.goal
        renamed, change = None, NO_CHANGE
        writers = self.shared.writers
        # before, because a lost upload is not found any more once a file is stored there
        await self._until_left(to_place)
        try:
            async with writers.moving(self.session.user, from_place) as pending:
                if any(upload.is_bound and not upload.superseded for upload in pending.rows()):
                    raise Busy(
                        "a file open there is being added to and cannot be renamed before it is closed"
                    )
                refuse_uploads(self._access, pending.rows(), move)
                replaced = writers.of_session(self.session, to_place) if move.replaces else []
                try:
                    renamed, change = await self._rename_stored(
                        source, target, from_place, to_place, move.replaces
                    )
                except NotFound:
                    if move.is_own or self._upload_of_nothing_stored(from_place) is None:
                        raise
                    if await self._replaces_stored(to_place, move.replaces):
                        for upload in pending.rows():
                            upload.take_over()
                except AlreadyExists:
                    if move.wanted_to_replace and not move.keeps_both:
                        self._mounts.rules.at(target).refuse_replacing()
                    raise
                fail_refused(self._access, pending.rows(), move)
                pending.done(to_place, target)
                if renamed is not None:
                    self._note_emptied(source)
                    writers.stored_changed(from_place)
                    writers.stored_changed(to_place)
                self._give_up(replaced)
            with suppress(StorageError):  # what is stored there hides it
                await self._kept.discard(to_place)
            if renamed is not None and move.is_own:
                info = await self._backend.file_info(to_place, self.session)
                self._access.note_renamed(move.source, move.named, OwnFile(target, to_place, info))
        except BaseException:
            change.leave()
            raise
        return renamed, change

    async def _move(self, source: Place, target: Place, *, overwrite: bool) -> None:
        """Rename. A directory replaces an empty one (POSIX), which is made again if the rename fails."""
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
        """Set size, modification time and permissions. Counts attributes that the storage cannot keep."""
        if not self._may_set(path, new):
            await self._set_own(path, new)
            return
        if self._mounts.is_fixed(path):
            self.count_ignored(new)
            return
        place = self._mounts.place_to_store(path)
        mtime, mode = self.storable(new, place)
        if path.directory_only:
            await self._stat_now(path)
        if not self._mounts.accepts_file_name(path) and await self._access.is_file(place):
            self._mounts.refuse_file_name(path)
        upload = self._latest_upload(place)
        if upload is not None and await upload.set_attributes(new.size, mtime, mode):
            return
        try:
            await self._set_stored(path, place, new.size, mtime, mode)
        except NotFound:
            upload = self._upload_of_nothing_stored(place)
            if upload is None or not await upload.set_attributes(new.size, mtime, mode):
                raise

    def _may_set(self, path: VirtualPath, new: NewAttributes) -> bool:
        """Whether the user may set these attributes of any file there. Raises PermissionDenied: of a size."""
        rules = self._mounts.rules.at(path)
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
        upload = self._access.own_upload(path)
        if upload is not None:
            storable = self.storable(new, upload.place)
            if await upload.set_attributes(None, *storable):
                return
        own = await self._access.own_now(path)
        if own is None:
            self._mounts.place(path, Right.SETSTAT)
            return
        mtime, mode = self.storable(new, own.place)
        if await set_stored_attributes(self._backend, own.place, mtime, mode, self.session):
            self.shared.writers.attributes_changed(own.place)
        info = await self._backend.file_info(own.place, self.session)
        self._access.note_own(path, OwnFile(own.path, own.place, info))

    async def _set_stored(
        self, path: VirtualPath, place: Place, size: int | None, mtime: float | None, mode: int | None
    ) -> None:
        if size is not None:
            await self._resize(path, size)
        if size is None and mtime is None and mode is None:
            await self._backend.file_info(place, self.session)  # raises if nothing is there
        elif await set_stored_attributes(self._backend, place, mtime, mode, self.session):
            self.shared.writers.attributes_changed(place)
        else:
            self.shared.ignored["mtime"] += mtime is not None
            self.shared.ignored["permissions"] += mode is not None

    def storable(self, new: NewAttributes, place: Place) -> tuple[float | None, int | None]:
        """The modification time and permissions that the place's storage can keep, else None. Counts the
        others."""
        backend = backend_at(self._backend, place)
        mtime = new.mtime if backend.keeps_times else None
        if mtime != new.mtime:
            self.shared.ignored["mtime"] += 1
        keeps = backend.keeps_modes and new.permissions is not None
        self.count_ignored(replace(new, permissions=None) if keeps else new)
        return mtime, stat.S_IMODE(new.permissions) if keeps and new.permissions is not None else None

    def count_ignored(self, new: NewAttributes) -> None:
        """Count permissions and owner as ignored."""
        if new.permissions is not None:
            self.shared.ignored["permissions"] += 1
        if new.owner is not None:
            self.shared.ignored["owner"] += 1

    async def copy(self, source: OpenReader, start: int, length: int, target: OpenWriter, at: int) -> None:
        """Copy `length` bytes from `start` of one open file to `at` of another; 0 means to the end of the
        source.

        The storage itself copies a whole file into an empty one, without moving the bytes through the server.
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
            target.fail(error)  # a file with missing bytes must not be committed
            raise

    async def hash_file(self, path: VirtualPath, wanted: HashRequest, most_bytes: int) -> bytes:
        """The hashes of a file as it is stored now, at most `most_bytes` of them.

        Raises NotFound: if there is no file; IsADirectory: if it is a directory; PermissionDenied: if the
        user may not read it; InvalidRequest and TimedOut: see `SessionHasher.hashes`.
        """
        if self._mounts.is_fixed(path):
            raise IsADirectory
        place = self._mounts.place(path, Right.READ)
        await self._refuse_slash(path)
        info = await self._committed(place)
        return await self._hashing.hashes(path, place, info, wanted, most_bytes)

    async def hash_open_file(self, source: OpenReader, wanted: HashRequest, most_bytes: int) -> bytes:
        """Like `hash_file`, for the version that is open for reading.

        Raises Changed: if that version is no longer stored.
        """
        return await self._hashing.hashes(source.path, source.place, source.info, wanted, most_bytes)

    async def usage(self, path: VirtualPath) -> Usage:
        """How full the storage is at a path, or the user's quota there. Who may not see what is there does
        not learn how much others have stored."""
        mounts = self._mounts
        if mounts.is_virtual(path):
            return Usage()
        resolve = mounts.place_of_own if mounts.is_fixed(path) else mounts.place_to_look_at
        backend = self._backend if mounts.rules.at(path).sees else self.shared.backend
        return await backend.usage(resolve(path), self.session)

    async def require_room(self, upload: OpenWriter, size: int) -> None:
        """Raises NoSpace: if a quota has no room for an upload of this size, in bytes."""
        if isinstance(self._backend, QuotaBackend):
            await self._backend.require_room(upload.place, size, self.session)

    async def _remove_stored(
        self, path: VirtualPath, place: Place
    ) -> tuple[list[OpenWriter], AnnouncedChange]:
        """Remove a stored file. Returns the uploads that are to be given up with it, and the change.

        Raises NotFound: if there is neither a file nor an upload; IsADirectory: if it is a directory.
        """
        writers = self.shared.writers
        while True:
            mine = writers.of_session(self.session, place)
            try:
                async with self._announced.removal(path, place) as change:
                    await self._backend.delete(place, self.session)
            except NotFound:
                upload = self._upload_of_nothing_stored(place)
                if upload is None:
                    raise
                if not upload.committing:
                    return writers.shown_or_of(self.session, place), NO_CHANGE
                await upload.over.wait()  # STAT has shown the upload, so what it commits is to be removed
            else:
                writers.stored_changed(place)
                return mine, change

    async def _rename_stored(
        self, source: VirtualPath, target: VirtualPath, origin: Place, goal: Place, overwrite: bool
    ) -> tuple[Renamed, AnnouncedChange]:
        async with self.shared.events.renamed.reserve() as announce:
            async with self._announced.rename(source, target, origin, goal) as change:
                await self._move(origin, goal, overwrite=overwrite)
            trace = self.shared.events.renamed.trace_context()
            renamed = Renamed(source.text, target.text, origin, goal, self.session, time.time(), trace)
            announce(renamed)
        return renamed, change

    async def _replaces_stored(self, place: Place, overwrite: bool) -> bool:
        """Whether an upload that is renamed to a place replaces a stored file. Raises what a storage would.

        Raises AlreadyExists: if a directory is there, or a file without `overwrite`; NotADirectory: if a
        parent is known to be a file.
        """
        try:
            info = await self._backend.file_info(place, self.session)
        except NotFound:
            await self._backend.refuse_file(place, self.session)
            return False
        if info.is_dir or not overwrite:
            raise AlreadyExists
        return True

    def _give_up(self, uploads: list[OpenWriter]) -> None:
        """Give up uploads whose name was removed or replaced."""
        for upload in uploads:
            if upload.give_up():
                self.shared.adopt(_abort(upload))

    def _latest_upload(self, place: Place) -> OpenWriter | None:
        """The user's upload to a place, if nothing has been stored or removed there since it was opened."""
        upload = self.shared.writers.shown(self.session.user, place)
        return upload if upload is not None and self.shared.writers.is_latest(upload) else None

    def _upload_of_nothing_stored(self, place: Place) -> OpenWriter | None:
        """The user's upload to a place at which, as the storage has just answered, nothing is stored."""
        upload = self.shared.writers.shown(self.session.user, place)
        if upload is not None and upload.creates:
            self.shared.writers.nothing_is_stored_at(upload)
            return upload
        return None

    async def _committed(self, place: Place) -> FileInfo:
        """The file as it is stored. Raises NotFound: if there is none; IsADirectory: if it is a directory."""
        info = await self._backend.file_info(place, self.session)
        if info.is_dir:
            raise IsADirectory
        return info

    async def _base_for(self, place: Place, rules: UploadRules) -> FileInfo | None:
        """The stored file, if the mode needs to know it when a file is opened. Makes no request otherwise."""
        mode = rules.mode
        if mode.exclusive and mode.create:
            try:
                await self._backend.file_info(place, self.session)
            except NotFound:
                return None
            raise rules.taken(AlreadyExists())
        if mode.create:
            return None
        try:
            return await self._committed(place)
        except NotFound:
            rules.refuse_missing()
            raise

    async def _resize(self, path: VirtualPath, size: int) -> None:
        writer = await self.open_writer(path, WriteMode(create=False))
        try:
            await writer.set_attributes(size)
        except BaseException:
            await writer.abort()
            raise
        await writer.close()

    async def _refuse_slash(self, path: VirtualPath) -> None:
        """Refuse a path that ends in a slash, because it cannot name a file.

        Raises IsADirectory, NotADirectory or NotFound: by what the path is.
        """
        if path.directory_only:
            await self._stat_now(path)
            raise IsADirectory


async def _nothing() -> AsyncIterator[Sequence[Entry]]:
    """The entries of a directory in which nothing is stored."""
    pages: Sequence[Sequence[Entry]] = ()
    for page in pages:
        yield page


async def _abort(upload: OpenWriter) -> None:
    try:
        await upload.abort()
    except Exception:
        _log.exception("upload.cleanup_failed", path=str(upload.path))
