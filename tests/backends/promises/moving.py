"""Renaming files and directories, copying, setting the time."""

from __future__ import annotations

import contextlib

import pytest

from s3sftp.errors import AlreadyExists, Changed, InvalidRequest, IsADirectory, StorageError
from tests.backends.promises.directories import neighbours_are_whole, put_neighbours
from tests.backends.promises.storage import Storage, data_of

BOTH = pytest.mark.parametrize("overwrite", [True, False], ids=["overwriting", "not overwriting"])


@BOTH
async def test_a_renamed_file_is_at_its_new_name_alone(storage: Storage, overwrite: bool) -> None:
    old = await storage.put("from/file", b"content")
    await storage.put("from/other")
    await storage.rename("from/file", "to/renamed", overwrite=overwrite)
    assert await storage.names("from") == ["other"]
    assert await storage.names("to") == ["renamed"]
    assert await storage.whole("to/renamed") == b"content"
    assert (await storage.info("to/renamed")).size == old.size


async def test_a_renamed_file_of_several_chunks_is_whole(storage: Storage) -> None:
    writing = await storage.begin("file")
    await writing.chunk()
    await writing.chunk()
    await writing.finish(b"tail")
    await storage.rename("file", "renamed")
    assert await storage.whole("renamed") == writing.sent
    assert await storage.names() == ["renamed"]


async def test_a_renamed_file_keeps_the_time_it_was_given(storage: Storage) -> None:
    writing = await storage.begin("file")
    await writing.finish(b"content", mtime=1_000_000_000)
    await storage.rename("file", "renamed")
    assert (await storage.info("renamed")).mtime == 1_000_000_000


async def test_renaming_onto_a_file_replaces_it_only_when_told_to(storage: Storage) -> None:
    await storage.put("source", b"source")
    await storage.put("target", b"target")
    with pytest.raises(AlreadyExists):
        await storage.rename("source", "target", overwrite=False)
    assert (await storage.whole("source"), await storage.whole("target")) == (b"source", b"target")
    await storage.rename("source", "target", overwrite=True)
    assert await storage.names() == ["target"]
    assert await storage.whole("target") == b"source"


@BOTH
async def test_renaming_a_file_onto_itself_loses_nothing(storage: Storage, overwrite: bool) -> None:
    await storage.put("file", b"content")
    try:
        await storage.rename("file", "file", overwrite=overwrite)
    except AlreadyExists:
        assert not overwrite
    assert await storage.whole("file") == b"content"


@BOTH
async def test_renaming_what_is_missing_leaves_the_target(storage: Storage, overwrite: bool) -> None:
    await storage.put("target", b"target")
    with pytest.raises(StorageError):
        await storage.rename("missing", "target", overwrite=overwrite)
    assert await storage.whole("target") == b"target"


async def test_renaming_a_file_touches_no_other_name(storage: Storage) -> None:
    await put_neighbours(storage)
    await storage.put("foo", b"foo")
    await storage.rename("foo", "moved")
    assert not await storage.exists("foo")
    await neighbours_are_whole(storage)


TREE = {"d/file": b"1", "d/sub/one": b"2", "d/sub/deep/er": b"3", "d/d/d": b"4", "d/empty": b""}


async def put_tree(storage: Storage) -> None:
    for path, data in TREE.items():
        await storage.put(path, data)
    await storage.mkdir("d/made")


async def tree_is_at(storage: Storage, top: str) -> None:
    for path, data in TREE.items():
        assert await storage.whole(path.replace("d", top, 1)) == data
    assert await storage.names(top) == ["d/", "empty", "file", "made/", "sub/"]
    assert await storage.names(f"{top}/made") == []


@BOTH
async def test_a_renamed_directory_takes_its_tree_along(storage: Storage, overwrite: bool) -> None:
    await put_tree(storage)
    await storage.rename("d", "moved", overwrite=overwrite)
    await tree_is_at(storage, "moved")
    assert not await storage.exists("d")
    assert await storage.names() == ["moved/"]


async def test_a_directory_moves_into_another(storage: Storage) -> None:
    await put_tree(storage)
    await storage.rename("d", "other/below")
    await tree_is_at(storage, "other/below")


async def test_an_empty_directory_can_be_renamed(storage: Storage) -> None:
    await storage.mkdir("d")
    await storage.rename("d", "moved")
    assert await storage.names() == ["moved/"]
    assert await storage.names("moved") == []


async def test_renaming_a_directory_touches_no_other_name(storage: Storage) -> None:
    await put_neighbours(storage)
    await storage.put("foo/inside", b"inside")
    await storage.rename("foo", "foofoo")
    assert await storage.names("foofoo") == ["inside"]
    assert not await storage.exists("foo")
    await neighbours_are_whole(storage)


@BOTH
@pytest.mark.parametrize("target", ["file", "made", "implied"])
async def test_a_directory_never_replaces_anything(storage: Storage, target: str, overwrite: bool) -> None:
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
async def test_a_file_never_replaces_a_directory(storage: Storage, target: str, overwrite: bool) -> None:
    await storage.mkdir("made")
    await storage.put("implied/file", b"stays")
    await storage.put("source", b"source")
    with pytest.raises(AlreadyExists):
        await storage.rename("source", target, overwrite=overwrite)
    assert await storage.names() == ["implied/", "made/", "source"]
    assert await storage.whole("implied/file") == b"stays"


@pytest.mark.parametrize("target", ["d/inside", "d/sub/deep/inside", "d/sub"])
async def test_a_directory_does_not_move_into_itself(storage: Storage, target: str) -> None:
    await put_tree(storage)
    with pytest.raises((InvalidRequest, AlreadyExists) if target == "d/sub" else InvalidRequest):
        await storage.rename("d", target)
    await tree_is_at(storage, "d")


@BOTH
async def test_a_directory_renamed_to_itself_loses_nothing(storage: Storage, overwrite: bool) -> None:
    await put_tree(storage)
    with contextlib.suppress(InvalidRequest, AlreadyExists):
        await storage.rename("d", "d", overwrite=overwrite)
    await tree_is_at(storage, "d")


# copying


async def test_a_copy_has_the_content_and_leaves_the_source(storage: Storage) -> None:
    await storage.put("source", b"content")
    info = await storage.copy("source", "new/copy")
    assert await storage.whole("new/copy") == await storage.whole("source") == b"content"
    assert info == await storage.info("new/copy")


async def test_a_copy_replaces_its_target(storage: Storage) -> None:
    source = await storage.put("source", b"content")
    await storage.put("target", b"something longer")
    await storage.copy("source", "target", version=source.version)
    assert await storage.whole("target") == b"content"


async def test_a_copy_of_a_file_that_changed_is_refused(storage: Storage) -> None:
    old = await storage.put("source", b"old")
    await storage.put("source", b"new")
    await storage.put("target", b"target")
    with pytest.raises(Changed):
        await storage.copy("source", "target", version=old.version)
    assert await storage.whole("target") == b"target"


@pytest.mark.parametrize("made", [True, False], ids=["made", "implied"])
async def test_a_directory_is_not_copied_as_a_file(storage: Storage, made: bool) -> None:
    if made:
        await storage.mkdir("d")
    else:
        await storage.put("d/file")
    with pytest.raises(IsADirectory):
        await storage.copy("d", "target")
    assert not await storage.exists("target")


# time


async def test_a_time_that_is_said_to_be_set_is_set(storage: Storage) -> None:
    before = await storage.put("file", data_of(1000))
    done = await storage.set_mtime("file", 1_234_567_890)
    after = await storage.info("file")
    assert after.mtime == (1_234_567_890 if done else before.mtime)
    assert after.size == 1000
    assert await storage.whole("file") == data_of(1000)
