"""Listing, making and removing directories; removing files."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from s3sftp.backends import Amount
from s3sftp.errors import AlreadyExists, IsADirectory, NotADirectory, NotEmpty
from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises

NEIGHBOURS = ["foo-1", "foo.csv", "foo0", "foobar/file", "foo file", "fo"]
"""Names that begin like `foo`, which operations on `foo` must not touch."""


async def put_neighbours(storage: Storage) -> None:
    await asyncio.gather(*(storage.put(path, path.encode()) for path in NEIGHBOURS))


async def neighbours_are_whole(storage: Storage) -> None:
    contents = await asyncio.gather(*(storage.whole(path) for path in NEIGHBOURS))
    assert contents == [path.encode() for path in NEIGHBOURS]


class DirectoryPromises(Promises):
    """Directories, and the removal of what is in them."""

    async def test_a_listing_shows_each_child_once_and_nothing_deeper(self, storage: Storage) -> None:
        """A listing has the children, each once, explicit or implied, and none of their children."""
        for path in ("d/file", "d/sub/one", "d/sub/two", "d/sub/deeper/three"):
            await storage.put(path)
        await storage.mkdir("d/made")
        assert await storage.names("d") == ["file", "made/", "sub/"]
        assert await storage.names("d/sub") == ["deeper/", "one", "two"]
        assert await storage.names() == ["d/"]

    async def test_a_listing_says_of_each_file_what_file_info_says(self, storage: Storage) -> None:
        """Entries have the attributes that `file_info` returns."""
        await storage.put("d/file", b"12345")
        await storage.put("d/empty", b"")
        await storage.mkdir("d/sub")
        for entry in await storage.entries("d"):
            info = await storage.info(b"d/" + entry.name)
            assert (entry.info.kind, entry.info.size) == (info.kind, info.size)
            assert entry.info.version == info.version
            if not info.is_dir:
                assert entry.info.mtime == pytest.approx(info.mtime, abs=1.1)

    async def test_a_listing_knows_whole_names_only(self, storage: Storage) -> None:
        """`foo` lists what is in `foo`, not what is in `foobar`."""
        await put_neighbours(storage)
        await storage.put("foo/inside")
        assert await storage.names("foo") == ["inside"]
        assert await storage.names("foobar") == ["file"]

    async def test_everything_below_a_directory_is_counted(self, storage: Storage) -> None:
        """`total_below` counts the files in a directory and in all below it, no directories, no neighbours;
        nothing, or a file, counts as an empty directory. `size_of_file` knows files alone."""
        await put_neighbours(storage)
        for path, size in (("foo/a", 5), ("foo/empty", 0), ("foo/sub/b", 7), ("foo/sub/deeper/c", 11)):
            await storage.put(path, bytes(size))
        await storage.mkdir("foo/made")
        assert await storage.total("foo") == Amount(23, 4)
        sizes = [await storage.size(path) for path in ("foo/a", "foo/empty", "foo/sub", "foo/missing")]
        assert sizes == [5, 0, None, None]
        assert await storage.total("foo/sub") == Amount(18, 2)
        assert await storage.total("foo/made") == await storage.total("foo/a") == Amount()
        assert await storage.total("missing") == Amount()
        there = sum(len(path) for path in NEIGHBOURS)
        assert await storage.total() == Amount(23 + there, 4 + len(NEIGHBOURS))

    async def test_a_listing_of_several_pages_is_complete(self, storage: Storage) -> None:
        """A directory with more entries than a page (`page_entries`) is listed whole, each name once."""
        names = [f"{number:05}" for number in range(self.page_entries + 3)]
        todo = iter(names)

        async def put_some() -> None:
            for name in todo:
                await storage.put(f"d/{name}", b"")

        await asyncio.gather(*(put_some() for _ in range(16)))
        await storage.put("d/00001x/deeper")
        assert await storage.names("d") == sorted([*names, "00001x/"])

    async def test_a_listing_can_be_left_early(self, storage: Storage) -> None:
        """A reader may stop after any page; the next listing is whole."""
        await asyncio.gather(*(storage.put(f"d/{number}") for number in range(5)))
        async with aclosing(storage.pages("d")) as pages:
            async for page in pages:
                assert page
                break
        assert len(await storage.names("d")) == 5

    async def test_an_empty_directory_lists_nothing(self, storage: Storage) -> None:
        """An empty directory has no entries, and listing it is no error."""
        await storage.mkdir("d")
        assert await storage.names("d") == []

    async def test_a_file_cannot_be_listed(self, storage: Storage) -> None:
        """Listing a file raises NotADirectory."""
        await storage.put("file")
        with pytest.raises(NotADirectory):
            await storage.entries("file")

    async def test_a_directory_can_be_made_and_removed(self, storage: Storage) -> None:
        """`make_dir` makes an empty directory, `del_dir` removes it."""
        await storage.mkdir("d")
        assert (await storage.info("d")).is_dir
        assert await storage.names() == ["d/"]
        await storage.rmdir("d")
        assert not await storage.exists("d")
        assert await storage.names() == []

    @pytest.mark.parametrize("taken", ["file", "made", "implied"])
    async def test_a_directory_cannot_take_a_name_that_is_taken(self, storage: Storage, taken: str) -> None:
        """`make_dir` raises AlreadyExists for a file's name and for a directory's, and changes nothing."""
        await storage.put("file", b"stays")
        await storage.mkdir("made")
        await storage.put("implied/file", b"stays")
        with pytest.raises(AlreadyExists):
            await storage.mkdir(taken)
        assert await storage.names() == ["file", "implied/", "made/"]
        assert await storage.whole("file") == await storage.whole("implied/file") == b"stays"

    async def test_a_directory_that_was_made_outlives_its_last_file(self, storage: Storage) -> None:
        """A directory that was made stays when its last file is removed."""
        await storage.mkdir("d")
        await storage.put("d/file")
        await storage.remove("d/file")
        assert await storage.names("d") == []
        assert (await storage.info("d")).is_dir

    @pytest.mark.parametrize("content", ["file", "sub/"])
    @pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
    async def test_a_directory_with_something_in_it_stays(
        self, storage: Storage, made: bool, content: str
    ) -> None:
        """`del_dir` raises NotEmpty while the directory contains anything, and removes nothing."""
        if made:
            await storage.mkdir("d")
        if content.endswith("/"):
            await storage.mkdir(f"d/{content}")
        else:
            await storage.put(f"d/{content}")
        with pytest.raises(NotEmpty):
            await storage.rmdir("d")
        assert await storage.names("d") == [content]

    async def test_removing_a_directory_touches_no_other_name(self, storage: Storage) -> None:
        """`del_dir(foo)` leaves `foobar/` and `foo.csv` alone."""
        await put_neighbours(storage)
        await storage.mkdir("foo")
        await storage.rmdir("foo")
        assert not await storage.exists("foo")
        await neighbours_are_whole(storage)

    async def test_a_file_is_not_removed_as_a_directory(self, storage: Storage) -> None:
        """`del_dir` of a file raises NotADirectory, and the file stays."""
        await storage.put("file")
        with pytest.raises(NotADirectory):
            await storage.rmdir("file")
        assert await storage.exists("file")

    async def test_a_removed_file_is_gone(self, storage: Storage) -> None:
        """`delete` removes that file and no other."""
        await storage.put("d/file")
        await storage.put("d/other")
        await storage.remove("d/file")
        assert not await storage.exists("d/file")
        assert await storage.names("d") == ["other"]

    async def test_removing_a_file_touches_no_other_name(self, storage: Storage) -> None:
        """`delete(foo)` leaves `foobar/` and `foo.csv` alone."""
        await put_neighbours(storage)
        await storage.put("foo")
        await storage.remove("foo")
        assert not await storage.exists("foo")
        await neighbours_are_whole(storage)

    @pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
    async def test_a_directory_is_not_removed_as_a_file(self, storage: Storage, made: bool) -> None:
        """`delete` of a directory raises IsADirectory, and it stays."""
        if made:
            await storage.mkdir("d")
        else:
            await storage.put("d/file")
        with pytest.raises(IsADirectory):
            await storage.remove("d")
        assert (await storage.info("d")).is_dir
