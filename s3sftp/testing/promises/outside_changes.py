"""Changes that others make to the storage, behind the backend's back. Skipped without a way to make them."""

from __future__ import annotations

import pytest

from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises


class OutsideChangePromises(Promises):
    """Others change the same storage."""

    @pytest.fixture
    def not_alone(self, storage: Storage) -> Storage:
        """A directory that others can change too. Requested first, so that a skip comes before anything has
        begun."""
        assert storage.outside
        return storage

    async def test_what_somebody_else_puts_is_there(self, not_alone: Storage) -> None:
        """A file that others have put is found, listed and read like any other."""
        await not_alone.outside_puts("d/file", b"theirs")
        assert (await not_alone.info("d/file")).size == 6
        assert await not_alone.names("d") == ["file"]
        assert await not_alone.whole("d/file") == b"theirs"

    async def test_what_somebody_else_removes_is_gone(self, not_alone: Storage) -> None:
        """A file that others have removed raises NotFound, and is not listed."""
        await not_alone.put("file")
        await not_alone.put("other")
        await not_alone.outside_deletes("file")
        assert not await not_alone.exists("file")
        assert await not_alone.names() == ["other"]
        with pytest.raises(NotFound):
            await not_alone.whole("file")

    async def test_a_file_that_somebody_else_replaced_is_another_version(self, not_alone: Storage) -> None:
        """The version changes when others replace the file; a read of the old version raises Changed."""
        old = await not_alone.put("file", b"ours, and longer")
        await not_alone.outside_puts("file", b"theirs")
        assert (await not_alone.info("file")).version != old.version
        with pytest.raises(Changed):
            await not_alone.part("file", 0, 6, old.version)
        assert await not_alone.part("file", 0, 6) == b"theirs"

    async def test_an_exclusive_write_sees_what_somebody_else_put(self, not_alone: Storage) -> None:
        """An exclusive write raises AlreadyExists if others were faster, and their file stays."""
        writing = await not_alone.begin("file", exclusive=True)
        await not_alone.outside_puts("file", b"theirs")
        await writing.fails_with(AlreadyExists)
        assert await not_alone.whole("file") == b"theirs"

    async def test_a_base_that_somebody_else_replaced_is_not_built_upon(self, not_alone: Storage) -> None:
        """Publishing on a base that others have replaced raises Changed, and their file stays."""
        base = await not_alone.put("file", b"ours")
        writing = await not_alone.begin("file", base=base)
        await not_alone.outside_puts("file", b"theirs")
        await writing.fails_with(Changed)
        assert await not_alone.whole("file") == b"theirs"

    async def test_a_directory_is_not_removed_with_what_somebody_else_put_into_it(
        self, not_alone: Storage
    ) -> None:
        """`del_dir` sees what others have put into the directory, and loses none of it."""
        await not_alone.mkdir("d")
        assert await not_alone.names("d") == []
        await not_alone.outside_puts("d/file", b"theirs")
        with pytest.raises(StorageError):
            await not_alone.rmdir("d")
        assert await not_alone.whole("d/file") == b"theirs"
