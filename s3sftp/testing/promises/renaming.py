"""Renames of files and directories."""

from __future__ import annotations

import contextlib

import pytest

from s3sftp.errors import AlreadyExists, InvalidRequest, StorageError
from s3sftp.testing.promises.directories import neighbours_are_whole, put_neighbours
from s3sftp.testing.storage import Storage, assert_same
from s3sftp.testing.suite import Promises

BOTH = pytest.mark.parametrize("overwrite", [True, False], ids=["overwriting", "not overwriting"])

TREE = {"d/file": b"1", "d/sub/one": b"2", "d/sub/deep/er": b"3", "d/d/d": b"4", "d/empty": b""}


async def put_tree(storage: Storage) -> None:
    for path, data in TREE.items():
        await storage.put(path, data)
    await storage.mkdir("d/made")


async def tree_is_at(storage: Storage, top: str) -> None:
    for path, data in TREE.items():
        assert_same(await storage.whole(path.replace("d", top, 1)), data)
    assert await storage.names(top) == ["d/", "empty", "file", "made/", "sub/"]
    assert await storage.names(f"{top}/made") == []


class RenamePromises(Promises):
    """Moving files and directories."""

    @BOTH
    async def test_a_renamed_file_is_at_its_new_name_alone(self, storage: Storage, overwrite: bool) -> None:
        """A renamed file has its content at the new name and nothing at the old one."""
        old = await storage.put("from/file", b"content")
        await storage.put("from/other")
        await storage.rename("from/file", "to/renamed", overwrite=overwrite)
        assert await storage.names("from") == ["other"]
        assert await storage.names("to") == ["renamed"]
        assert await storage.whole("to/renamed") == b"content"
        assert (await storage.info("to/renamed")).size == old.size

    async def test_a_renamed_file_of_several_chunks_is_whole(self, storage: Storage) -> None:
        """A file that was written in chunks is renamed whole."""
        writing = await storage.begin("file")
        await writing.chunk()
        await writing.chunk()
        await writing.finish(b"tail")
        await storage.rename("file", "renamed")
        assert_same(await storage.whole("renamed"), writing.sent)
        assert await storage.names() == ["renamed"]

    async def test_a_renamed_file_keeps_the_time_it_was_given(self, storage: Storage) -> None:
        """A rename keeps the modification time."""
        writing = await storage.begin("file")
        await writing.finish(b"content", mtime=1_000_000_000)
        await storage.rename("file", "renamed")
        assert (await storage.info("renamed")).mtime == 1_000_000_000

    async def test_renaming_onto_a_file_replaces_it_only_when_told_to(self, storage: Storage) -> None:
        """Renaming over a file raises AlreadyExists without `overwrite`, and replaces the content with it."""
        await storage.put("source", b"source")
        await storage.put("target", b"target")
        with pytest.raises(AlreadyExists):
            await storage.rename("source", "target", overwrite=False)
        assert (await storage.whole("source"), await storage.whole("target")) == (b"source", b"target")
        await storage.rename("source", "target", overwrite=True)
        assert await storage.names() == ["target"]
        assert await storage.whole("target") == b"source"

    @BOTH
    async def test_renaming_a_file_onto_itself_loses_nothing(self, storage: Storage, overwrite: bool) -> None:
        """Renaming a file to itself does nothing, or raises AlreadyExists without `overwrite`."""
        await storage.put("file", b"content")
        try:
            await storage.rename("file", "file", overwrite=overwrite)
        except AlreadyExists:
            assert not overwrite
        assert await storage.whole("file") == b"content"

    @BOTH
    async def test_renaming_what_is_missing_leaves_the_target(
        self, storage: Storage, overwrite: bool
    ) -> None:
        """If there is no source, the target stays as it is."""
        await storage.put("target", b"target")
        with pytest.raises(StorageError):
            await storage.rename("missing", "target", overwrite=overwrite)
        assert await storage.whole("target") == b"target"

    async def test_renaming_a_file_touches_no_other_name(self, storage: Storage) -> None:
        """`rename(foo)` of a file leaves `foobar/` and `foo.csv` alone."""
        await put_neighbours(storage)
        await storage.put("foo", b"foo")
        await storage.rename("foo", "moved")
        assert not await storage.exists("foo")
        await neighbours_are_whole(storage)

    @BOTH
    async def test_a_renamed_directory_takes_its_tree_along(self, storage: Storage, overwrite: bool) -> None:
        """Everything in a directory moves with it: files and directories, including empty ones."""
        await put_tree(storage)
        await storage.rename("d", "moved", overwrite=overwrite)
        await tree_is_at(storage, "moved")
        assert not await storage.exists("d")
        assert await storage.names() == ["moved/"]

    async def test_a_directory_moves_into_another(self, storage: Storage) -> None:
        """A directory can be moved to another place in the tree."""
        await put_tree(storage)
        await storage.rename("d", "other/below")
        await tree_is_at(storage, "other/below")

    async def test_an_empty_directory_can_be_renamed(self, storage: Storage) -> None:
        """A directory with nothing in it can be renamed."""
        await storage.mkdir("d")
        await storage.rename("d", "moved")
        assert await storage.names() == ["moved/"]
        assert await storage.names("moved") == []

    async def test_renaming_a_directory_touches_no_other_name(self, storage: Storage) -> None:
        """`rename(foo)` of a directory leaves `foobar/` and `foo.csv` alone."""
        await put_neighbours(storage)
        await storage.put("foo/inside", b"inside")
        await storage.rename("foo", "foofoo")
        assert await storage.names("foofoo") == ["inside"]
        assert not await storage.exists("foo")
        await neighbours_are_whole(storage)

    @BOTH
    @pytest.mark.parametrize("target", ["file", "made", "implied"])
    async def test_a_directory_never_replaces_anything(
        self, storage: Storage, target: str, overwrite: bool
    ) -> None:
        """Renaming a directory over anything that exists raises AlreadyExists, even with `overwrite`."""
        await put_tree(storage)
        await storage.put("file", b"stays")
        await storage.mkdir("made")
        await storage.put("implied/file", b"stays")
        with pytest.raises(AlreadyExists):
            await storage.rename("d", target, overwrite=overwrite)
        await tree_is_at(storage, "d")
        assert await storage.names() == ["d/", "file", "implied/", "made/"]
        assert await storage.names("implied") == ["file"]

    @BOTH
    @pytest.mark.parametrize("target", ["made", "implied"])
    async def test_a_file_never_replaces_a_directory(
        self, storage: Storage, target: str, overwrite: bool
    ) -> None:
        """Renaming a file over a directory raises AlreadyExists, even with `overwrite`."""
        await storage.mkdir("made")
        await storage.put("implied/file", b"stays")
        await storage.put("source", b"source")
        with pytest.raises(AlreadyExists):
            await storage.rename("source", target, overwrite=overwrite)
        assert await storage.names() == ["implied/", "made/", "source"]
        assert await storage.whole("implied/file") == b"stays"

    @pytest.mark.parametrize("target", ["d/inside", "d/sub/deep/inside", "d/sub"])
    async def test_a_directory_does_not_move_into_itself(self, storage: Storage, target: str) -> None:
        """Moving a directory into itself raises InvalidRequest, and nothing moves."""
        await put_tree(storage)
        with pytest.raises((InvalidRequest, AlreadyExists) if target == "d/sub" else InvalidRequest):
            await storage.rename("d", target)
        await tree_is_at(storage, "d")

    async def test_a_file_does_not_move_below_itself(self, storage: Storage) -> None:
        """Moving a file below its own name raises InvalidRequest, and it stays."""
        await storage.put("file", b"stays")
        with pytest.raises(InvalidRequest):
            await storage.rename("file", "file/below")
        assert await storage.whole("file") == b"stays"

    @BOTH
    async def test_a_directory_renamed_to_itself_loses_nothing(
        self, storage: Storage, overwrite: bool
    ) -> None:
        """A directory renamed to itself stays where it is."""
        await put_tree(storage)
        with contextlib.suppress(InvalidRequest, AlreadyExists):
            await storage.rename("d", "d", overwrite=overwrite)
        await tree_is_at(storage, "d")
