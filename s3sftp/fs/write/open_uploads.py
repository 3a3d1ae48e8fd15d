"""Tracks the open uploads: which names are being written, by whom, and what has happened to the names.

STAT of a name shows a user the upload that is open there, unless something has happened to the name since.
After a commit, a rename or a removal of the stored file, STAT shows what is stored, and shows nothing of the
upload before its own CLOSE.

    RENAME of the name, or of a directory above     the uploads of the user in this process move along
    REMOVE                                          the uploads that go with the name are given up

Each worker has a table of its own. `ChangedNames` reports what the other workers have stored, renamed or
removed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

from s3sftp.backends import Place, Session
from s3sftp.errors import Busy
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.write.shared_tables import ChangedNames, UserCounts


class OpenUpload:
    """A row of the table: an upload, its session, and the place where it will be committed."""

    def __init__(self, place: Place, path: VirtualPath, session: Session) -> None:
        self.place = place
        self.path = path
        self.session = session
        self.superseded = False
        """Whether something was stored, renamed or removed at the place since the OPEN."""
        self.overtaken = False
        """Whether this process has changed the stored file since the OPEN, even if only its attributes."""
        self.overtaken_elsewhere = False
        """Whether another worker may have done so before the last rename of the upload."""
        self.seen_elsewhere = (0, 0)
        """The counters of `ChangedNames` at the OPEN, or at the last rename."""
        self.changes_elsewhere = 0
        """`ChangedNames.elsewhere` of the place when the upload was last known to be the latest change."""
        self.committing = False
        """Whether its CLOSE is committing it, so that its place cannot change any more."""
        self.over = asyncio.Event()
        """Set when the upload is committed, has failed or is aborted."""

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was written, truncated or set since the OPEN."""
        raise NotImplementedError

    @property
    def creates(self) -> bool:
        """Whether its CLOSE creates the file if there is none."""
        raise NotImplementedError

    def lead_to(self, place: Place, path: VirtualPath) -> None:
        """Follow a rename of the file or of a directory above it."""
        self.place = place
        self.path = path


U = TypeVar("U", bound=OpenUpload)


class OpenUploads(Generic[U]):
    """The uploads of this process. `most_per_user` limits those of a user in the whole server."""

    def __init__(self, most_per_user: int, quota: UserCounts, changes: ChangedNames) -> None:
        self._most_per_user = most_per_user
        self._quota = quota
        self._changes = changes
        self._rows: defaultdict[Place, list[U]] = defaultdict(list)
        self._moves: set[PendingRename[U]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    @contextmanager
    def reserve(self, user: str) -> Iterator[None]:
        """Count an upload while its file is being opened, before anything is awaited.

        The count ends when the row is removed, or at once if the opening fails. Raises Busy: at the limit.
        """
        if self._quota.count(user) >= self._most_per_user:
            raise Busy(f"too many uploads at once (at most {self._most_per_user})")
        self._quota.add(user, 1)
        try:
            yield
        except BaseException:
            self._quota.add(user, -1)
            raise

    def add(self, row: U) -> None:
        """Add the row of a file that `reserve` has counted."""
        row.changes_elsewhere = self._changes.elsewhere(row.place)
        row.seen_elsewhere = self._seen_elsewhere(row.place)
        self._rows[row.place].append(row)

    def remove(self, row: U) -> None:
        """Remove the row of an upload that has ended or was given up."""
        if self._take_out(row):
            self._quota.add(row.session.user, -1)

    # ── what happens to names ───────────────────────────────────────────────────────────────────────

    def shown(self, user: str, place: Place) -> U | None:
        """The upload that STAT of the name may show: the user's last one that is not superseded. Uploads that
        have been written to take precedence over untouched ones."""
        rows = [row for row in self._rows.get(place, ()) if row.session.user == user and not row.superseded]
        written = [row for row in rows if not row.is_untouched]
        shown = written or [row for row in rows if row.creates]
        return shown[-1] if shown else None

    def is_latest(self, row: U) -> bool:
        """Whether nothing has happened to the name since. If False, the storage must be asked first."""
        return not row.is_untouched and self._changes.elsewhere(row.place) == row.changes_elsewhere

    def nothing_is_stored_at(self, row: U) -> None:
        """Note the storage's answer that nothing is stored at the place, so that the upload is the latest."""
        row.changes_elsewhere = self._changes.elsewhere(row.place)

    def stored_changed(self, place: Place, by: U | None = None) -> None:
        """Note that a file was stored, renamed or removed at the place. Supersedes all uploads but `by`."""
        self._changes.changed(place)
        for row in self._rows.get(place, ()):
            row.superseded = row is not by
            row.overtaken = row.overtaken or row is not by

    def attributes_changed(self, place: Place) -> None:
        """Note that the time or permissions of the file stored at the place were set."""
        self._changes.attributes_changed(place)
        for row in self._rows.get(place, ()):
            row.overtaken = True

    def may_be_overtaken(self, row: U) -> bool:
        """Whether this server may have changed the stored file since the OPEN. Certain for this process; for
        other workers, the change may have been to another name."""
        elsewhere = row.overtaken_elsewhere or self._seen_elsewhere(row.place) != row.seen_elsewhere
        return row.overtaken or elsewhere

    def of_session(self, session: Session, place: Place) -> list[U]:
        """The uploads of a session to a place."""
        return [row for row in self._rows.get(place, ()) if row.session is session]

    def sent_elsewhere(self, row: U) -> list[U]:
        """The uploads that other sessions of a row's user are sending to its place."""
        return [
            other
            for other in self._rows.get(row.place, ())
            if other.session.user == row.session.user
            and other.session is not row.session
            and not other.superseded
            and not other.is_untouched
        ]

    def is_open(self, place: Place) -> bool:
        """Whether anybody uploads to a place in this process."""
        return bool(self._rows.get(place))

    def shown_or_of(self, session: Session, place: Place) -> list[U]:
        """The uploads of a session to a place, and those of its user that STAT may show there."""
        return [
            row
            for row in self._rows.get(place, ())
            if row.session is session or (row.session.user == session.user and not row.superseded)
        ]

    # ── renames ─────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def moving(self, user: str, source: Place) -> AsyncIterator[PendingRename[U]]:
        """Hold during the rename of a file or directory. Waits for commits at or below it that have begun,
        and makes later ones wait until the rename has ended."""
        move = PendingRename(self, user, source)
        self._moves.add(move)
        try:
            while committing := [row for row in move.rows() if row.committing and not row.over.is_set()]:
                await committing[0].over.wait()
            yield move
        finally:
            self._moves.discard(move)
            move.over.set()

    async def until_still(self, row: U) -> None:
        """Wait for pending renames of the row's place or of a directory above it. The place is certain until
        the caller awaits something else."""
        while moves := [move for move in self._moves if move.covers(row)]:
            await moves[0].over.wait()

    def all(self) -> list[U]:
        return [row for rows in self._rows.values() for row in rows]

    def lead_to(self, row: U, place: Place, path: VirtualPath) -> None:
        """Move a row to another place."""
        row.overtaken_elsewhere = self.may_be_overtaken(row)
        if self._take_out(row):
            row.lead_to(place, path)
            self.add(row)

    def _seen_elsewhere(self, place: Place) -> tuple[int, int]:
        return self._changes.elsewhere(place), self._changes.attributes_elsewhere(place)

    def _take_out(self, row: U) -> bool:
        rows = self._rows.get(row.place, [])
        if row not in rows:
            return False
        rows.remove(row)
        if not rows:
            del self._rows[row.place]
        return True


class PendingRename(Generic[U]):
    """A rename under way, of a file or of a directory with uploads in it."""

    def __init__(self, uploads: OpenUploads[U], user: str, source: Place) -> None:
        self._uploads = uploads
        self._user = user
        self._source = source
        self.over = asyncio.Event()

    def covers(self, row: OpenUpload) -> bool:
        """Whether an upload is at or below the source and belongs to the user. Uploads of other users do not
        move along, because the target may be outside of what those users may see."""
        return row.session.user == self._user and row.place.is_within(self._source)

    def rows(self) -> list[U]:
        return [row for row in self._uploads.all() if self.covers(row)]

    def done(self, target: Place, path: VirtualPath) -> None:
        """Move the uploads at or below the source to the new name, because the rename is done."""
        depth = len(self._source.names)
        for row in self.rows():
            below = row.place.names[depth:]
            self._uploads.lead_to(
                row, Place(target.names + below, target.storage), VirtualPath(path.names + below)
            )
