"""Knows when each storage last answered, in memory that the workers share.

The storage of `backend` has no name, those of `[storages.NAME]` follow in the order of the configuration.
Each has a part of the memory for itself.
"""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic

from s3sftp.admin.storage_check import FRESH_SECONDS
from s3sftp.app.backends import SHARED_ROWS, contact_in
from s3sftp.app.options import ServerOptions
from s3sftp.runtime.shared_counters import SharedCounters


def shared_rows(options: ServerOptions) -> int:
    """Rows of the memory in which workers share what they know about all storages."""
    return SHARED_ROWS * len(options.storage_names)


def shared_tables(options: ServerOptions, shared: SharedCounters) -> dict[str, SharedCounters]:
    """The part of each storage in a table of `shared_rows`."""
    names = options.storage_names
    return {name: shared.part(at * SHARED_ROWS, SHARED_ROWS) for at, name in enumerate(names)}


class StorageContacts:
    """When requests to each storage last succeeded or were denied, in all workers."""

    def __init__(self, options: ServerOptions, shared: SharedCounters) -> None:
        self.by_name = {name: contact_in(part) for name, part in shared_tables(options, shared).items()}

    def last_success(self) -> float:
        """When the storage that has been silent for longest last completed a request, by the monotonic
        clock."""
        return min(contact.last_success() for contact in self.by_name.values())

    def silent(self) -> Collection[str]:
        """The storages of which no request has lately succeeded."""
        since = monotonic() - FRESH_SECONDS
        return [name for name, contact in self.by_name.items() if contact.last_success() < since]
