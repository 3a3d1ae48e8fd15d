"""Announces removals and renames to other systems: around the call that makes the change.

The entry in the outbox comes before it, and what is known of the file with it, because afterwards nobody can
ask.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import (
    AlreadyExists,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    StorageError,
    outcome_is_unknown,
)
from s3sftp.events.announcements import NO_CHANGE, AnnouncedChange, Announcer, etag_of
from s3sftp.events.outbox.entries import Check
from s3sftp.fs.paths import VirtualPath

_REFUSALS = (AlreadyExists, InvalidRequest, IsADirectory, NotADirectory, NotEmpty, NotFound)
"""Errors of a change that has not begun."""


class AnnouncedChanges:
    """The changes of one session."""

    def __init__(self, announcer: Announcer, backend: CompleteBackend, session: Session) -> None:
        self._announcer = announcer
        self._backend = backend
        self._session = session

    @asynccontextmanager
    async def removal(self, path: VirtualPath, place: Place) -> AsyncIterator[AnnouncedChange]:
        """Around the removal of a file. Yields what is to be acknowledged afterwards."""
        change = self._announcer.removal(path.text, place, self._session)
        info = await self._known(place) if change.is_wanted else None
        if info is None or info.is_dir:
            yield NO_CHANGE
            return
        check = Check("remove", place, version=info.version, size=info.size)
        await change.begin(check, size=info.size, etag=etag_of(info.version))
        async with _made(change):
            yield change

    @asynccontextmanager
    async def rename(
        self, source: VirtualPath, target: VirtualPath, origin: Place, goal: Place
    ) -> AsyncIterator[AnnouncedChange]:
        """Around the rename of a file or a directory. Yields what is to be acknowledged afterwards."""
        is_wanted = self._announcer.may_tell_of_rename(source.text, target.text)
        info = await self._known(origin) if is_wanted else None
        if info is None:
            yield NO_CHANGE
            return
        change = self._announcer.rename(
            source.text, target.text, origin, goal, self._session, is_dir=info.is_dir
        )
        if info.is_dir:
            await change.begin(Check("rename_directory", origin, goal))
        else:
            check = Check("rename", origin, goal, version=info.version, size=info.size)
            await change.begin(check, size=info.size, etag=etag_of(info.version))
        async with _made(change):
            yield change

    async def _known(self, place: Place) -> FileInfo | None:
        """What is there, often without a request; None for nothing, which the change itself reports."""
        try:
            return await self._backend.recent_info(place, self._session)
        except NotFound:
            return None


@asynccontextmanager
async def _made(change: AnnouncedChange) -> AsyncIterator[None]:
    """Around the call: its outcome is that of the change. A rename that has failed may have published its
    target all the same, so what is stored decides."""
    try:
        yield
    except StorageError as error:
        if isinstance(error, _REFUSALS) and not outcome_is_unknown(error):
            change.nothing_happened()
        else:
            change.in_doubt(_tell_nothing)
        raise
    except BaseException:
        change.in_doubt(_tell_nothing)
        raise
    change.happened()


def _tell_nothing() -> None:
    """Nobody is told of a removal or a rename that has failed."""
