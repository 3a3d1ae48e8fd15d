"""The table of open uploads: which names are being written, by whom, and what became of the names meanwhile.

STAT of a name shows its user the upload that is open there, as long as nothing later has happened to the
name. A commit, a rename or a removal of what is stored there is later: from then on the name is what is
stored, and of the upload nothing is seen before its own CLOSE.

    RENAME of the name, or of a directory above     the uploads of the user in this process move along
    REMOVE                                          the uploads that go with the name are given up

With several workers each has a table of its own; what the others have stored, renamed or removed is told by
`ChangedNames`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

from s3sftp.backends import Place, Session
from s3sftp.errors import Busy
from s3sftp.fs.changed_names import ChangedNames
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.write.upload_quota import UploadQuota


class OpenUpload:
    """A row: whose upload it is, and where it leads."""

    def __init__(self, place: Place, path: VirtualPath, session: Session) -> None:
        self.place = place
        self.path = path
        self.session = session
        self.superseded = False
        """Something was stored, renamed or removed at the place since it was opened."""
        self.overtaken = False
        """This process has changed what is stored at the place since it was opened, be it only its time."""
        self.overtaken_elsewhere = False
        """Another worker may have, before the last change of its name."""
        self.seen_elsewhere = (0, 0)
        """What `ChangedNames` said of other workers' changes when it was opened, or got its last name."""
        self.changes_elsewhere = 0
        """`ChangedNames.elsewhere` of the place when it was known last that this is the latest."""
        self.committing = False
        """Its CLOSE publishes it: where it leads cannot be changed any more."""
        self.over = asyncio.Event()
        """Published, failed or aborted."""

    @property
    def is_untouched(self) -> bool:
        """Whether it is only open: nothing was written, truncated or set."""
        raise NotImplementedError

    @property
    def creates(self) -> bool:
        """Whether its CLOSE makes the file when there is none."""
        raise NotImplementedError

    def lead_to(self, place: Place, path: VirtualPath) -> None:
        """The name was changed, or that of a directory above."""
        self.place = place
        self.path = path


U = TypeVar("U", bound=OpenUpload)


class OpenUploads(Generic[U]):
    """The rows. The limit is that of the whole server."""

    def __init__(self, most_per_user: int, tally: UploadQuota, changes: ChangedNames) -> None:
        self._most_per_user = most_per_user
        self._tally = tally
        self._changes = changes
        self._rows: defaultdict[Place, list[U]] = defaultdict(list)
        self._moves: set[PendingRename[U]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    @contextmanager
    def place_for(self, user: str) -> Iterator[None]:
        """Around the opening of a file: its place is taken before anything is awaited.

        The place goes with the row, or at once when the opening fails. Raises Busy at the limit.
        """
        if self._tally.count(user) >= self._most_per_user:
            raise Busy(f"too many uploads at once (at most {self._most_per_user})")
        self._tally.add(user, 1)
        try:
            yield
        except BaseException:
            self._tally.add(user, -1)
            raise

    def add(self, row: U) -> None:
        """Add the row of a file for which a place was taken."""
        row.changes_elsewhere = self._changes.elsewhere(row.place)
        row.seen_elsewhere = self._seen_elsewhere(row.place)
        self._rows[row.place].append(row)

    def remove(self, row: U) -> None:
        """It is over, or given up."""
        if self._take_out(row):
            self._tally.add(row.session.user, -1)

    # ── what happens to names ───────────────────────────────────────────────────────────────────────

    def shown(self, user: str, place: Place) -> U | None:
        """The upload that STAT of the name may show: the user's last one that nothing came after. One that is
        only open is shown where nothing was written to any."""
        rows = [row for row in self._rows.get(place, ()) if row.session.user == user and not row.superseded]
        written = [row for row in rows if not row.is_untouched]
        shown = written or [row for row in rows if row.creates]
        return shown[-1] if shown else None

    def is_latest(self, row: U) -> bool:
        """Whether nothing at all came after it; False: the storage must be asked first."""
        return not row.is_untouched and self._changes.elsewhere(row.place) == row.changes_elsewhere

    def nothing_is_stored_at(self, row: U) -> None:
        """The storage was asked: nothing that came after it has left anything there."""
        row.changes_elsewhere = self._changes.elsewhere(row.place)

    def stored_changed(self, place: Place, by: U | None = None) -> None:
        """A file was stored, renamed or removed at the place: open uploads are not the latest there."""
        self._changes.changed(place)
        for row in self._rows.get(place, ()):
            row.superseded = row is not by
            row.overtaken = row.overtaken or row is not by

    def attributes_changed(self, place: Place) -> None:
        """The time or the permissions of the file that is stored at the place were set."""
        self._changes.attributes_changed(place)
        for row in self._rows.get(place, ()):
            row.overtaken = True

    def may_be_overtaken(self, row: U) -> bool:
        """Whether this server has changed what is stored there since the row was opened. For sure in this
        process; in other workers, it may be that another name was changed."""
        elsewhere = row.overtaken_elsewhere or self._seen_elsewhere(row.place) != row.seen_elsewhere
        return row.overtaken or elsewhere

    def of_session(self, session: Session, place: Place) -> list[U]:
        """What a session has open for writing at a name."""
        return [row for row in self._rows.get(place, ()) if row.session is session]

    def shown_or_of(self, session: Session, place: Place) -> list[U]:
        """The same, and what STAT may show the user there."""
        return [
            row
            for row in self._rows.get(place, ())
            if row.session is session or (row.session.user == session.user and not row.superseded)
        ]

    # ── renames ─────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def moving(self, user: str, source: Place) -> AsyncIterator[PendingRename[U]]:
        """Around the rename of a file or directory: CLOSEs in it that have begun end before, others begin
        after it."""
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
        """Wait for renames under way of what the row is in. Where it leads is sure until the caller waits
        for something else."""
        while moves := [move for move in self._moves if move.covers(row)]:
            await moves[0].over.wait()

    def all(self) -> list[U]:
        return [row for rows in self._rows.values() for row in rows]

    def lead_to(self, row: U, place: Place, path: VirtualPath) -> None:
        """Change where a row leads."""
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
    """A rename under way."""

    def __init__(self, uploads: OpenUploads[U], user: str, source: Place) -> None:
        self._uploads = uploads
        self._user = user
        self._source = source
        self.over = asyncio.Event()

    def covers(self, row: OpenUpload) -> bool:
        """Whether an upload leads to the source or below it. Those of other users do not move along: it
        could lead out of what they may see."""
        return row.session.user == self._user and row.place.is_within(self._source)

    def rows(self) -> list[U]:
        return [row for row in self._uploads.all() if self.covers(row)]

    def done(self, target: Place, path: VirtualPath) -> None:
        """The source has the new name now, and what is open in it leads there."""
        depth = len(self._source.names)
        for row in self.rows():
            below = row.place.names[depth:]
            self._uploads.lead_to(row, Place(target.names + below), VirtualPath(path.names + below))
