"""What the rules let one session do with files, where that depends on more than a path.

It knows what the session has just stored: with that a user who may only write can finish an upload, under a
temporary name and a rename or with its time. And it finds free names where both files are to be kept.
"""

from __future__ import annotations

from dataclasses import replace

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.backends.borders import is_across
from s3sftp.errors import AlreadyExists, NotFound
from s3sftp.fs.access_rules import AppliedRules, OnConflict
from s3sftp.fs.free_names import free_number, numbered
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.own_files import OwnFile, OwnFiles
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right
from s3sftp.fs.write.open_uploads import OpenUploads


class Access:
    """The rules of one session's user, and what the session has stored."""

    def __init__(
        self, mounts: Mounts, backend: CompleteBackend, writers: OpenUploads[OpenWriter], session: Session
    ) -> None:
        self.mounts = mounts
        self._backend = backend
        self._writers = writers
        self._session = session
        self._own = OwnFiles()

    def upload_rules_at(self, path: VirtualPath) -> AppliedRules:
        """The rules for writing a file. A mounted file has the only name that is mounted."""
        if not self.mounts.is_mounted_file(path):
            return self.mounts.rules.for_storing(path)
        rules = self.mounts.rules.at(path)
        keeps_both = rules.on_conflict is OnConflict.KEEP_BOTH
        return replace(rules, on_conflict=OnConflict.REFUSE) if keeps_both else rules

    def crosses_border(self, source: Place, target: Place) -> bool:
        """Whether what moves from one place to the other is copied as to another storage."""
        return is_across(source, target, self._session)

    async def info(self, place: Place) -> FileInfo | None:
        """What is stored at a place now; None if nothing is."""
        try:
            return await self._backend.file_info(place, self._session)
        except NotFound:
            return None

    async def is_file(self, place: Place) -> bool:
        """Whether a file is stored at a place now."""
        info = await self.info(place)
        return info is not None and not info.is_dir

    async def free_beside(
        self, path: VirtualPath, *, besides: VirtualPath | None = None
    ) -> tuple[Place, VirtualPath]:
        """A place and path at which nothing is stored or being stored: the path itself, or one with a number.
        `besides`: a path that is known to be taken.

        Raises AlreadyExists: if there is none.
        """

        def sibling(name: bytes) -> VirtualPath:
            return VirtualPath((*path.names[:-1], name))

        async def is_taken(name: bytes) -> bool:
            beside = sibling(name)
            place = self.mounts.place_of_own(beside)
            is_given = self.mounts.is_fixed(beside) or self.mounts.is_mounted_file(beside)
            known = beside == besides or is_given or self._writers.is_open(place)
            return known or await self.info(place) is not None

        try:
            free = sibling(numbered(path.name, await free_number(path.name, is_taken)))
        except ValueError as error:
            raise AlreadyExists(str(error)) from None
        return self.mounts.place_of_own(free), free

    # ── what this session has stored ────────────────────────────────────────────────────────────────

    def note_stored(self, upload: OpenWriter, info: FileInfo) -> None:
        """Note an upload that was committed, if all of the file is this session's: whoever adds to a file of
        somebody else does not own it."""
        if not upload.is_whole:
            return
        self.note_own(upload.named, OwnFile(upload.path, upload.place, info))

    def note_own(self, named: VirtualPath, own: OwnFile) -> None:
        """Note what this session has stored, if its user lacks rights to go on with it."""
        rules = self.mounts.rules.at(named)
        if not (rules.sees and {Right.RENAME, Right.SETSTAT} <= rules.rights):
            self._own.stored(named, own, sees=rules.sees)

    def note_renamed(self, source: VirtualPath, named: VirtualPath, own: OwnFile) -> None:
        """Note that a file which this session has stored has another name."""
        if (before := self._own.at(source)) is not None:
            self._own.forget(before)
        self.note_own(named, own)

    def own_upload(self, path: VirtualPath) -> OpenWriter | None:
        """The upload of this session that its client knows by a path: by its own name alone if the user may
        not learn which names were taken."""
        sees = self.mounts.rules.at(path).sees
        rows = [row for row in self._writers.all() if row.session is self._session]
        mine = [row for row in rows if path == row.named or (sees and path == row.path)]
        return mine[-1] if mine else None

    async def own_info(self, path: VirtualPath) -> FileInfo:
        """What this session uploads, or has stored, under a name. Says nothing about what is there now.

        Raises NotFound: if there is nothing of this session.
        """
        self.mounts.refuse_hidden(path)
        upload = self.own_upload(path)
        if upload is not None and (info := await upload.stat()) is not None:
            return info
        if (own := self._own.at(path)) is None:
            raise NotFound
        return own.info

    async def own_now(self, path: VirtualPath) -> OwnFile | None:
        """The file that this session has stored under a name, if it still is the one that is there."""
        self.mounts.refuse_hidden(path)
        own = self._own.at(path)
        if own is None or own.info.is_dir:
            return None
        info = await self.info(own.place)
        if info is None or info.identity != own.info.identity:
            self._own.forget(own)
            return None
        return own
