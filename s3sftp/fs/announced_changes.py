"""Announces removals and renames to other systems: around the call that makes the change.

The entry in the outbox comes before it, and what is known of the file with it, because afterwards nobody can
ask.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    PermissionDenied,
    StorageError,
    outcome_is_unknown,
)
from s3sftp.events.announcements import NO_CHANGE, AnnouncedChange, Announcer, etag_of
from s3sftp.events.outbox.entries import Check
from s3sftp.fs.paths import VirtualPath

_REFUSALS: Final = (AlreadyExists, InvalidRequest, IsADirectory, NotADirectory, NotEmpty, NotFound)
"""Errors of a change that has not begun."""
_REFUSED_REMOVALS: Final = (*_REFUSALS, Busy, Changed, PermissionDenied)
"""Errors of a removal that has not been made: it is one step, while a rename may have been half made."""
_MOST_DOUBTS: Final = 100


class AnnouncedChanges:
    """The changes of one session."""

    def __init__(self, announcer: Announcer, backend: CompleteBackend, session: Session) -> None:
        self._announcer = announcer
        self._backend = backend
        self._session = session
        self._doubts: OrderedDict[tuple[Check, float | None], AnnouncedChange] = OrderedDict()
        """Changes in doubt, by what they were to do to which file: the client often tries again. Least recent
        first."""

    @asynccontextmanager
    async def removal(self, path: VirtualPath, place: Place) -> AsyncIterator[AnnouncedChange]:
        """Around the removal of a file. Yields what is to be acknowledged afterwards."""
        change = self._announcer.removal(path.text, place, self._session)
        info = await self._known(place) if change.is_wanted else None
        if info is None or info.is_dir:
            yield NO_CHANGE
            return
        check = Check("remove", place, version=info.version, size=info.size)
        facts = {"size": info.size, "etag": etag_of(info.version)}
        async with self._around(change, check, info, _REFUSED_REMOVALS, facts) as change:
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
            check, facts = Check("rename_directory", origin, goal), {}
        else:
            check = Check("rename", origin, goal, version=info.version, size=info.size)
            facts = {"size": info.size, "etag": etag_of(info.version)}
        async with self._around(change, check, info, _REFUSALS, facts) as change:
            yield change

    @asynccontextmanager
    async def _around(
        self,
        change: AnnouncedChange,
        check: Check,
        info: FileInfo,
        refusals: tuple[type[StorageError], ...],
        facts: dict[str, Any],
    ) -> AsyncIterator[AnnouncedChange]:
        """Around the change, or another attempt at the same one, while that is in doubt. After a refusal of
        such an attempt it still is, since the first one may be the reason."""
        attempt = (check, info.mtime)
        doubtful = self._doubts.pop(attempt, None)
        again = None if doubtful is None else doubtful.made_again()
        if again is None:
            await change.begin(check, **facts)
        else:
            change, refusals = again, ()
        try:
            async with _made(change, refusals):
                yield change
        finally:
            if change.is_in_doubt:
                self._doubts[attempt] = change
                if len(self._doubts) > _MOST_DOUBTS:
                    self._doubts.popitem(last=False)

    async def _known(self, place: Place) -> FileInfo | None:
        """What is there, often without a request; None for nothing, which the change itself reports."""
        try:
            return await self._backend.recent_info(place, self._session)
        except NotFound:
            return None


@asynccontextmanager
async def _made(change: AnnouncedChange, refusals: tuple[type[StorageError], ...]) -> AsyncIterator[None]:
    """Around the call: its outcome is that of the change. `refusals` are errors after which it is certainly
    not made; after others, such as of a rename that may have published its target, what is stored decides."""
    try:
        yield
    except StorageError as error:
        if isinstance(error, refusals) and not outcome_is_unknown(error):
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
