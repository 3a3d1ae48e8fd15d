"""Listing, making and removing directories; removing files."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from s3sftp.errors import AlreadyExists, IsADirectory, NotADirectory, NotEmpty
from tests.backends.promises.storage import Storage

NEIGHBOURS = ["foo-1", "foo.csv", "foo0", "foobar/file", "foo file", "fo"]
"""Names that begin like `foo` and are none of its business."""


async def put_neighbours(storage: Storage) -> None:
    await asyncio.gather(*(storage.put(path, path.encode()) for path in NEIGHBOURS))


async def neighbours_are_whole(storage: Storage) -> None:
    contents = await asyncio.gather(*(storage.whole(path) for path in NEIGHBOURS))
    assert contents == [path.encode() for path in NEIGHBOURS]


async def test_a_listing_shows_each_child_once_and_nothing_deeper(storage: Storage) -> None:
    for path in ("d/file", "d/sub/one", "d/sub/two", "d/sub/deeper/three"):
        await storage.put(path)
    await storage.mkdir("d/made")
    assert await storage.names("d") == ["file", "made/", "sub/"]
    assert await storage.names("d/sub") == ["deeper/", "one", "two"]
    assert await storage.names() == ["d/"]


async def test_a_listing_says_of_each_file_what_file_info_says(storage: Storage) -> None:
    await storage.put("d/file", b"12345")
    await storage.put("d/empty", b"")
    await storage.mkdir("d/sub")
    for entry in await storage.entries("d"):
        info = await storage.info(b"d/" + entry.name)
        assert (entry.info.kind, entry.info.size) == (info.kind, info.size)
        assert entry.info.version == info.version
        if not info.is_dir:
            assert entry.info.mtime == pytest.approx(info.mtime, abs=1.1)


async def test_a_listing_knows_whole_names_only(storage: Storage) -> None:
    await put_neighbours(storage)
    await storage.put("foo/inside")
    assert await storage.names("foo") == ["inside"]
    assert await storage.names("foobar") == ["file"]


async def test_a_listing_of_several_pages_is_complete(storage: Storage) -> None:
    names = [f"{number:05}" for number in range(storage.page_entries + 3)]
    todo = iter(names)

    async def put_some() -> None:
        for name in todo:
            await storage.put(f"d/{name}", b"")

    await asyncio.gather(*(put_some() for _ in range(16)))
    await storage.put("d/00001x/deeper")
    assert await storage.names("d") == sorted([*names, "00001x/"])


async def test_a_listing_can_be_left_early(storage: Storage) -> None:
    await asyncio.gather(*(storage.put(f"d/{number}") for number in range(5)))
    async with aclosing(storage.pages("d")) as pages:
        async for page in pages:
            assert page
            break
    assert len(await storage.names("d")) == 5


async def test_an_empty_directory_lists_nothing(storage: Storage) -> None:
    await storage.mkdir("d")
    assert await storage.names("d") == []


async def test_a_file_cannot_be_listed(storage: Storage) -> None:
    await storage.put("file")
    with pytest.raises(NotADirectory):
        await storage.entries("file")


async def test_a_directory_can_be_made_and_removed(storage: Storage) -> None:
    await storage.mkdir("d")
    assert (await storage.info("d")).is_dir
    assert await storage.names() == ["d/"]
    await storage.rmdir("d")
    assert not await storage.exists("d")
    assert await storage.names() == []


@pytest.mark.parametrize("taken", ["file", "made", "implied"])
async def test_a_directory_cannot_take_a_name_that_is_taken(storage: Storage, taken: str) -> None:
    await storage.put("file", b"stays")
    await storage.mkdir("made")
    await storage.put("implied/file", b"stays")
    with pytest.raises(AlreadyExists):
        await storage.mkdir(taken)
    assert await storage.names() == ["file", "implied/", "made/"]
    assert await storage.whole("file") == await storage.whole("implied/file") == b"stays"


async def test_a_directory_that_was_made_outlives_its_last_file(storage: Storage) -> None:
    await storage.mkdir("d")
    await storage.put("d/file")
    await storage.remove("d/file")
    assert await storage.names("d") == []
    assert (await storage.info("d")).is_dir


@pytest.mark.parametrize("content", ["file", "sub/"])
@pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
async def test_a_directory_with_something_in_it_stays(storage: Storage, made: bool, content: str) -> None:
    if made:
        await storage.mkdir("d")
    if content.endswith("/"):
        await storage.mkdir(f"d/{content}")
    else:
        await storage.put(f"d/{content}")
    with pytest.raises(NotEmpty):
        await storage.rmdir("d")
    assert await storage.names("d") == [content]


async def test_removing_a_directory_touches_no_other_name(storage: Storage) -> None:
    await put_neighbours(storage)
    await storage.mkdir("foo")
    await storage.rmdir("foo")
    assert not await storage.exists("foo")
    await neighbours_are_whole(storage)


async def test_a_file_is_not_removed_as_a_directory(storage: Storage) -> None:
    await storage.put("file")
    with pytest.raises(NotADirectory):
        await storage.rmdir("file")
    assert await storage.exists("file")


async def test_a_removed_file_is_gone(storage: Storage) -> None:
    await storage.put("d/file")
    await storage.put("d/other")
    await storage.remove("d/file")
    assert not await storage.exists("d/file")
    assert await storage.names("d") == ["other"]


async def test_removing_a_file_touches_no_other_name(storage: Storage) -> None:
    await put_neighbours(storage)
    await storage.put("foo")
    await storage.remove("foo")
    assert not await storage.exists("foo")
    await neighbours_are_whole(storage)


@pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
async def test_a_directory_is_not_removed_as_a_file(storage: Storage, made: bool) -> None:
    if made:
        await storage.mkdir("d")
    else:
        await storage.put("d/file")
    with pytest.raises(IsADirectory):
        await storage.remove("d")
    assert (await storage.info("d")).is_dir
