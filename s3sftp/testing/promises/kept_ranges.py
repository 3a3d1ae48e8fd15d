"""New files that keep bytes of the old one: continued, cut, changed in the middle."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends import FileInfo
from s3sftp.errors import Changed
from s3sftp.testing.storage import Storage, assert_same, assert_same_info, data_of
from s3sftp.testing.suite import Promises


async def base_of(storage: Storage, path: str) -> tuple[FileInfo, bytes]:
    """A file long enough to keep two ranges of."""
    writing = await storage.begin(path)
    data = data_of(2 * writing.fewest_kept + 3, seed=7)
    await writing.abort()
    return await storage.put(path, data), data


class KeptRangePromises(Promises):
    """`keep_range`, or the server's replacement for it."""

    async def test_a_file_can_be_continued(self, storage: Storage) -> None:
        """A kept range and a tail make a longer file."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        kept = writing.keepable(len(old))
        await writing.keep_range(old, 0, kept)
        await writing.finish(old[kept:] + b"and more")
        assert_same(await storage.whole("file"), old + b"and more")

    async def test_a_file_can_be_cut(self, storage: Storage) -> None:
        """A kept range alone makes a shorter file."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        kept = writing.keepable(writing.upload.keep_unit_bytes)
        await writing.keep_range(old, 0, kept)
        await writing.finish()
        assert_same(await storage.whole("file"), old[:kept])

    async def test_kept_ranges_and_new_chunks_make_one_file(self, storage: Storage) -> None:
        """Kept ranges and chunks make one file, in the order in which they were appended."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        fewest = writing.fewest_kept
        await writing.keep_range(old, 0, fewest)
        await writing.chunk()
        await writing.keep_range(old, fewest, writing.keepable(len(old)))
        info = await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)
        assert info.size == len(writing.sent)
        assert_same_info(info, await storage.info("file"))

    async def test_ranges_kept_at_once_keep_their_order(self, storage: Storage) -> None:
        """A kept range takes its position when it is begun, even beside a chunk in progress."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        half = writing.fewest_kept
        if writing.upload.parallel_chunks > 1:
            await asyncio.gather(writing.keep_range(old, half, 2 * half), writing.chunk())
        else:
            await writing.keep_range(old, half, 2 * half)
        await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)

    async def test_bytes_of_a_file_that_changed_are_not_kept(self, storage: Storage) -> None:
        """Keeping bytes of a file that was replaced raises Changed, when it is published at the latest."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        await storage.put("file", data_of(len(old), seed=8))

        async def keep_and_finish() -> None:
            await writing.keep_range(old, 0, writing.keepable(len(old)))
            await writing.finish()

        with pytest.raises(Changed):
            await keep_and_finish()
        await writing.abort()
        assert_same(await storage.whole("file"), data_of(len(old), seed=8))

    async def test_an_aborted_continuation_leaves_the_old_file(self, storage: Storage) -> None:
        """After `abort_write` the file whose bytes were kept is unchanged."""
        base, old = await base_of(storage, "file")
        writing = await storage.begin("file", base=base)
        await writing.keep_range(old, 0, writing.keepable(len(old)))
        await writing.abort()
        assert await storage.info("file") == base
        assert_same(await storage.whole("file"), old)
