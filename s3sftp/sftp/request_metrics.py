"""Counts and times the requests of all sessions for the metrics, by operation and status."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress

from s3sftp.sftp.codec import Answer, BadMessage, FieldReader, PacketType
from s3sftp.telemetry.metric_catalogue import (
    MICRO,
    OPERATION_DURATION,
    OPERATIONS,
    OPERATIONS_TOTAL,
    STATUSES,
)
from s3sftp.telemetry.metrics import Metrics

_LIMITS = OPERATION_DURATION.limits
_STATUS = int(PacketType.STATUS)
_TYPE_AT = 4
_CODE_AT = 12
"""The offset of the last byte of a STATUS answer's code. It is enough, because all codes are below 256."""


def _rows(operation: str, status: str) -> tuple[int, int, int]:
    """The rows of the counter, of the histogram's first bucket, and of its sum."""
    buckets = OPERATION_DURATION.row(operation, "ok" if status in ("ok", "eof") else "error")
    return OPERATIONS_TOTAL.row(operation, status), buckets, buckets + OPERATION_DURATION.width - 1


_ROWS = {name: [_rows(name, status) for status in STATUSES] for name in OPERATIONS}


class RequestMetrics:
    """Counts each request when it is answered, by the status of the answer."""

    def __init__(self, metrics: Metrics) -> None:
        self._numbers = metrics.table.numbers
        self._columns = metrics.table.columns
        self._column = metrics.table.column

    def count(self, operation: str, answer: Answer, seconds: float) -> None:
        """Count a request that was answered `seconds` after its arrival.

        Every READ and WRITE calls this, so it inlines `Metrics.add` and `Metrics.took`.
        """
        numbers, columns, column = self._numbers, self._columns, self._column
        head = answer[0] if isinstance(answer, list) else answer
        status = head[_CODE_AT] if head[_TYPE_AT] == _STATUS else 0
        requests, buckets, total = _ROWS[operation][status]
        duration = int(seconds * MICRO)
        numbers[requests * columns + column] += 1
        numbers[(buckets + bisect_left(_LIMITS, duration)) * columns + column] += 1
        numbers[total * columns + column] += duration


def operation_of(name: str) -> str:
    """The operation that a request counts as, by its name in the log."""
    operation = name.lower()
    return operation if operation in _KNOWN else "unknown"


def operation_of_packet(kind: int, packet: bytes) -> str:
    """The operation that a packet counts as if it has not been, or cannot be, parsed."""
    operation = _OPERATION_OF.get(kind)
    if operation is not None:
        return operation
    if kind == PacketType.EXTENDED:
        with suppress(BadMessage):
            fields = FieldReader(packet)
            fields.u32()
            return operation_of(fields.string().decode("ascii", "replace").removesuffix("@openssh.com"))
    return "unknown"


_KNOWN = frozenset(OPERATIONS)
_OPERATION_OF = {int(kind): kind.name.lower() for kind in PacketType if kind.name.lower() in _KNOWN}
