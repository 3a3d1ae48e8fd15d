"""Divides the memory in which a server's workers share what they learn about a bucket.

    made        names that the server has created, and as what         created_names.py
    contact     when a request last succeeded, or was denied           request_outcomes.py
    features    features that the store lacks                          features.py
    versions    metadata of versions of files                          version_cache.py

The rest of the server sees one table of `ROWS` rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s3sftp.backends.s3.features import ROWS as _FEATURE_ROWS
from s3sftp.backends.s3.metadata.created_names import ROWS as _MADE_ROWS
from s3sftp.backends.s3.metadata.version_cache import ROWS as _VERSION_ROWS
from s3sftp.backends.s3.request_outcomes import ROWS as _CONTACT_ROWS
from s3sftp.runtime.shared_counters import SharedCounters

_ROWS: Final = (_MADE_ROWS, _CONTACT_ROWS, _FEATURE_ROWS, _VERSION_ROWS)
ROWS: Final = sum(_ROWS)


@dataclass(frozen=True, slots=True)
class WorkerTables:
    """The shared table, divided into its parts."""

    made: SharedCounters
    contact: SharedCounters
    features: SharedCounters
    versions: SharedCounters

    @classmethod
    def of(cls, table: SharedCounters | None = None) -> WorkerTables:
        """Divide a table of `ROWS` rows. None: this process is the whole server and gets its own table."""
        return cls(*(table or SharedCounters.alone(ROWS)).split(*_ROWS))
