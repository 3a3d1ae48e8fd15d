"""Writes in chunks, published whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from s3sftp.backends import Finish
from s3sftp.errors import StorageError
from s3sftp.testing.storage import Storage, assert_same, data_of
from s3sftp.testing.suite import Promises

NOT_AT_ONCE = pytest.mark.parametrize("chunks", [0, 1], ids=["tail alone", "chunk and tail"])


class WritePromises(Promises):
    """Writing."""

    async def test_a_file_can_be_published_at_once(self, storage: Storage) -> None:
        """`write_file` replaces what was there."""
        await storage.put("file", b"first")
        await storage.put("file", b"2nd")
        assert await storage.whole("file") == b"2nd"

    @pytest.mark.parametrize(
        ("chunks", "tail_bytes"), [(0, 0), (0, 1), (0, -1), (1, 0), (1, 1), (2, 0), (2, 7), (2, -1), (3, 1)]
    )
    async def test_a_file_is_its_chunks_and_its_tail(
        self, storage: Storage, chunks: int, tail_bytes: int
    ) -> None:
        """A file is its chunks in order and its tail. A negative tail is that many bytes less than a
        chunk."""
        writing = await storage.begin("d/file")
        for _ in range(chunks):
            await writing.chunk()
        info = await writing.finish(data_of(tail_bytes % writing.upload.chunk_bytes))
        assert_same(await storage.whole("d/file"), writing.sent)
        stored = await storage.info("d/file")
        assert replace(info, mtime=stored.mtime) == stored
        assert info.mtime == pytest.approx(stored.mtime, abs=1.1), "the storage's clock tells seconds"
        assert info.size == len(writing.sent)
        assert await storage.names("d") == ["file"]

    async def test_chunks_sent_at_once_keep_their_order(self, storage: Storage) -> None:
        """Concurrent chunks end up in the order in which they were begun."""
        writing = await storage.begin("file")
        for _ in range(2):
            await asyncio.gather(*(writing.chunk() for _ in range(writing.upload.parallel_chunks)))
        await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)

    async def test_a_buffer_may_be_reused_when_the_call_returns(self, storage: Storage) -> None:
        """A buffer belongs to the caller again when the call returns."""
        upload = (await storage.begin("file")).upload
        first, second = data_of(upload.chunk_bytes, seed=1), data_of(upload.chunk_bytes, seed=2)
        buffer = bytearray(first)
        await storage.backend.write_chunk(upload, memoryview(buffer), storage.session)
        expected = first + second[: upload.chunk_bytes - 1]
        buffer = bytearray(second[: upload.chunk_bytes - 1])
        await storage.backend.finish_write(upload, memoryview(buffer), Finish(len(expected)), storage.session)
        buffer[:] = bytes(len(buffer))
        assert_same(await storage.whole("file"), expected)

    @NOT_AT_ONCE
    async def test_an_upload_is_invisible_until_it_is_finished(self, storage: Storage, chunks: int) -> None:
        """No session sees a file, or a directory for it, before `finish_write` returns."""
        writing = await storage.begin("d/file")
        for _ in range(chunks):
            await writing.chunk()
        assert not await storage.exists("d/file")
        assert not await storage.exists("d")
        assert await storage.names() == []
        await writing.finish(b"tail")
        assert await storage.names("d") == ["file"]

    @NOT_AT_ONCE
    async def test_the_old_file_stays_until_the_new_one_is_finished(
        self, storage: Storage, chunks: int
    ) -> None:
        """Readers see the old file until `finish_write` returns."""
        old = await storage.put("file", b"old")
        writing = await storage.begin("file")
        for _ in range(chunks):
            await writing.chunk()
        assert await storage.info("file") == old
        assert await storage.whole("file") == b"old"
        await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)

    @NOT_AT_ONCE
    async def test_an_aborted_write_leaves_nothing(self, storage: Storage, chunks: int) -> None:
        """After `abort_write`, even called twice, nothing is left: no file, no directory, no upload."""
        writing = await storage.begin("d/file")
        for _ in range(chunks):
            await writing.chunk()
        await writing.abort()
        await writing.abort()
        assert await storage.names() == []
        assert await storage.unfinished_uploads() == 0

    @NOT_AT_ONCE
    async def test_an_aborted_write_leaves_the_old_file(self, storage: Storage, chunks: int) -> None:
        """After `abort_write` the old file is unchanged."""
        old = await storage.put("file", b"old")
        writing = await storage.begin("file")
        for _ in range(chunks):
            await writing.chunk()
        await writing.abort()
        assert await storage.info("file") == old
        assert await storage.whole("file") == b"old"

    async def test_a_write_can_be_aborted_while_a_chunk_is_on_its_way(self, storage: Storage) -> None:
        """A write whose chunk was cancelled can be aborted, and leaves nothing behind."""
        writing = await storage.begin("file")
        await writing.chunk()
        on_its_way = asyncio.ensure_future(writing.chunk())
        await asyncio.sleep(0)
        on_its_way.cancel()
        await asyncio.gather(on_its_way, return_exceptions=True)
        await writing.abort()
        assert not await storage.exists("file")
        assert await storage.unfinished_uploads() == 0

    async def test_fewer_bytes_than_announced_are_not_published(self, storage: Storage) -> None:
        """`finish_write` publishes nothing if the number of bytes is not the announced one."""
        old = await storage.put("file", b"old")
        writing = await storage.begin("file")
        await writing.chunk()
        finish = Finish(len(writing.sent) + 5)
        with pytest.raises(StorageError):
            await storage.backend.finish_write(writing.upload, b"tail", finish, storage.session)
        await writing.abort()
        assert await storage.info("file") == old

    @NOT_AT_ONCE
    async def test_the_time_given_at_the_end_is_kept(self, storage: Storage, chunks: int) -> None:
        """`finish.mtime` becomes the modification time."""
        writing = await storage.begin("file")
        for _ in range(chunks):
            await writing.chunk()
        info = await writing.finish(b"tail", mtime=1_000_000_000)
        assert info.mtime == 1_000_000_000
        assert await storage.info("file") == info
        assert_same(await storage.whole("file"), writing.sent)

    @NOT_AT_ONCE
    @pytest.mark.parametrize("first", [1_000_000_000, 2_000_000_000], ids=["same", "other"])
    async def test_the_time_given_at_the_end_is_the_last_word(
        self, storage: Storage, chunks: int, first: float
    ) -> None:
        """`finish.mtime` overrides the time given at the beginning."""
        writing = await storage.begin("file", mtime=first)
        for _ in range(chunks):
            await writing.chunk()
        info = await writing.finish(b"tail", mtime=1_000_000_000)
        assert info.mtime == 1_000_000_000
        assert await storage.info("file") == info
