"""How much is kept in a bucket, as the metrics show it.

    sweep of the first worker      sets both numbers to what it has found
    kept, resumed, removed here    changes them at once, in whichever worker it happens
    … by another replica           shows with the next sweep

The numbers have one place for all workers, which each of them may overwrite. A change that is lost because
two came at once is corrected by the next sweep.
"""

from __future__ import annotations

from collections.abc import Collection

from s3sftp.backends.s3.kept.records import KeptRecord
from s3sftp.telemetry.metric_catalogue import KEPT_BYTES_NOW, KEPT_UPLOADS_NOW
from s3sftp.telemetry.metrics import Metrics


class KeptTotals:
    """The number and the bytes of the uploads that are kept in one storage. Storages that are too many for
    metrics to tell them apart overwrite each other's numbers."""

    def __init__(self, metrics: Metrics, storage: str) -> None:
        """`storage` is its name."""
        number = metrics.number_of(storage)
        self._table = metrics.table
        self._rows = (KEPT_UPLOADS_NOW.row(storage=number), KEPT_BYTES_NOW.row(storage=number))

    @property
    def are_counted_here(self) -> bool:
        """Whether the sweeps of this process count: one process of a server reads the records."""
        return self._table.column == 0

    def found(self, sizes: Collection[int]) -> None:
        """These are the sizes of all uploads that are kept now, in bytes."""
        for row, number in zip(self._rows, (len(sizes), sum(sizes)), strict=True):
            self._table.set_common(row, number)

    def added(self, record: KeptRecord) -> None:
        """A record has been written. Those of running uploads do not count."""
        self._change(record, 1)

    def removed(self, record: KeptRecord) -> None:
        """A record is gone, or its upload runs again."""
        self._change(record, -1)

    def _change(self, record: KeptRecord, sign: int) -> None:
        if record.state == "kept":
            for row, number in zip(self._rows, (1, record.size), strict=True):
                self._table.set_common(row, max(0, self._table.total(row) + sign * number))
