"""What metrics say of the requests of all sessions: how many, how long, how they ended."""

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
"""The last byte of a STATUS answer's code, which is in the first bytes of the packet: its codes are small."""


def _rows(operation: str, status: str) -> tuple[int, int, int]:
    """The rows of the number, of the first bucket, and of the sum."""
    buckets = OPERATION_DURATION.row(operation, "ok" if status in ("ok", "eof") else "error")
    return OPERATIONS_TOTAL.row(operation, status), buckets, buckets + OPERATION_DURATION.width - 1


_ROWS = {name: [_rows(name, status) for status in STATUSES] for name in OPERATIONS}


class RequestMetrics:
    """Counts each request when it is answered, by what the answer says to the client."""

    def __init__(self, metrics: Metrics) -> None:
        self._numbers = metrics.table.numbers
        self._columns = metrics.table.columns
        self._column = metrics.table.column

    def count(self, operation: str, answer: Answer, seconds: float) -> None:
        """One that was answered so long after it came.

        READ and WRITE come by here, each of them: it is `Metrics.add` and `Metrics.took` without the calls.
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
    """What a request counts as, by the name that the log has."""
    operation = name.lower()
    return operation if operation in _KNOWN else "unknown"


def operation_of_packet(kind: int, packet: bytes) -> str:
    """What a request counts as, before it is understood or when it cannot be."""
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
