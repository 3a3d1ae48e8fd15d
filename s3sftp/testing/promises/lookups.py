"""`file_info`, and its answers after every operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Kind
from s3sftp.errors import NotFound
from s3sftp.testing.storage import Storage, assert_same_info, data_of
from s3sftp.testing.suite import Promises

MISSING: dict[str, Callable[[Storage], Awaitable[object]]] = {
    "file_info": lambda storage: storage.info("missing"),
    "list_dir": lambda storage: storage.entries("missing"),
    "delete": lambda storage: storage.remove("missing"),
    "del_dir": lambda storage: storage.rmdir("missing"),
    "rename": lambda storage: storage.rename("missing", "target"),
    "copy": lambda storage: storage.copy("missing", "target"),
    "set_mtime": lambda storage: storage.set_mtime("missing", 1.0),
    "read_file": lambda storage: storage.whole("missing"),
    "read_file_range": lambda storage: storage.part("missing", 0, 1),
}


class LookupPromises(Promises):
    """What exists, and what does not."""

    async def test_the_root_of_an_empty_storage_is_a_directory_with_nothing_in_it(
        self,
        empty_storage: Storage,
    ) -> None:
        """The root is always a directory, even in an empty storage."""
        assert (await empty_storage.info("")).is_dir
        assert await empty_storage.names("") == []

    async def test_the_root_lists_what_is_put_into_it(self, empty_storage: Storage) -> None:
        """The root can be listed like any other directory."""
        await empty_storage.put("file")
        await empty_storage.mkdir("made")
        await empty_storage.put("implied/file")
        assert await empty_storage.names("") == ["file", "implied/", "made/"]
        assert (await empty_storage.info("")).is_dir
        await empty_storage.remove("file")
        await empty_storage.rmdir("made")
        await empty_storage.remove("implied/file")

    @pytest.mark.parametrize("operation", MISSING)
    async def test_what_is_missing_is_not_found(self, storage: Storage, operation: str) -> None:
        """Every operation on a missing name raises NotFound, and creates nothing."""
        await storage.put("missing.csv")
        await storage.put("missing-/neighbour")
        with pytest.raises(NotFound):
            await MISSING[operation](storage)
        assert await storage.names() == ["missing-/", "missing.csv"]

    async def test_nothing_is_below_a_file(self, storage: Storage) -> None:
        """A file has nothing below it."""
        await storage.put("file")
        assert not await storage.exists("file/below")

    async def test_a_file_has_a_size_a_time_and_a_version(self, storage: Storage) -> None:
        """`file_info` returns the size, the modification time and a version."""
        before = time.time()
        await storage.put("file", b"12345")
        info = await storage.info("file")
        assert (info.kind, info.size) == (Kind.FILE, 5)
        assert info.mtime is not None
        assert before - 2 <= info.mtime <= time.time() + 2
        assert info.version

    async def test_an_empty_file_is_a_file(self, storage: Storage) -> None:
        """A file of no bytes exists, and is a file."""
        await storage.put("empty", b"")
        info = await storage.info("empty")
        assert (info.kind, info.size) == (Kind.FILE, 0)

    @pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
    async def test_a_directory_has_no_size_and_no_version(self, storage: Storage, made: bool) -> None:
        """Only files have a size and a version."""
        if made:
            await storage.mkdir("directory")
        else:
            await storage.put("directory/file")
        info = await storage.info("directory")
        assert (info.kind, info.size, info.version) == (Kind.DIRECTORY, 0, None)

    async def test_the_version_changes_with_the_content_and_only_then(self, storage: Storage) -> None:
        """The version changes whenever the content does; asking does not change it."""
        await storage.put("file", b"one")
        first = await storage.info("file")
        assert (await storage.info("file")).version == first.version
        await storage.put("file", b"two")
        assert (await storage.info("file")).version != first.version

    async def test_what_an_operation_returns_is_what_is_there(self, storage: Storage) -> None:
        """A write or a copy returns what `file_info` returns next."""
        assert_same_info(await storage.put("written", b"one"), await storage.info("written"))
        copied = await storage.copy("written", "copied")
        assert_same_info(copied, await storage.info("copied"))
        assert (copied.size, copied.version is None) == (3, False)

    async def test_every_operation_is_seen_at_once(self, storage: Storage) -> None:
        """Every operation sees the effect of the one before it. Each fact is looked up before the operation
        too, so that the backend has to forget what it remembers."""
        assert not await storage.exists("d/file")
        await storage.put("d/file", b"1")
        assert (await storage.info("d/file")).size == 1
        await storage.put("d/file", b"22")
        assert (await storage.info("d/file")).size == 2
        assert not await storage.exists("e")
        await storage.rename("d/file", "e/file")
        assert (await storage.info("e")).is_dir
        assert not await storage.exists("d/file")
        assert not await storage.exists("f")
        await storage.rename("e", "f")
        assert (await storage.exists("e/file"), await storage.exists("e")) == (False, False)
        assert (await storage.info("f/file")).size == 2
        await storage.remove("f/file")
        assert not await storage.exists("f/file")
        assert not await storage.exists("g")
        await storage.mkdir("g")
        assert (await storage.info("g")).is_dir
        await storage.rmdir("g")
        assert not await storage.exists("g")

    async def test_a_name_may_be_a_file_and_then_a_directory(self, storage: Storage) -> None:
        """A name that is free again may be reused for the other kind."""
        await storage.put("name")
        await storage.remove("name")
        await storage.mkdir("name")
        assert (await storage.info("name")).is_dir
        await storage.rmdir("name")
        await storage.put("name")
        assert not (await storage.info("name")).is_dir

    async def test_many_questions_at_once_get_their_own_answers(self, storage: Storage) -> None:
        """Concurrent calls do not get each other's answers."""
        paths = [f"{number:02}" for number in range(20)]
        await asyncio.gather(*(storage.put(path, data_of(int(path))) for path in paths))
        infos = await asyncio.gather(*(storage.info(path) for path in paths))
        assert [info.size for info in infos] == list(range(20))
