"""What the workers of a server tell each other about a bucket.

    made        names that the server has made, and of which kind      created_names.py
    contact     when a request last succeeded, or was denied           request_outcomes.py
    features    what the store was found to lack                       features.py
    versions    metadata of versions of files                          version_cache.py

To the rest of the server it is one table of `ROWS` rows.
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
    """The table in its parts."""

    made: SharedCounters
    contact: SharedCounters
    features: SharedCounters
    versions: SharedCounters

    @classmethod
    def of(cls, table: SharedCounters | None = None) -> WorkerTables:
        """Divide a table of `ROWS` rows. None: this process is the whole server, and the table its own."""
        return cls(*(table or SharedCounters.alone(ROWS)).split(*_ROWS))
