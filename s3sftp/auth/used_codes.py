"""Remembers which verification codes have been used, so that nobody can use one again (RFC 6238, 5.2).

It is a table of numbers that all workers of a server share. Each number is a time step and a part of a hash
of the user's secret; each worker writes its own column, and a code is used if any column has its step or a
later one. Other servers do not share the table, and a restart empties it: within the 90 seconds for which a
code is valid, it can be used once on each of them, unless they share a `CodeRegister` as well.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Protocol

from s3sftp.runtime.shared_counters import SharedCounters

ROWS = 1 << 16
"""Rows of the table. If two users have the same row and log in on one worker within 90 s, the first one's
code is forgotten."""
_STEP_BITS = 32
_STEP_MASK = (1 << _STEP_BITS) - 1


class CodeRegister(Protocol):
    """The codes that users have logged in with on any replica."""

    async def use(self, secret: str, step: int) -> bool:
        """Use the code of a time step. Returns False if it, or a later one, has been used.

        Raises UsersUnavailable: if nobody knows.
        """


class UsedCodes:
    """The codes that users have logged in with."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        """`table` has `ROWS` rows. None: a table of this process alone."""
        self._table = table or SharedCounters.alone(ROWS)

    def use(self, secret: str, step: int) -> bool:
        """Use the code of a time step. Returns False if it, or a later one, has been used.

        If two workers do so at the same moment, neither may succeed, but not both.
        """
        # what others cannot compute: they could choose a name that makes the server forget a code
        digest = int.from_bytes(blake2b(secret.encode("ascii"), digest_size=8).digest(), "big")
        row, tag = digest % len(self._table), digest >> _STEP_BITS
        if self._latest(row, tag, others_only=False) >= step:
            return False
        self._table.set(row, tag << _STEP_BITS | step & _STEP_MASK)
        return self._latest(row, tag, others_only=True) < step

    def _latest(self, row: int, tag: int, *, others_only: bool) -> int:
        latest = -1
        for column in range(self._table.columns):
            number = self._table.in_column(row, column)
            if number >> _STEP_BITS == tag and not (others_only and column == self._table.column):
                latest = max(latest, number & _STEP_MASK)
        return latest
