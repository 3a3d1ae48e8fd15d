"""Validates a backend's answers before the core uses them: one function for each type in the contract.

A wrong answer is a fault of the backend, not of the client. `InvalidResult` becomes a StorageFailure whose
detail, for the log only, names the backend, the method, the answer and the expected type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Any

from s3sftp.backends.contract import Buffer, Entry, FileInfo, Kind, Upload, Usage
from s3sftp.errors import StorageFailure


class InvalidResult(TypeError):
    """An answer, or a part of it, does not have the type that the contract declares."""

    def __init__(self, value: object, wanted: str, what: str = "its answer") -> None:
        super().__init__(f"{what} is {type(value).__name__} {value!r:.60}, and should be {wanted}")

    def of(self, backend: str, method: str) -> StorageFailure:
        """The StorageFailure that names the backend and the method which answered wrongly."""
        return StorageFailure(detail=f"{method} of backend {backend}: {self}", lasting=True)


def file_info(value: object) -> FileInfo:
    if not isinstance(value, FileInfo):
        raise InvalidResult(value, "a FileInfo")
    if not isinstance(value.kind, Kind):
        raise InvalidResult(value.kind, "a Kind", "FileInfo.kind")
    if not _is_count(value.size):
        raise InvalidResult(value.size, "a number of bytes", "FileInfo.size")
    if not (value.mtime is None or isinstance(value.mtime, int | float)):
        raise InvalidResult(value.mtime, "seconds since the epoch, or None", "FileInfo.mtime")
    if not (value.version is None or isinstance(value.version, str)):
        raise InvalidResult(value.version, "a str, or None", "FileInfo.version")
    if not (value.mode is None or _is_count(value.mode)):
        raise InvalidResult(value.mode, "permission bits, or None", "FileInfo.mode")
    return value


def page(value: object) -> Sequence[Entry]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidResult(value, "a page: a list of Entry")
    for entry in value:
        if not isinstance(entry, Entry):
            raise InvalidResult(entry, "an Entry", "an item of the page")
        if not isinstance(entry.name, bytes) or not entry.name or not _NEVER.isdisjoint(entry.name):
            raise InvalidResult(entry.name, "bytes without '/' and NUL", "Entry.name")
        file_info(entry.info)
    return value


def data(value: object) -> Buffer:
    """Accepts bytes of any kind; an `mmap` becomes a view of it."""
    if isinstance(value, mmap):
        return memoryview(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidResult(value, "bytes, a bytearray, a memoryview or an mmap")
    return value.cast("B") if isinstance(value, memoryview) and value.format != "B" else value


def upload(value: object) -> Upload:
    if not isinstance(value, Upload):
        raise InvalidResult(value, "an Upload")
    for name in ("chunk_bytes", "min_chunk_bytes", "keep_unit_bytes", "parallel_chunks"):
        number = getattr(value, name)
        if not _is_count(number) or number < 1:
            raise InvalidResult(number, "a number from 1 on", f"Upload.{name}")
    return value


def usage(value: object) -> Usage:
    if not isinstance(value, Usage):
        raise InvalidResult(value, "a Usage")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidResult(value, "True or False")
    return value


def nothing(value: object) -> None:
    """Ignores the return value of a method that should return nothing."""


def _or_none(check: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else check(value)


CHECKS: dict[Any, Callable[[object], Any]] = {
    FileInfo: file_info,
    FileInfo | None: _or_none(file_info),
    Sequence[Entry]: page,
    Buffer: data,
    Buffer | mmap: data,
    Upload: upload,
    Usage: usage,
    bool: flag,
    type(None): nothing,
}
"""The validators by `Operation.answer`. Each returns the answer, or raises InvalidResult."""

_NEVER = frozenset(b"/\0")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
