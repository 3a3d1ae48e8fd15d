"""Reads of whole files and of ranges, at a given version."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import combinations_with_replacement

import pytest

from s3sftp.errors import Changed, IsADirectory, NotFound
from s3sftp.testing.storage import Storage, assert_same, data_of
from s3sftp.testing.suite import Promises


class ReadPromises(Promises):
    """Reading."""

    @pytest.mark.parametrize("size", [0, 1, 2, 1000])
    async def test_a_file_is_read_as_it_was_written(self, storage: Storage, size: int) -> None:
        """A file that was written is read back, whole and as a range."""
        await storage.put("file", data_of(size))
        assert_same(await storage.whole("file"), data_of(size))
        assert_same(await storage.part("file", 0, size), data_of(size))

    async def test_a_range_is_exact_at_every_border(self, storage: Storage) -> None:
        """A range has the bytes `[start, stop)`, neither more nor fewer."""
        data = data_of(23)
        version = (await storage.put("file", data)).version
        for start, stop in combinations_with_replacement((0, 1, 2, 11, 21, 22, 23), 2):
            assert_same(await storage.part("file", start, stop, version), data[start:stop])

    async def test_a_range_is_exact_around_the_border_of_two_chunks(self, storage: Storage) -> None:
        """A reader does not notice where one written chunk ends and the next begins."""
        writing = await storage.begin("file")
        border = writing.upload.chunk_bytes
        await writing.chunk()
        version = (await writing.finish(data_of(9))).version
        for start, stop in combinations_with_replacement((border - 1, border, border + 1, border + 9), 2):
            assert_same(await storage.part("file", start, stop, version), writing.sent[start:stop])

    async def test_ranges_can_be_read_at_once(self, storage: Storage) -> None:
        """Several ranges of one file can be read at the same time."""
        data = data_of(1000)
        await storage.put("file", data)
        parts = await asyncio.gather(*(storage.part("file", at, at + 100) for at in range(0, 1000, 100)))
        assert_same(b"".join(parts), data)

    async def test_a_reader_can_leave_early(self, storage: Storage) -> None:
        """A reader may stop in the middle of a range, and the next one gets all of it."""
        data = data_of(3 << 20)
        await storage.put("file", data)
        for _ in range(3):
            async with aclosing(storage.pieces("file", 0, len(data))) as pieces:
                async for piece in pieces:
                    assert data.startswith(piece)
                    break
        assert_same(await storage.whole("file"), data)

    async def test_a_reader_that_insists_on_a_version_gets_no_other(self, storage: Storage) -> None:
        """Reading a range of a version that no longer exists raises Changed."""
        old = await storage.put("file", b"old content")
        await storage.put("file", b"new content")
        with pytest.raises(Changed):
            await storage.part("file", 0, 11, old.version)
        assert await storage.part("file", 0, 11) == b"new content"

    async def test_a_file_replaced_while_it_is_read_is_never_mixed(self, storage: Storage) -> None:
        """A reader gets the old file or Changed, never bytes of both files."""
        old, new = data_of(3 << 20, seed=1), data_of(3 << 20, seed=2)
        version = (await storage.put("file", old)).version
        read = b""
        try:
            async with aclosing(storage.pieces("file", 0, len(old), version)) as pieces:
                async for piece in pieces:
                    if not read:
                        await storage.put("file", new)
                    read += piece
        except Changed:
            assert old.startswith(read)
        else:
            assert_same(read, old)
        with pytest.raises(Changed):
            await storage.part("file", 0, 1, version)

    async def test_a_file_removed_while_it_is_read_is_no_end_of_file(self, storage: Storage) -> None:
        """Reading on in a file that was removed raises NotFound, and does not look like the end of the
        file."""
        version = (await storage.put("file", b"content")).version
        assert await storage.part("file", 0, 3, version) == b"con"
        await storage.remove("file")
        with pytest.raises(NotFound):
            await storage.part("file", 3, 7, version)

    async def test_a_range_beyond_a_file_that_shrank_is_an_error(self, storage: Storage) -> None:
        """Reading bytes that the file no longer has is an error, not a short answer."""
        version = (await storage.put("file", b"long content")).version
        await storage.put("file", b"short")
        with pytest.raises(Changed):
            await storage.part("file", 6, 12, version)

    @pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
    async def test_a_directory_cannot_be_read(self, storage: Storage, made: bool) -> None:
        """Reading a directory raises IsADirectory."""
        if made:
            await storage.mkdir("d")
        else:
            await storage.put("d/file")
        with pytest.raises(IsADirectory):
            await storage.whole("d")
        with pytest.raises((IsADirectory, NotFound)):
            await storage.part("d", 0, 1)
