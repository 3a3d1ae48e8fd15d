"""How many files each user is writing, over all workers of the server.

Users fall on rows of a table, each on a few by different hashes; what the least of them says is the user's
count, as it is only too high where all of them are shared with somebody. Two workers that take the last place
at the same moment may both get it.
"""

from __future__ import annotations

from s3sftp.runtime.shared_counters import SharedCounters, row_for

ROWS = 1 << 12
_HASHES = (0, 0x9E3779B9, 0x7F4A7C15)


class UploadQuota:
    """Counts in a table that workers share."""

    def __init__(self, table: SharedCounters) -> None:
        self._table = table

    def count(self, user: str) -> int:
        """Of all workers together."""
        return min(self._table.total(row) for row in self._rows(user))

    def add(self, user: str, count: int) -> None:
        """Of this worker."""
        for row in self._rows(user):
            self._table.add(row, count)

    def _rows(self, user: str) -> set[int]:
        return {row_for(user, len(self._table), salt) for salt in _HASHES}
