"""What the latest requests say of the store, so that nobody has to ask it for that alone.

    row 0     when a request last did what it should
    row 1 …   when a kind of request was last denied; 0 when one of that kind has done what it should since

Times are milliseconds of the clock that all processes of a machine share; each has a column.
"""

from __future__ import annotations

import math
from time import monotonic_ns

from s3sftp.backends.s3.iam_permissions import PERMISSIONS
from s3sftp.runtime.shared_counters import SharedCounters

_ROW = {api: row for row, api in enumerate(PERMISSIONS, 1)}
ROWS = 1 + len(_ROW)
_MILLISECOND = 1_000_000
_DENIED_SECONDS = 3600.0
"""How long a denial is worth telling that nothing has followed."""


class RequestOutcomes:
    """The table, as one process sees it."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        table = table if table is not None else SharedCounters.alone(ROWS)
        self._times = table.numbers
        self._columns, self._own = table.columns, table.column

    def succeeded(self, api: str) -> None:
        """A request has just been answered as it should."""
        self._times[self._own] = _now()
        denials = self._denials(api)
        if any(denials):
            for column in range(self._columns):
                denials[column] = 0

    def denied(self, api: str) -> None:
        """A request was refused for want of a permission."""
        denials = self._denials(api)
        if denials:
            denials[self._own] = _now()

    def last_success(self) -> float:
        """When any process had one, by `time.monotonic`."""
        latest = max(self._times[: self._columns])
        return latest / 1000 if latest else -math.inf

    def denials(self) -> list[str]:
        """The kinds of request that were denied in the last hour, and not answered since."""
        since = _now() - _DENIED_SECONDS * 1000
        return [api for api in _ROW if (latest := max(self._denials(api))) and latest >= since]

    def _denials(self, api: str) -> memoryview:
        row = _ROW.get(api)
        start, length = (row * self._columns, self._columns) if row else (0, 0)
        return self._times[start : start + length]


def _now() -> int:
    return monotonic_ns() // _MILLISECOND
