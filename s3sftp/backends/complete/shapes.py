"""What a backend answers is looked at before it is believed.

A wrong shape is a fault of the backend, not of the client: a StorageFailure whose detail, for the log alone,
names the backend, the method, what came and what was expected. Its cause is a TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap
from typing import NoReturn

from s3sftp.backends.contract import Buffer, Entry, FileInfo, Kind, Upload, Usage
from s3sftp.errors import StorageFailure


class Shapes:
    """What the methods of one backend answered."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def info(self, method: str, value: object) -> FileInfo:
        if not isinstance(value, FileInfo):
            self.refuse(method, value, "a FileInfo")
        if not isinstance(value.kind, Kind):
            self.refuse(method, value.kind, "a Kind", "FileInfo.kind")
        if not _is_count(value.size):
            self.refuse(method, value.size, "a number of bytes", "FileInfo.size")
        if not (value.mtime is None or isinstance(value.mtime, int | float)):
            self.refuse(method, value.mtime, "seconds since the epoch, or None", "FileInfo.mtime")
        if not (value.version is None or isinstance(value.version, str)):
            self.refuse(method, value.version, "a str, or None", "FileInfo.version")
        if not (value.mode is None or _is_count(value.mode)):
            self.refuse(method, value.mode, "permission bits, or None", "FileInfo.mode")
        return value

    def page(self, method: str, value: object) -> Sequence[Entry]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self.refuse(method, value, "a page: a list of Entry")
        for entry in value:
            if not isinstance(entry, Entry):
                self.refuse(method, entry, "an Entry", "an item of the page")
            if not isinstance(entry.name, bytes) or not entry.name or not _NEVER.isdisjoint(entry.name):
                self.refuse(method, entry.name, "bytes without '/' and NUL", "Entry.name")
            self.info(method, entry.info)
        return value

    def data(self, method: str, value: object) -> Buffer:
        if isinstance(value, mmap):
            return memoryview(value)
        if not isinstance(value, bytes | bytearray | memoryview):
            self.refuse(method, value, "bytes, a bytearray, a memoryview or an mmap")
        return value.cast("B") if isinstance(value, memoryview) and value.format != "B" else value

    def upload(self, method: str, value: object) -> Upload:
        if not isinstance(value, Upload):
            self.refuse(method, value, "an Upload")
        for name in ("chunk_bytes", "min_chunk_bytes", "keep_unit_bytes", "parallel_chunks"):
            number = getattr(value, name)
            if not _is_count(number) or number < 1:
                self.refuse(method, number, "a number from 1 on", f"Upload.{name}")
        return value

    def usage(self, method: str, value: object) -> Usage:
        if not isinstance(value, Usage):
            self.refuse(method, value, "a Usage")
        return value

    def flag(self, method: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.refuse(method, value, "True or False")
        return value

    def refuse(self, method: str, value: object, wanted: str, what: str = "its answer") -> NoReturn:
        """Raise the StorageFailure."""
        came = f"{type(value).__name__} {value!r:.60}"
        wrong = TypeError(f"{method} of backend {self._backend}: {what} is {came}, and should be {wanted}")
        raise StorageFailure(detail=str(wrong), lasting=True) from wrong


_NEVER = frozenset(b"/\0")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
