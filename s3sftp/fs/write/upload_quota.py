"""Counts the open uploads of each user over all workers of the server, for the limit per user.

Each user is hashed to a few rows of a shared table. The minimum of these rows is the user's count; it is too
high only if other users share all of them. Two workers that count the last permitted upload at the same
moment may both succeed.
"""

from __future__ import annotations

from s3sftp.runtime.shared_counters import SharedCounters, row_for

ROWS = 1 << 12
_HASHES = (0, 0x9E3779B9, 0x7F4A7C15)


class UploadQuota:
    """The counts, in a table that the workers share."""

    def __init__(self, table: SharedCounters) -> None:
        self._table = table

    def count(self, user: str) -> int:
        """The number of a user's open uploads in all workers."""
        return min(self._table.total(row) for row in self._rows(user))

    def add(self, user: str, count: int) -> None:
        """Add to this worker's part of a user's count."""
        for row in self._rows(user):
            self._table.add(row, count)

    def _rows(self, user: str) -> set[int]:
        return {row_for(user, len(self._table), salt) for salt in _HASHES}
