"""Reads the records of kept uploads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s3sftp.backends.s3.kept.records import SUFFIX, KeptRecord, parse_record
from s3sftp.backends.s3.small_objects import BucketObjects
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_MAX_RECORD_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record as it was read."""

    name: str
    record: KeptRecord
    etag: str


class RecordStore:
    """The records in a bucket."""

    def __init__(self, objects: BucketObjects) -> None:
        self._objects = objects

    async def read(self, name: str) -> FoundRecord | None:
        """Read a record. None if there is none, or nothing that can be used."""
        found = await self._objects.read_version(name, _MAX_RECORD_BYTES)
        if found is None:
            return None
        try:
            record = parse_record(found[0])
        except ValueError as problem:
            _log.warning("kept.record_unreadable", file=name, error=str(problem))
            return None
        return FoundRecord(name, record, found[1])

    async def names_of(self, prefix: str = "") -> list[str]:
        """The names of all records, or of those of one user's folder."""
        names: list[str] = []
        after = None
        while True:
            page = await self._objects.page(prefix, after=after)
            names += [entry.key for entry in page.entries if entry.key.endswith(SUFFIX)]
            after = page.next
            if after is None:
                return names
