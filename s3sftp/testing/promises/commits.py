"""Concurrent writes of one name: which of them is published, and what happens to the old file."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends import FileInfo
from s3sftp.errors import AlreadyExists, Changed, IsADirectory, NotADirectory
from s3sftp.testing.promises.writing import NOT_AT_ONCE
from s3sftp.testing.storage import Storage, StorageWrite, assert_same, data_of
from s3sftp.testing.suite import Promises


class CommitPromises(Promises):
    """Several writers of one name."""

    @pytest.mark.parametrize("target", ["made", "implied"])
    @pytest.mark.parametrize("how", ["at once", "in chunks", "by a copy"])
    async def test_a_file_does_not_hide_a_directory(self, storage: Storage, how: str, target: str) -> None:
        """Writing a file over a directory, just seen as one, raises IsADirectory and changes nothing."""
        await storage.mkdir("made")
        await storage.put("implied/file", b"stays")
        await storage.put("source", b"source")
        assert (await storage.info(target)).is_dir
        with pytest.raises(IsADirectory):
            await _put_there(storage, how, target)
        assert await storage.names() == ["implied/", "made/", "source"]
        assert await storage.whole("implied/file") == b"stays"

    async def test_a_file_does_not_hide_a_directory_that_came_meanwhile(self, storage: Storage) -> None:
        """`finish_write` over a directory that was made since `begin_write`, and seen, raises
        IsADirectory."""
        writing = await storage.begin("name")
        await writing.chunk()
        await storage.put("name/file", b"stays")
        assert (await storage.info("name")).is_dir
        await writing.fails_with(IsADirectory)
        assert await storage.names("name") == ["file"]

    @pytest.mark.parametrize("how", ["at once", "in chunks", "by a copy", "by a rename"])
    async def test_a_file_is_not_put_below_a_file(self, storage: Storage, how: str) -> None:
        """Writing a file below a file, just seen as one, raises NotADirectory and changes nothing: no listing
        would show it."""
        await storage.put("file", b"stays")
        await storage.put("source", b"source")
        assert not (await storage.info("file")).is_dir
        for path in ("file/below", "file/deep/below"):
            with pytest.raises(NotADirectory):
                await _put_there(storage, how, path)
        assert await storage.names() == ["file", "source"]
        assert await storage.whole("file") == b"stays"

    @pytest.mark.parametrize("how", ["at once", "in chunks", "by a copy"])
    async def test_the_root_is_no_file(self, empty_storage: Storage, how: str) -> None:
        """Writing a file over the root raises IsADirectory."""
        await empty_storage.put("source", b"source")
        with pytest.raises(IsADirectory):
            await _put_there(empty_storage, how, "")
        assert await empty_storage.names() == ["source"]
        await empty_storage.remove("source")

    @NOT_AT_ONCE
    async def test_an_exclusive_write_takes_a_free_name(self, storage: Storage, chunks: int) -> None:
        """An exclusive write publishes under a free name."""
        writing = await storage.begin("file", exclusive=True)
        for _ in range(chunks):
            await writing.chunk()
        await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)

    @NOT_AT_ONCE
    async def test_an_exclusive_write_never_replaces(self, storage: Storage, chunks: int) -> None:
        """An exclusive write raises AlreadyExists if another writer was faster, whose file stays."""
        writing = await storage.begin("file", exclusive=True)
        for _ in range(chunks):
            await writing.chunk()
        await storage.put("file", b"was faster")
        await writing.fails_with(AlreadyExists)
        assert await storage.whole("file") == b"was faster"

    async def test_of_exclusive_writers_exactly_one_wins(self, storage: Storage) -> None:
        """Of exclusive writers that finish at once, one publishes and the others get AlreadyExists."""

        async def write(number: int) -> FileInfo:
            writing = await storage.begin("file", exclusive=True)
            try:
                return await writing.finish(data_of(10, seed=number))
            except AlreadyExists:
                await writing.abort()
                raise

        outcomes = await asyncio.gather(*(write(number) for number in range(8)), return_exceptions=True)
        winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, FileInfo)]
        assert len(winners) == 1, f"{len(winners)} of 8 have won"
        assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7
        assert_same(await storage.whole("file"), data_of(10, seed=winners[0]))

    async def test_of_two_writers_one_whole_version_stays(self, storage: Storage) -> None:
        """Of two writers of one name, one whole file stays, not a mixture."""
        writings = [await storage.begin("file") for _ in range(2)]
        await asyncio.gather(*(writing.chunk() for writing in writings))
        await asyncio.gather(writings[0].finish(b"a tail"), writings[1].finish(b"another tail"))
        assert await storage.whole("file") in [bytes(writing.sent) for writing in writings]

    @NOT_AT_ONCE
    async def test_a_write_on_a_base_replaces_it(self, storage: Storage, chunks: int) -> None:
        """A write with the present file as its base replaces it."""
        writing = await _begun_on_a_base(storage, chunks)
        await writing.finish(b"tail")
        assert_same(await storage.whole("file"), writing.sent)

    @NOT_AT_ONCE
    @pytest.mark.parametrize("change", ["replaced", "removed"])
    async def test_a_write_on_a_base_that_changed_fails(
        self, storage: Storage, chunks: int, change: str
    ) -> None:
        """Publishing on a base that was replaced or removed in the meantime raises Changed, and changes
        nothing."""
        writing = await _begun_on_a_base(storage, chunks)
        await _change_base(storage, change)
        await writing.fails_with(Changed)
        if change == "removed":
            assert not await storage.exists("file")
        else:
            assert await storage.whole("file") == b"new"

    @NOT_AT_ONCE
    @pytest.mark.parametrize("change", ["replaced", "removed"])
    async def test_a_write_that_keeps_nothing_of_its_base_replaces_any(
        self, storage: Storage, chunks: int, change: str
    ) -> None:
        """If no bytes of the base are kept, it does not matter what happened to it."""
        writing = await _begun_on_a_base(storage, chunks)
        await _change_base(storage, change)
        await writing.finish(b"tail", base_kept=False)
        assert_same(await storage.whole("file"), writing.sent)


async def _put_there(storage: Storage, how: str, path: str) -> None:
    """Write a file, in one of several ways."""
    if how == "at once":
        await storage.put(path, b"file")
    elif how == "by a copy":
        await storage.copy("source", path)
    elif how == "by a rename":
        await storage.rename("source", path)
    else:
        writing = await storage.begin(path)
        try:
            await writing.finish(b"file")
        finally:
            await writing.abort()


async def _begun_on_a_base(storage: Storage, chunks: int) -> StorageWrite:
    """A write of `file` on its present version, with `chunks` chunks sent."""
    base = await storage.put("file", b"old")
    writing = await storage.begin("file", base=base)
    for _ in range(chunks):
        await writing.chunk()
    return writing


async def _change_base(storage: Storage, change: str) -> None:
    """Have another writer change `file` in the meantime: `replaced` or `removed`."""
    if change == "removed":
        await storage.remove("file")
    else:
        await storage.put("file", b"new")
