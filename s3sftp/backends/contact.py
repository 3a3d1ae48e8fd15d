"""When the storage last did what it was asked, so that nobody has to ask it for that alone."""

from __future__ import annotations

import math
from time import monotonic_ns

from s3sftp.counters import Table

ROWS = 1
_MILLISECOND = 1_000_000


class Contact:
    """One number for each process of a server: the time of its last success, by the clock that they share."""

    def __init__(self, table: Table | None = None) -> None:
        table = table if table is not None else Table.alone(ROWS)
        self._times = table.numbers
        self._own = table.column

    def succeeded(self) -> None:
        """A request has just been answered as it should."""
        self._times[self._own] = monotonic_ns() // _MILLISECOND

    def last_success(self) -> float:
        """When that was, in any of the processes, by `time.monotonic`."""
        latest = max(self._times)
        return latest / 1000 if latest else -math.inf
