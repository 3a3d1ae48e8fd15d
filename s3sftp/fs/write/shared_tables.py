"""What the workers of a server tell each other about open files, in tables of numbers that they share.

`UserCounts` counts what each user has open, and `ChangedNames` the changes of each name. Both hash users or
names to the rows of a table of fixed size.
"""

from __future__ import annotations

from functools import lru_cache

from s3sftp.backends import Place
from s3sftp.runtime.shared_counters import SharedCounters, row_for

UPLOAD_ROWS = 1 << 12
_HASHES = (0, 0x9E3779B9, 0x7F4A7C15)
_REMEMBERED_USERS = 1024
"""Users whose rows need not be hashed again: each file that is opened counts twice, and so does its end."""
CHANGE_ROWS = 1 << 16
_ATTRIBUTES = 1
"""The hash salt that gives the attributes of a name a row of their own."""


class UserCounts:
    """Counts what each user has open over all workers, for a limit per user.

    Each user is hashed to a few rows. The minimum of these rows is the user's count; it is too high only if
    other users share all of them. Two workers that count the last one permitted at the same moment may both
    succeed.
    """

    def __init__(self, table: SharedCounters) -> None:
        self._table = table

    def count(self, user: str) -> int:
        """The user's number in all workers."""
        return min(self._table.total(row) for row in _rows(user, len(self._table)))

    def add(self, user: str, count: int) -> None:
        """Add to this worker's part of a user's count."""
        for row in _rows(user, len(self._table)):
            self._table.add(row, count)


@lru_cache(maxsize=_REMEMBERED_USERS)
def _rows(user: str, rows: int) -> frozenset[int]:
    return frozenset(row_for(user, rows, salt) for salt in _HASHES)


class ChangedNames:
    """Tells a worker of the names at which other workers have stored, renamed or removed a file.

    Different names may share a row. If the table reports a change, the caller has to ask the storage; if it
    reports none, there was none.
    """

    def __init__(self, table: SharedCounters) -> None:
        self._table = table

    def elsewhere(self, place: Place) -> int:
        """A counter that differs after another worker has changed the name."""
        return self._table.others(self._row(place))

    def changed(self, place: Place) -> None:
        """Notify the other workers. Must be called before the client gets its answer."""
        self._table.add(self._row(place))

    def attributes_elsewhere(self, place: Place) -> int:
        """A counter that differs after another worker has set the time or permissions of the stored file."""
        return self._table.others(self._row(place, _ATTRIBUTES))

    def attributes_changed(self, place: Place) -> None:
        """Notify the other workers of new attributes: the same content, but possibly another version."""
        self._table.add(self._row(place, _ATTRIBUTES))

    def _row(self, place: Place, salt: int = 0) -> int:
        name = place.key.decode("latin-1")
        return row_for(f"{place.storage}//{name}" if place.storage else name, len(self._table), salt)
