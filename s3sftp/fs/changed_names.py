"""Which names the server's other workers have changed: stored, renamed or removed a file there.

Names fall on rows of a table that workers share, so others may fall on the same row: what this says may have
changed is to be asked of the storage, and what has not, has not.
"""

from __future__ import annotations

from s3sftp.backends import Place
from s3sftp.runtime.shared_counters import SharedCounters, row_for

ROWS = 1 << 16
_ATTRIBUTES = 1
"""The salt that puts a name's attributes on another row than the name."""


class ChangedNames:
    """The table as one worker uses it."""

    def __init__(self, table: SharedCounters) -> None:
        self._table = table

    def elsewhere(self, place: Place) -> int:
        """Another number whenever another worker has changed the name."""
        return self._table.others(self._row(place))

    def changed(self, place: Place) -> None:
        """Tell the others, before the client hears of it."""
        self._table.add(self._row(place))

    def attributes_elsewhere(self, place: Place) -> int:
        """The same for changes of a stored file's time or permissions."""
        return self._table.others(self._row(place, _ATTRIBUTES))

    def attributes_changed(self, place: Place) -> None:
        """The file is the one that it was, but the storage may have given it another version."""
        self._table.add(self._row(place, _ATTRIBUTES))

    def _row(self, place: Place, salt: int = 0) -> int:
        return row_for(place.key.decode("latin-1"), len(self._table), salt)
