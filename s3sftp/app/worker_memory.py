"""Divides the memory that a server's workers share among its users.

    uploads    files that each user is writing                          fs/write/shared_tables.py
    handles    files and directories that each user has open             sftp/user_handles.py
    stored     names that have been stored, renamed or removed          fs/write/shared_tables.py
    codes      verification codes that have been used                   auth/used_codes.py
    rates      what users have moved lately                             runtime/rate_buckets.py
    quotas     what is stored where there are quotas                    fs/quota/shared_counts.py
    metrics    every metric                                             telemetry/metric_catalogue.py
    storage    what the workers share about each storage                app/storages.py divides it further

It is one table: a column for each worker, and the last one for the supervisor.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3sftp.app.backends import SHARED_ROWS
from s3sftp.auth.used_codes import ROWS as _CODE_ROWS
from s3sftp.fs.quota.shared_counts import ROWS as _QUOTA_ROWS
from s3sftp.fs.write.shared_tables import CHANGE_ROWS, UPLOAD_ROWS
from s3sftp.runtime.rate_buckets import ROWS as _RATE_ROWS
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from s3sftp.sftp.user_handles import ROWS as _HANDLE_ROWS
from s3sftp.telemetry.metric_catalogue import ROWS as _METRIC_ROWS

_ROWS = (UPLOAD_ROWS, _HANDLE_ROWS, CHANGE_ROWS, _CODE_ROWS, _RATE_ROWS, _QUOTA_ROWS, _METRIC_ROWS)
"""Of all parts but the last, which has the rest of the table."""


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """The memory as one process sees it: each part is a table, in which the process writes its own column."""

    uploads: SharedCounters
    handles: SharedCounters
    stored: SharedCounters
    codes: SharedCounters
    rates: SharedCounters
    quotas: SharedCounters
    metrics: SharedCounters
    storage: SharedCounters

    @classmethod
    def of_worker(cls, descriptor: int, workers: int, number: int) -> WorkerMemory:
        """The memory in a file from `make_memory`, for the worker with this number, counted from 1."""
        return cls._in_column(descriptor, workers, number - 1)

    @classmethod
    def of_supervisor(cls, descriptor: int, workers: int) -> WorkerMemory:
        """The same for the supervisor."""
        return cls._in_column(descriptor, workers, workers)

    @classmethod
    def _in_column(cls, descriptor: int, workers: int, column: int) -> WorkerMemory:
        table = SharedCounters.shared(descriptor, workers + 1, column)
        return cls(*table.split(*_ROWS, len(table) - sum(_ROWS)))


def make_memory(workers: int, storage_rows: int = SHARED_ROWS) -> int:
    """An in-memory file that the workers inherit; the caller closes it. `storage_rows`: for all storages."""
    return create_shared_file(sum(_ROWS) + storage_rows, workers + 1)
