"""Implements the file operations of one session: resolve and authorize a path, then act on its place.

Most operations are authorized by `Mounts.place`, with the right that they need. The others:

    STAT       `AppliedRules.sees`, else only what this session has stored (`Access.own_info`)
    OPEN       to write: `upload_rules`, by what the flags ask for
    SETSTAT    `AttributeChanges`, else only this session's own files
    RENAME     `authorize_rename`, for both ends and all that moves

A name may belong to what is stored, to an upload that is still open, or to both (`session_files`). REMOVE and
RENAME (`removal`, `renaming`) act on what is stored first; where nothing is, they act on the upload.
Everything else is about what is stored. A place names its storage; where there are several,
`backends/router.py` passes each call to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

from s3sftp.backends import Entry, FileInfo, Place, Session, Usage
from s3sftp.errors import AlreadyExists, IsADirectory, NotFound
from s3sftp.fs.attributes import AttributeChanges, NewAttributes
from s3sftp.fs.hashing import HashRequest, SessionHasher
from s3sftp.fs.listing import OpenDirectory
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.open_reader import OpenReader
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.quota import QuotaBackend
from s3sftp.fs.read.reader import OPEN_BYTES, Reader
from s3sftp.fs.removal import Removal
from s3sftp.fs.renaming import Renaming
from s3sftp.fs.rights import Right
from s3sftp.fs.session_files import SessionFiles
from s3sftp.fs.upload_rules import UploadRules, upload_rules
from s3sftp.fs.write.upload_pipeline import WriteMode
from s3sftp.fs.write.writer import Writer
from s3sftp.telemetry import Costs, charging

_COPY_BYTES = 1 << 20


class FileSystem:
    """The files of one session: what its user can see and do."""

    def __init__(self, shared: OpenStorage, mounts: Mounts, session: Session) -> None:
        self.shared = shared
        self.session = session
        self._files = files = SessionFiles(shared, mounts, session)
        self._hashing = SessionHasher(shared.hashing, session)
        self.stat = files.stat

        removal = Removal(files)
        self.make_dir = removal.make_dir
        self.remove_dir = removal.remove_dir
        self.remove = removal.remove
        self.rename = Renaming(files, removal).rename

        attributes = AttributeChanges(files, self._resize)
        self.set_attributes = attributes.set_attributes
        self.storable = attributes.storable
        self.count_ignored = attributes.count_ignored

    async def open_reader(self, path: VirtualPath) -> OpenReader:
        """Open the current version of a file for reading.

        Raises NotFound: if there is none; IsADirectory: if it is a directory.
        """
        if self._files.mounts.is_fixed(path):
            raise IsADirectory
        place = self._files.mounts.place(path, Right.READ)
        await self._files.refuse_slash(path)
        shared, began = self._files.shared, asyncio.get_running_loop().time()
        costs = Costs(owner=shared.book.account_of(self._files.session.user))
        with charging(costs):
            info, beginning = await self._files.backend.open_file(place, OPEN_BYTES, self._files.session)
        reader = Reader(
            self._files.backend, place, info, self._files.session, shared.options, shared.budget, costs
        )
        if beginning is not None:
            reader.continue_with(beginning, began)
        return OpenReader(
            place,
            path,
            reader,
            self._files.session,
            self._files.backend,
            shared.metrics,
            shared.book,
            shared.announcer,
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
        if self._files.mounts.is_fixed(path):
            raise IsADirectory
        place = self._files.mounts.place_to_store(path)
        rules = upload_rules(self._files.access.upload_rules_at(path), mode)
        self._files.mounts.refuse_file_name(path)
        if readable:
            rules.rules.require(Right.READ)
        if new is not None and new.size is not None:
            rules.refuse_size(new.size)
        try:
            await self._files.refuse_slash(path)
        except NotFound:
            if not mode.create:
                raise
            raise IsADirectory("no such directory, and no file has a name that ends in a slash") from None
        with self._files.shared.writers.reserve(self._files.session.user):
            named, base = path, None
            if rules.keeps_both:
                if not mode.create and rules.rules.sees:
                    await self._files.committed(place)
                place, path = await self._files.access.free_beside(path)
            await self._files.backend.refuse_file(place, self._files.session)
            kept = self._files.kept.at(place) if not rules.keeps_both and rules.rules.sees else None
            if kept is not None:
                kept.continues = not mode.truncate and not mode.exclusive
                await self._files.until_left(place)
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
            writer = Writer(self._files.resources, place, rules.mode, self._files.session, base, kept)
            if new is not None:
                writer.begin_with(*self.storable(new, place))
            await writer.begin()
            shared = self._files.shared
            upload = OpenWriter(
                place,
                path,
                writer,
                self._files.session,
                shared.writers,
                shared.events.committed,
                self._files.backend,
                shared.metrics,
                shared.book,
                rules,
                self._files.access.free_beside,
                self._files.access.note_stored,
                shared.announcer,
            )
            upload.named = named
            return upload

    async def _base_for(self, place: Place, rules: UploadRules) -> FileInfo | None:
        """The stored file, if the mode needs to know it when a file is opened. Makes no request otherwise."""
        mode = rules.mode
        if mode.exclusive and mode.create:
            try:
                await self._files.backend.file_info(place, self._files.session)
            except NotFound:
                return None
            raise rules.taken(AlreadyExists())
        if mode.create:
            return None
        try:
            return await self._files.committed(place)
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

    async def open_dir(self, path: VirtualPath) -> OpenDirectory:
        """Open a directory. Raises NotFound: if there is none; NotADirectory: if it is a file."""
        mounts = self._files.mounts
        pages = (
            _nothing()
            if mounts.is_virtual(path)
            else self._files.backend.list_dir(mounts.place(path, Right.LIST), self._files.session)
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
            self._files.mounts.fixed_names_in(path), FileInfo.directory()
        )
        for name, place in self._files.mounts.files_in(path):
            found[name] = None
            if not self._files.mounts.rules.at(VirtualPath((*path.names, name))).sees:
                continue
            with suppress(NotFound):
                info = await self._files.backend.file_info(place, self._files.session)
                found[name] = None if info.is_dir else info
        return found

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
        if self._files.mounts.is_fixed(path):
            raise IsADirectory
        place = self._files.mounts.place(path, Right.READ)
        await self._files.refuse_slash(path)
        info = await self._files.committed(place)
        return await self._hashing.hashes(path, place, info, wanted, most_bytes)

    async def hash_open_file(self, source: OpenReader, wanted: HashRequest, most_bytes: int) -> bytes:
        """Like `hash_file`, for the version that is open for reading.

        Raises Changed: if that version is no longer stored.
        """
        return await self._hashing.hashes(source.path, source.place, source.info, wanted, most_bytes)

    async def usage(self, path: VirtualPath) -> Usage:
        """How full the storage is at a path, or the user's quota there. Who may not see what is there does
        not learn how much others have stored."""
        mounts = self._files.mounts
        if mounts.is_virtual(path):
            return Usage()
        resolve = mounts.place_of_own if mounts.is_fixed(path) else mounts.place_to_look_at
        backend = self._files.backend if mounts.rules.at(path).sees else self._files.shared.backend
        return await backend.usage(resolve(path), self._files.session)

    async def require_room(self, upload: OpenWriter, size: int) -> None:
        """Raises NoSpace: if a quota has no room for an upload of this size, in bytes."""
        if isinstance(self._files.backend, QuotaBackend):
            await self._files.backend.require_room(upload.place, size, self._files.session)


async def _nothing() -> AsyncIterator[Sequence[Entry]]:
    """The entries of a directory in which nothing is stored."""
    pages: Sequence[Sequence[Entry]] = ()
    for page in pages:
        yield page
