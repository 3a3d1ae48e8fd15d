"""Renames files and directories, with the uploads that are open below them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from s3sftp.backends import Place
from s3sftp.errors import AlreadyExists, Busy, InvalidRequest, NotADirectory, NotFound, StorageError
from s3sftp.events import Renamed
from s3sftp.events.announcements import NO_CHANGE, AnnouncedChange
from s3sftp.fs.authorized_rename import AuthorizedRename, authorize_rename, fail_refused, refuse_uploads
from s3sftp.fs.own_files import OwnFile
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.removal import Removal
from s3sftp.fs.session_files import SessionFiles


class Renaming:
    """RENAME of one session."""

    def __init__(self, files: SessionFiles, removal: Removal) -> None:
        self._files = files
        self._removal = removal

    async def rename(self, source: VirtualPath, target: VirtualPath, *, overwrite: bool) -> None:
        """Move a file or directory. With `overwrite` a file may replace a file, and a directory an empty one.

        Open uploads at or below the source move along. This session's uploads to a replaced name are given
        up, as in `Removal.remove`. Raises AlreadyExists: if the target exists and may not be replaced;
        NotEmpty: if it is a directory with entries; NotFound: if the source is missing; NotADirectory: if a
        file is used as a directory; InvalidRequest: if the target is below the source; Busy: if an upload
        cannot move along.
        """
        move = await authorize_rename(
            self._files.access, self._files.backend, self._files.session, source, target, overwrite=overwrite
        )
        if source == target:
            await self._files.stat_now(source)
            if not overwrite:
                raise AlreadyExists
            return
        if target.is_within(source):
            if not (await self._files.stat_now(source)).is_dir:
                raise NotADirectory  # a file has no entries
            raise InvalidRequest("a directory cannot be moved into itself")
        if source.directory_only or target.directory_only:
            await self._files.stat_now(VirtualPath(source.names, directory_only=True))
        renamed, change = await (self._rename_beside(move) if move.keeps_both else self._rename(move))
        try:
            if renamed is not None:
                await self._files.shared.events.renamed.acknowledge(renamed)
            await change.acknowledge()
        finally:
            change.leave()

    async def _rename_beside(self, move: AuthorizedRename) -> tuple[Renamed | None, AnnouncedChange]:
        """Rename a file, to another name if the target is taken."""
        while True:
            try:
                return await self._rename(move)
            except AlreadyExists:
                goal, target = await self._files.access.free_beside(move.named, besides=move.target)
                move = replace(move, goal=goal, target=target)

    async def _rename(self, move: AuthorizedRename) -> tuple[Renamed | None, AnnouncedChange]:
        """Rename what is stored, with the uploads below it, or the upload if nothing is stored."""
        source, target, from_place, to_place = move.source, move.target, move.origin, move.goal
        renamed, change = None, NO_CHANGE
        writers = self._files.shared.writers
        # before, because a lost upload is not found any more once a file is stored there
        await self._files.until_left(to_place)
        try:
            async with writers.moving(self._files.session.user, from_place) as pending:
                if any(upload.is_bound and not upload.superseded for upload in pending.rows()):
                    raise Busy(
                        "a file open there is being added to and cannot be renamed before it is closed"
                    )
                refuse_uploads(self._files.access, pending.rows(), move)
                replaced = writers.of_session(self._files.session, to_place) if move.replaces else []
                try:
                    renamed, change = await self._rename_stored(
                        source, target, from_place, to_place, move.replaces
                    )
                except NotFound:
                    if move.is_own or self._files.upload_of_nothing_stored(from_place) is None:
                        raise
                    if await self._replaces_stored(to_place, move.replaces):
                        for upload in pending.rows():
                            upload.take_over()
                except AlreadyExists:
                    if move.wanted_to_replace and not move.keeps_both:
                        self._files.mounts.rules.at(target).refuse_replacing()
                    raise
                fail_refused(self._files.access, pending.rows(), move)
                pending.done(to_place, target)
                if renamed is not None:
                    self._removal.note_emptied(source)
                    writers.stored_changed(from_place)
                    writers.stored_changed(to_place)
                self._removal.give_up(replaced)
            with suppress(StorageError):  # what is stored there hides it
                await self._files.kept.discard(to_place)
            if renamed is not None and move.is_own:
                info = await self._files.backend.file_info(to_place, self._files.session)
                self._files.access.note_renamed(move.source, move.named, OwnFile(target, to_place, info))
        except BaseException:
            change.leave()
            raise
        return renamed, change

    async def _rename_stored(
        self, source: VirtualPath, target: VirtualPath, origin: Place, goal: Place, overwrite: bool
    ) -> tuple[Renamed, AnnouncedChange]:
        async with self._files.shared.events.renamed.reserve() as announce:
            async with self._files.announced.rename(source, target, origin, goal) as change:
                await self._move(origin, goal, overwrite=overwrite)
            trace = self._files.shared.events.renamed.trace_context()
            renamed = Renamed(source.text, target.text, origin, goal, self._files.session, time.time(), trace)
            announce(renamed)
        return renamed, change

    async def _replaces_stored(self, place: Place, overwrite: bool) -> bool:
        """Whether an upload that is renamed to a place replaces a stored file. Raises what a storage would.

        Raises AlreadyExists: if a directory is there, or a file without `overwrite`; NotADirectory: if a
        parent is known to be a file.
        """
        try:
            info = await self._files.backend.file_info(place, self._files.session)
        except NotFound:
            await self._files.backend.refuse_file(place, self._files.session)
            return False
        if info.is_dir or not overwrite:
            raise AlreadyExists
        return True

    async def _move(self, source: Place, target: Place, *, overwrite: bool) -> None:
        """Rename. A directory replaces an empty one (POSIX), which is made again if the rename fails."""
        try:
            await self._files.backend.rename(source, target, self._files.session, overwrite=overwrite)
        except AlreadyExists:
            if not overwrite or not await self._are_directories(source, target):
                raise
        else:
            return
        with suppress(NotFound):
            await self._files.backend.del_dir(target, self._files.session)
        try:
            await self._files.backend.rename(source, target, self._files.session, overwrite=False)
        except BaseException:
            with suppress(StorageError):
                await self._files.backend.make_dir(target, self._files.session)
            raise

    async def _are_directories(self, *places: Place) -> bool:
        infos = [await self._files.backend.file_info(place, self._files.session) for place in places]
        return all(info.is_dir for info in infos)
