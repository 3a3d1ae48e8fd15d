"""The types of answers and errors, for all operations."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Entry, FileInfo, Kind
from s3sftp.errors import (
    AlreadyExists,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    StorageError,
)
from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises

Operation = Callable[[Storage], Awaitable[object]]

REFUSED: dict[str, tuple[Operation, type[StorageError]]] = {
    "file_info of nothing": (lambda storage: storage.info("secret"), NotFound),
    "list_dir of nothing": (lambda storage: storage.entries("secret"), NotFound),
    "list_dir of a file": (lambda storage: storage.entries("secret.txt"), NotADirectory),
    "make_dir of a file": (lambda storage: storage.mkdir("secret.txt"), AlreadyExists),
    "make_dir of a directory": (lambda storage: storage.mkdir("secret.d"), AlreadyExists),
    "del_dir of nothing": (lambda storage: storage.rmdir("secret"), NotFound),
    "del_dir of a file": (lambda storage: storage.rmdir("secret.txt"), NotADirectory),
    "del_dir of a full one": (lambda storage: storage.rmdir("secret.d"), NotEmpty),
    "delete of nothing": (lambda storage: storage.remove("secret"), NotFound),
    "delete of a directory": (lambda storage: storage.remove("secret.d"), IsADirectory),
    "rename of nothing": (lambda storage: storage.rename("secret", "new"), NotFound),
    "rename onto a file": (lambda storage: storage.rename("secret.txt", "secret.d/secret"), AlreadyExists),
    "rename onto a directory": (lambda storage: storage.rename("secret.txt", "secret.d"), AlreadyExists),
    "rename into itself": (lambda storage: storage.rename("secret.d", "secret.d/new"), InvalidRequest),
    "copy of nothing": (lambda storage: storage.copy("secret", "new"), NotFound),
    "copy of a directory": (lambda storage: storage.copy("secret.d", "new"), IsADirectory),
    "set_mtime of nothing": (lambda storage: storage.set_mtime("secret", 1.0), NotFound),
    "read_file of nothing": (lambda storage: storage.whole("secret"), NotFound),
    "read_file of a directory": (lambda storage: storage.whole("secret.d"), IsADirectory),
    "read_file_range of nothing": (lambda storage: storage.part("secret", 0, 1), NotFound),
}


class ResultTypePromises(Promises):
    """Metadata and errors."""

    @pytest.mark.parametrize("what", REFUSED)
    async def test_what_is_refused_is_refused_for_what_is_true(self, storage: Storage, what: str) -> None:
        """The class of an error names its cause; its text, which untrusted clients read, contains no name of
        a file."""
        await storage.put("secret.txt", b"stays")
        await storage.put("secret.d/secret", b"stays")
        operation, error = REFUSED[what]
        with pytest.raises(error) as refused:
            await operation(storage)
        assert "secret" not in str(refused.value)
        assert await storage.names() == ["secret.d/", "secret.txt"]
        assert await storage.whole("secret.txt") == await storage.whole("secret.d/secret") == b"stays"

    async def test_metadata_is_of_the_types_that_are_promised(self, storage: Storage) -> None:
        """Every operation that returns metadata returns the types of `FileInfo`, and names as bytes."""
        writing = await storage.begin("d/chunks")
        await writing.chunk()
        told = [
            await storage.put("d/file", b"12345"),
            await writing.finish(b"tail"),
            await storage.copy("d/file", "d/copy"),
            await storage.info("d/file"),
            await storage.info("d"),
        ]
        entries = await storage.entries("d")
        assert all(isinstance(entry, Entry) and isinstance(entry.name, bytes) for entry in entries)
        for info in [*told, *(entry.info for entry in entries)]:
            _is_well_formed(info)


def _is_well_formed(info: FileInfo) -> None:
    assert isinstance(info, FileInfo)
    assert isinstance(info.kind, Kind)
    assert type(info.size) is int
    assert info.size >= 0
    assert info.mtime is None or (isinstance(info.mtime, int | float) and math.isfinite(info.mtime))
    assert info.version is None or (isinstance(info.version, str) and info.version)
    assert info.mode is None or (type(info.mode) is int and 0 <= info.mode <= 0o7777)
