"""Whoever may only write learns nothing, and still finishes uploads the way real clients do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from s3sftp.backends import FileInfo, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import NotFound, PermissionDenied, StorageError
from s3sftp.fs import (
    AccessRules,
    FileOptions,
    FileSystem,
    HashRequest,
    Mounts,
    NewAttributes,
    OnConflict,
    OpenStorage,
    Right,
    WriteMode,
    rights_of,
)
from tests.backends.storages import on_local
from tests.fs.test_rights import TRUNC, path, read, write

BOX = AccessRules(rights_of("drop-box"))
KEEPS = AccessRules(rights_of("drop-box"), on_conflict=OnConflict.KEEP_BOTH)


def box(backend: MemoryBackend, rules: AccessRules = BOX) -> FileSystem:
    return FileSystem(OpenStorage(backend, FileOptions()), Mounts.of("", rules=rules), Session("partner"))


async def outcome(operation: object) -> str:
    try:
        await operation  # type: ignore[misc]
    except StorageError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


@pytest.mark.parametrize("rules", [BOX, KEEPS])
async def test_every_answer_but_a_refused_overwrite_is_the_same_whether_a_file_is_there(
    rules: AccessRules,
) -> None:
    answers = []
    for seeds in ({}, {"f": b"content", "d/f": b"deeper"}):
        files = box(MemoryBackend(seeds), rules)
        at, new = path("f"), path("new")
        operations = {
            "stat": files.stat(at),
            "stat below": files.stat(path("d/f")),
            "stat with a slash": files.stat(path("d/")),
            "statvfs": files.usage(at),
            "list": files.open_dir(path("d")),
            "read": read(files, "f"),
            "hash": files.hash_file(at, HashRequest("md5", 0, 0, 0), 1000),
            "remove": files.remove(at),
            "rmdir": files.remove_dir(path("d")),
            "mkdir": files.make_dir(path("d")),
            "rename": files.rename(at, new, overwrite=True),
            "set a time": files.set_attributes(at, NewAttributes(mtime=1.0)),
            "resize": files.set_attributes(at, NewAttributes(size=1)),
            "append": write(files, "f", WriteMode(append=True, create=False)),
        }
        if rules is KEEPS:
            operations |= {
                "write": write(files, "f"),
                "write alone": write(files, "f", WriteMode(exclusive=True)),
                "write in place": write(files, "f", WriteMode()),
                "write, not create": write(files, "f", WriteMode(truncate=True, create=False)),
                "write over a directory": write(files, "d"),
            }
        answers.append({name: await outcome(operation) for name, operation in operations.items()})
    assert answers[0] == answers[1]
    assert answers[0]["statvfs"] == answers[0]["stat"]  # some storages answer only for what is there


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_rename_to_where_nothing_may_be_stored_does_not_tell_what_is_there(overwrite: bool) -> None:
    answers = set()
    for seeds in ({"f": b"1"}, {"f": b"1", "g": b"2"}):
        files = box(MemoryBackend(seeds), AccessRules(frozenset({Right.RENAME})))
        answers.add(await outcome(files.rename(path("f"), path("g"), overwrite=overwrite)))
    (answer,) = answers
    assert answer.startswith("PermissionDenied")


async def test_it_neither_reads_nor_replaces_its_own_file() -> None:
    backend = MemoryBackend()
    files = box(backend)
    writer = await files.open_writer(path("f"), TRUNC)
    await writer.write(0, b"mine")
    with pytest.raises(PermissionDenied):
        await writer.read(0, 4)
    await writer.close()
    with pytest.raises(PermissionDenied):
        await read(files, "f")
    with pytest.raises(PermissionDenied, match="replace"):
        await write(files, "f")
    with pytest.raises(PermissionDenied):
        await files.remove(path("f"))


async def test_it_renames_a_file_that_it_has_just_stored_and_sets_its_time() -> None:
    backend = MemoryBackend({"taken": b"0"})
    files = box(backend)
    await write(files, "f.part", data=b"mine")
    assert (await files.stat(path("f.part"))).size == 4
    await files.set_attributes(path("f.part"), NewAttributes(mtime=1e9))
    assert (await files.stat(path("f.part"))).mtime == 1e9
    with pytest.raises(PermissionDenied, match="replace"):
        await files.rename(path("f.part"), path("taken"), overwrite=True)
    await files.rename(path("f.part"), path("f"), overwrite=True)
    assert (await files.stat(path("f"))).size == 4
    with pytest.raises(NotFound):
        await files.stat(path("f.part"))
    await files.set_attributes(path("f"), NewAttributes(mtime=2e9))
    assert set(backend.objects) == {b"taken", b"f"}


async def test_that_works_on_a_storage_of_files_too(tmp_path: Path) -> None:
    async with on_local(tmp_path) as subject:
        volume = OpenStorage(subject.backend, FileOptions())
        await volume.start()
        files = FileSystem(volume, Mounts.of("", rules=KEEPS), Session("partner"))
        for data in (b"one", b"two"):
            await write(files, "f.part", data=data)
            await files.set_attributes(path("f.part"), NewAttributes(mtime=1e9))
            await files.rename(path("f.part"), path("f"), overwrite=True)
            assert (await files.stat(path("f"))).mtime == 1e9
        office = FileSystem(volume, Mounts.of(""), Session("office"))
        assert (await read(office, "f"), await read(office, "f (2)")) == (b"one", b"two")
        await volume.stop()


async def test_it_sees_its_own_upload_while_it_is_open() -> None:
    files = box(MemoryBackend({"f": b"1"}), KEEPS)
    writer = await files.open_writer(path("f"), TRUNC)
    await writer.write(0, b"mine")
    assert (await files.stat(path("f"))).size == 4
    await files.set_attributes(path("f"), NewAttributes(mtime=5.0))
    await writer.close()
    assert str(writer.path) == "/f (2)"


async def test_another_session_of_the_same_user_may_do_none_of_that() -> None:
    backend = MemoryBackend()
    volume = OpenStorage(backend, FileOptions())
    mounts = Mounts.of("", rules=BOX)
    first, second = (FileSystem(volume, mounts, Session("partner")) for _ in range(2))
    await write(first, "f")
    open_still = await first.open_writer(path("g"), TRUNC)
    for operation in (
        second.rename(path("f"), path("x"), overwrite=False),
        second.set_attributes(path("f"), NewAttributes(mtime=1.0)),
        second.set_attributes(path("g"), NewAttributes(mtime=1.0)),
    ):
        with pytest.raises(PermissionDenied):
            await operation
    for name in ("f", "g"):
        with pytest.raises(NotFound):
            await second.stat(path(name))
    await open_still.abort()


async def test_a_file_that_another_has_replaced_meanwhile_is_not_its_own() -> None:
    backend = MemoryBackend()
    files = box(backend)
    await write(files, "f", data=b"mine")
    other = FileSystem(OpenStorage(backend, FileOptions()), Mounts.of(""), Session("office"))
    await write(other, "f", data=b"theirs")
    assert (await files.stat(path("f"))).size == 4, "what it stored, not what is there"
    for operation in (
        files.rename(path("f"), path("x"), overwrite=True),
        files.set_attributes(path("f"), NewAttributes(mtime=1.0)),
    ):
        with pytest.raises(PermissionDenied):
            await operation
    assert await read(other, "f") == b"theirs"


async def test_what_it_does_with_a_file_that_got_another_name_meets_that_file() -> None:
    backend = MemoryBackend({"r.csv": b"theirs"})
    files = box(backend, KEEPS)
    await write(files, "r.csv", data=b"mine too")
    assert (await files.stat(path("r.csv"))).size == 8
    await files.set_attributes(path("r.csv"), NewAttributes(mtime=7.0))
    await files.rename(path("r.csv"), path("s.csv"), overwrite=True)
    other = FileSystem(OpenStorage(backend, FileOptions()), Mounts.of(""), Session("office"))
    assert (await read(other, "r.csv"), await read(other, "s.csv")) == (b"theirs", b"mine too")
    assert isinstance(await other.stat(path("s.csv")), FileInfo)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: write(files, "logs/f", WriteMode(append=True, create=False)),
        lambda files: write(files, "logs/f", WriteMode()),
        lambda files: files.set_attributes(path("logs/f"), NewAttributes(size=5)),
    ],
    ids=["append", "write in place", "resize"],
)
async def test_whoever_adds_to_a_file_of_another_neither_moves_it_nor_sets_its_time(
    change: Callable[[FileSystem], Awaitable[None]],
) -> None:
    backend = MemoryBackend({"logs/f": b"secret", "mine/": b""})
    rules = AccessRules(rights_of(("append", "write")))
    mounts = Mounts.of("", rules=rules, paths=[("/mine", AccessRules(rights_of("read-write")))])
    files = FileSystem(OpenStorage(backend, FileOptions()), mounts, Session("partner"))
    await change(files)
    with pytest.raises(PermissionDenied):
        await files.rename(path("logs/f"), path("mine/f"), overwrite=False)
    with pytest.raises(PermissionDenied):
        await files.set_attributes(path("logs/f"), NewAttributes(mtime=1.0))
    assert set(backend.objects) == {b"logs/f", b"mine/"}


@pytest.mark.parametrize("is_open", [False, True])
async def test_no_other_name_than_the_client_s_answers_where_both_files_are_kept(is_open: bool) -> None:
    for seeds in ({}, {"f": b"theirs"}, {"f": b"theirs", "f (2)": b"theirs"}):
        files = box(MemoryBackend(seeds), KEEPS)
        writer = await files.open_writer(path("f"), TRUNC)
        await writer.write(0, b"mine")
        if not is_open:
            await writer.close()
        assert (await files.stat(path("f"))).size == 4
        for other in ("f (2)", "f (3)"):
            with pytest.raises(NotFound):
                await files.stat(path(other))
            with pytest.raises(PermissionDenied):
                await files.set_attributes(path(other), NewAttributes(mtime=1.0))
            with pytest.raises(PermissionDenied):
                await files.rename(path(other), path("x"), overwrite=True)
        if is_open:
            await writer.abort()


async def test_no_other_name_answers_after_a_rename_where_both_files_are_kept() -> None:
    for seeds in ({}, {"g": b"theirs"}):
        files = box(MemoryBackend(seeds), KEEPS)
        await write(files, "f", data=b"mine")
        await files.rename(path("f"), path("g"), overwrite=True)
        assert (await files.stat(path("g"))).size == 4
        with pytest.raises(NotFound):
            await files.stat(path("g (2)"))
