"""What somebody else does to the storage, behind the backend's back. Skipped where nobody says how."""

from __future__ import annotations

import pytest

from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises


class Meddling(Promises):
    """Others at work in the same storage."""

    async def test_what_somebody_else_puts_is_there(self, storage: Storage) -> None:
        """A file that others put is told, listed and read as any other."""
        await storage.outside_puts("d/file", b"theirs")
        assert (await storage.info("d/file")).size == 6
        assert await storage.names("d") == ["file"]
        assert await storage.whole("d/file") == b"theirs"

    async def test_what_somebody_else_removes_is_gone(self, storage: Storage) -> None:
        """A file that others removed is NotFound, and not listed."""
        await storage.put("file")
        await storage.put("other")
        await storage.outside_deletes("file")
        assert not await storage.exists("file")
        assert await storage.names() == ["other"]
        with pytest.raises(NotFound):
            await storage.whole("file")

    async def test_a_file_that_somebody_else_replaced_is_another_version(self, storage: Storage) -> None:
        """The version tells that others replaced a file; who insists on the old one gets Changed."""
        old = await storage.put("file", b"ours, and longer")
        await storage.outside_puts("file", b"theirs")
        assert (await storage.info("file")).version != old.version
        with pytest.raises(Changed):
            await storage.part("file", 0, 6, old.version)
        assert await storage.part("file", 0, 6) == b"theirs"

    async def test_an_exclusive_write_sees_what_somebody_else_put(self, storage: Storage) -> None:
        """An exclusive write raises AlreadyExists when others were faster, and their file stays."""
        writing = await storage.begin("file", exclusive=True)
        await storage.outside_puts("file", b"theirs")
        await writing.fails_with(AlreadyExists)
        assert await storage.whole("file") == b"theirs"

    async def test_a_base_that_somebody_else_replaced_is_not_built_upon(self, storage: Storage) -> None:
        """Publishing on a base that others replaced raises Changed, and their file stays."""
        base = await storage.put("file", b"ours")
        writing = await storage.begin("file", base=base)
        await storage.outside_puts("file", b"theirs")
        await writing.fails_with(Changed)
        assert await storage.whole("file") == b"theirs"

    async def test_a_directory_is_not_removed_with_what_somebody_else_put_into_it(
        self, storage: Storage
    ) -> None:
        """`del_dir` sees what others put into the directory, and nothing of it is lost."""
        await storage.mkdir("d")
        assert await storage.names("d") == []
        await storage.outside_puts("d/file", b"theirs")
        with pytest.raises(StorageError):
            await storage.rmdir("d")
        assert await storage.whole("d/file") == b"theirs"
