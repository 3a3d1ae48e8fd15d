"""Copying files inside the storage, and setting their times."""

from __future__ import annotations

import pytest

from s3sftp.errors import Changed, IsADirectory
from s3sftp.testing.storage import Storage, assert_same, assert_same_info, data_of
from s3sftp.testing.suite import Promises


class CopyPromises(Promises):
    """Copies and times."""

    async def test_a_copy_has_the_content_and_leaves_the_source(self, storage: Storage) -> None:
        """`copy` makes another file with the same content."""
        await storage.put("source", b"content")
        info = await storage.copy("source", "new/copy")
        assert await storage.whole("new/copy") == await storage.whole("source") == b"content"
        assert_same_info(info, await storage.info("new/copy"))

    async def test_a_copy_replaces_its_target(self, storage: Storage) -> None:
        """`copy` replaces the file that has the target's name."""
        source = await storage.put("source", b"content")
        await storage.put("target", b"something longer")
        await storage.copy("source", "target", version=source.version)
        assert await storage.whole("target") == b"content"

    async def test_a_copy_of_a_file_that_changed_is_refused(self, storage: Storage) -> None:
        """`copy` of a version that no longer exists raises Changed."""
        old = await storage.put("source", b"old")
        await storage.put("source", b"new")
        await storage.put("target", b"target")
        with pytest.raises(Changed):
            await storage.copy("source", "target", version=old.version)
        assert await storage.whole("target") == b"target"

    @pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
    async def test_a_directory_is_not_copied_as_a_file(self, storage: Storage, made: bool) -> None:
        """`copy` of a directory raises IsADirectory."""
        if made:
            await storage.mkdir("d")
        else:
            await storage.put("d/file")
        with pytest.raises(IsADirectory):
            await storage.copy("d", "target")
        assert not await storage.exists("target")

    async def test_a_time_that_is_said_to_be_set_is_set(self, storage: Storage) -> None:
        """`set_mtime` returns truthfully whether it set the time; the content stays."""
        before = await storage.put("file", data_of(1000))
        done = await storage.set_mtime("file", 1_234_567_890)
        after = await storage.info("file")
        assert after.mtime == (1_234_567_890 if done else before.mtime)
        assert after.size == 1000
        assert_same(await storage.whole("file"), data_of(1000))
