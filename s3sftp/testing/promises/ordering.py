"""Reads and writes in any order, through the server's file layer."""

from __future__ import annotations

import random

import pytest

from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import InvalidRequest
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.read.reader import Reader
from s3sftp.fs.write.upload_pipeline import WriteMode, WriterResources
from s3sftp.fs.write.writer import Writer
from s3sftp.telemetry import Costs
from s3sftp.testing.storage import Storage, assert_same, data_of
from s3sftp.testing.suite import Promises

PIECES = 40
MOST_BYTES = 24 << 20
_SPOOL_BYTES = 256 << 20


class OrderingPromises(Promises):
    """Reads and writes that are not sequential."""

    @pytest.mark.parametrize("far", [False, True], ids=["in the window", "anywhere"])
    async def test_writes_in_any_order_become_the_file(self, storage: Storage, far: bool) -> None:
        """Writes out of order are put in order: in memory, and through the spool if they come too late."""
        data, pieces = await _cut(storage)
        writer = _writer(storage, "file")
        for number in _shuffled(len(pieces), len(pieces) if far else 4):
            start, stop = pieces[number]
            if not writer.try_write(start, memoryview(data)[start:stop]):
                await writer.write(start, data[start:stop])
        assert not await storage.exists("file")
        info = await writer.commit()
        assert info.size == len(data)
        assert_same(await storage.whole("file"), data)

    async def test_writes_that_leave_a_hole_are_not_published(self, storage: Storage) -> None:
        """A file with missing bytes is refused when it is closed, and the old one stays."""
        await storage.put("file", b"old")
        data, pieces = await _cut(storage)
        writer = _writer(storage, "file")
        for start, stop in (*pieces[:-4], *pieces[-3:]):
            await writer.write(start, data[start:stop])
        with pytest.raises(InvalidRequest):
            await writer.commit()
        assert await storage.whole("file") == b"old"

    async def test_reads_in_any_order_get_their_bytes(self, storage: Storage) -> None:
        """Each read gets the bytes that it requests, whatever was requested before."""
        data, pieces = await _cut(storage)
        info = await storage.put("file", data)
        budget = ByteBudget(FileOptions().buffer_bytes)
        place, options = storage.place("file"), FileOptions()
        reader = Reader(storage.backend, place, info, storage.session, options, budget, Costs())
        try:
            for number in _shuffled(len(pieces), len(pieces)):
                start, stop = pieces[number]
                assert_same(b"".join(await reader.read(start, stop - start)), data[start:stop])
        finally:
            await reader.close()


async def _cut(storage: Storage) -> tuple[bytes, list[tuple[int, int]]]:
    """A file of some chunks and a half, and the pieces that a client would write it in."""
    writing = await storage.begin("measured")
    chunk = writing.upload.chunk_bytes
    await writing.abort()
    size = min(2 * chunk + chunk // 2 + PIECES, MOST_BYTES)
    step = -(-size // PIECES)
    return data_of(size), [(at, min(at + step, size)) for at in range(0, size, step)]


def _shuffled(count: int, window: int) -> list[int]:
    """The numbers below `count` in random order, none further from its place than `window`."""
    numbers = list(range(count))
    for at in range(0, count, window):
        part = numbers[at : at + window]
        random.Random(at).shuffle(part)  # noqa: S311 — test data
        numbers[at : at + window] = part
    return numbers


def _writer(storage: Storage, path: str) -> Writer:
    options = FileOptions(rewrite="spool")
    quota = SpoolQuota(None, _SPOOL_BYTES)
    tools = WriterResources(storage.backend, options, ByteBudget(options.buffer_bytes), quota)
    mode = WriteMode(truncate=True)
    return Writer(tools, storage.place(path), mode, storage.session, None)
