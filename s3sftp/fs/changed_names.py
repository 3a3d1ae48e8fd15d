"""Tells workers of the names at which other workers have stored, renamed or removed a file.

Names are hashed to rows of a table that the workers share, so different names may share a row. If the table
reports a change, the caller has to ask the storage; if it reports none, there was none.
"""

from __future__ import annotations

from s3sftp.backends import Place
from s3sftp.runtime.shared_counters import SharedCounters, row_for

ROWS = 1 << 16
_ATTRIBUTES = 1
"""The hash salt that gives the attributes of a name a row of their own."""


class ChangedNames:
    """One worker's view of the shared table."""

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
        return row_for(place.key.decode("latin-1"), len(self._table), salt)
