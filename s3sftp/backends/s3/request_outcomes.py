"""Records when requests to the store last succeeded or were denied, so that no probe has to ask for that.

    row 0     when any request last succeeded
    row 1 …   when this kind of request was last denied; 0 if one has succeeded since

Times are milliseconds of the clock that all processes of a machine share. Each process has a column.
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
"""How long a denial counts if no success follows it."""


class RequestOutcomes:
    """The shared table, as one process uses it."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        table = table if table is not None else SharedCounters.alone(ROWS)
        self._times = table.numbers
        self._columns, self._own = table.columns, table.column

    def succeeded(self, api: str) -> None:
        """Record that a request has succeeded now."""
        self._times[self._own] = _now()
        denials = self._denials(api)
        if any(denials):
            for column in range(self._columns):
                denials[column] = 0

    def denied(self, api: str) -> None:
        """Record that a request was denied now because a permission is missing."""
        denials = self._denials(api)
        if denials:
            denials[self._own] = _now()

    def last_success(self) -> float:
        """When a request of any process last succeeded, by `time.monotonic` in seconds; -inf if none has."""
        latest = max(self._times[: self._columns])
        return latest / 1000 if latest else -math.inf

    def denials(self) -> list[str]:
        """The kinds of request that were denied in the last hour and have not succeeded since."""
        since = _now() - _DENIED_SECONDS * 1000
        return [api for api in _ROW if (latest := max(self._denials(api))) and latest >= since]

    def _denials(self, api: str) -> memoryview:
        row = _ROW.get(api)
        start, length = (row * self._columns, self._columns) if row else (0, 0)
        return self._times[start : start + length]


def _now() -> int:
    return monotonic_ns() // _MILLISECOND
