"""What POSIX says of names, and clients count on: parents, slashes at the end, what is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import (
    AlreadyExists,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    StorageFailure,
)
from s3sftp.fs import FileOptions, FileSystem, Mounts, NewAttributes, OpenStorage, VirtualPath, WriteMode

TRUNC = WriteMode(truncate=True)


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


def files_of(backend: MemoryBackend, *, directories: tuple[str, ...] = ()) -> FileSystem:
    return FileSystem(
        OpenStorage(backend, FileOptions()),
        Mounts.of("alice", directories=directories),
        Session("alice"),
    )


@pytest.mark.parametrize(
    "new",
    [
        NewAttributes(permissions=0o600),
        NewAttributes(owner=(1, 1)),
        NewAttributes(mtime=1.0),
        NewAttributes(),
    ],
    ids=["chmod", "chown", "utime", "nothing"],
)
async def test_attributes_of_what_is_not_there_cannot_be_set(new: NewAttributes) -> None:
    files = files_of(MemoryBackend({"alice/f": b""}))
    with pytest.raises(NotFound):
        await files.set_attributes(path("/missing"), new)
    await files.set_attributes(path("/f"), new)
    await files.set_attributes(path("/"), new)


async def test_attributes_of_a_file_that_is_being_written_can_be_set() -> None:
    files = files_of(MemoryBackend())
    writer = await files.open_writer(path("/f"), TRUNC)
    await files.set_attributes(path("/f"), NewAttributes(permissions=0o600))
    await writer.close()


async def test_a_directory_is_made_where_there_is_one_to_make_it_in() -> None:
    backend = MemoryBackend({"alice/implied/f": b""})
    files = files_of(backend, directories=("inbox",))
    for missing in ("/a/b", "/a/b/c", "/implied/a/b"):
        with pytest.raises(NotFound):
            await files.make_dir(path(missing))
    for below_a_file in ("/implied/f/a", "/implied/f/a/b"):
        with pytest.raises((NotADirectory, NotFound)):
            await files.make_dir(path(below_a_file))
    for made in ("/a", "/a/b", "/implied/a", "/inbox/a"):
        await files.make_dir(path(made))
    assert {key for key in backend.contents() if key.endswith("/")} == {
        "alice/a/",
        "alice/a/b/",
        "alice/implied/a/",
        "alice/inbox/a/",
    }


async def test_directories_that_were_made_stay_when_those_in_them_go() -> None:
    files = files_of(MemoryBackend())
    for made in ("/a", "/a/b", "/a/b/c"):
        await files.make_dir(path(made))
    await files.remove_dir(path("/a/b/c"))
    assert (await files.stat(path("/a/b"))).is_dir


@pytest.mark.parametrize("gone", ["removed", "moved"])
async def test_a_directory_that_its_session_has_emptied_is_there_to_make_another_in(gone: str) -> None:
    """Without a marker it went with its last file; on a disk it would not have."""
    backend = MemoryBackend({"alice/a/b/f": b"", "alice/other/f": b""})
    files, others = files_of(backend), files_of(backend)
    if gone == "removed":
        await files.remove(path("/a/b/f"))
    else:
        await files.rename(path("/a/b/f"), path("/g"), overwrite=False)
    with pytest.raises(NotFound):
        await others.make_dir(path("/a/b/new"))
    await files.make_dir(path("/a/b/new"))
    assert {"alice/a/b/", "alice/a/b/new/"} <= backend.contents().keys()
    await files.remove_dir(path("/a/b/new"))
    await files.remove_dir(path("/a/b"))
    with pytest.raises(NotFound):
        await files.make_dir(path("/a/b/new"))


async def _open_to_write(files: FileSystem, name: str) -> None:
    await (await files.open_writer(path(name), TRUNC)).abort()


async def _open_to_read(files: FileSystem, name: str) -> None:
    await (await files.open_reader(path(name))).abort()


OF_FILES: dict[str, Callable[[FileSystem, str], Awaitable[object]]] = {
    "open to read": _open_to_read,
    "open to write": _open_to_write,
    "stat": lambda files, name: files.stat(path(name)),
    "remove": lambda files, name: files.remove(path(name)),
    "chmod": lambda files, name: files.set_attributes(path(name), NewAttributes(permissions=0o600)),
    "utime": lambda files, name: files.set_attributes(path(name), NewAttributes(mtime=1.0)),
    "rename it": lambda files, name: files.rename(path(name), path("/g"), overwrite=True),
    "rename to it": lambda files, name: files.rename(path("/f"), path(f"/g{name[2:]}"), overwrite=True),
}


@pytest.mark.parametrize("end", ["/", "/.", "//"])
@pytest.mark.parametrize("operation", OF_FILES)
async def test_a_name_that_ends_in_a_slash_is_no_files(operation: str, end: str) -> None:
    backend = MemoryBackend({"alice/f": b"stays"})
    with pytest.raises(NotADirectory):
        await OF_FILES[operation](files_of(backend), "/f" + end)
    assert backend.contents() == {"alice/f": b"stays"}


async def test_no_file_is_made_of_a_name_that_ends_in_a_slash() -> None:
    backend = MemoryBackend()
    files = files_of(backend)
    for mode in (TRUNC, WriteMode(exclusive=True), WriteMode(append=True), WriteMode()):
        with pytest.raises(IsADirectory):
            await files.open_writer(path("/outbox/"), mode)
    assert backend.contents() == {}


@pytest.mark.parametrize(
    "mode", [TRUNC, WriteMode(), WriteMode(append=True)], ids=["truncate", "create", "append"]
)
async def test_what_is_known_to_be_no_file_s_name_is_refused_at_open(mode: WriteMode) -> None:
    """Before anything is sent for it, with TRUNC or without."""
    files = files_of(MemoryBackend({"alice/f": b"", "alice/d/x": b""}))
    with pytest.raises(NotADirectory):
        await files.open_writer(path("/f/below"), mode)
    with pytest.raises(IsADirectory):
        await files.open_writer(path("/d"), mode)


async def test_without_create_a_missing_name_that_ends_in_a_slash_is_missing() -> None:
    with pytest.raises(NotFound):
        await files_of(MemoryBackend()).open_writer(path("/x/"), WriteMode(create=False))


async def test_nothing_is_renamed_to_a_name_below_a_file() -> None:
    backend = MemoryBackend({"alice/f": b"", "alice/g": b""})
    for source in ("/f", "/g"):
        with pytest.raises(NotADirectory):
            await files_of(backend).rename(path(source), path("/f/in"), overwrite=True)
    assert backend.contents() == {"alice/f": b"", "alice/g": b""}


async def test_a_directory_may_be_named_with_a_slash() -> None:
    files = files_of(MemoryBackend())
    await files.make_dir(path("/d/"))
    assert (await files.stat(path("/d/."))).is_dir
    await files.set_attributes(path("/d/"), NewAttributes(permissions=0o700))
    await files.rename(path("/d/"), path("/e/"), overwrite=False)
    await (await files.open_dir(path("/e/"))).close()
    await files.remove_dir(path("/e/"))


async def test_a_directory_takes_the_name_of_an_empty_one_alone() -> None:
    backend = MemoryBackend({"alice/d/f": b"1", "alice/full/x": b"2", "alice/file": b"3"})
    files = files_of(backend, directories=("inbox",))
    await files.make_dir(path("/empty"))
    with pytest.raises(AlreadyExists):
        await files.rename(path("/d"), path("/empty"), overwrite=False)
    with pytest.raises(NotEmpty):
        await files.rename(path("/d"), path("/full"), overwrite=True)
    for taken in ("/file", "/inbox"):
        with pytest.raises(AlreadyExists):
            await files.rename(path("/d"), path(taken), overwrite=True)
    with pytest.raises(AlreadyExists):
        await files.rename(path("/file"), path("/empty"), overwrite=True)
    await files.rename(path("/d"), path("/empty"), overwrite=True)
    assert backend.contents() == {"alice/empty/f": b"1", "alice/full/x": b"2", "alice/file": b"3"}


async def test_an_empty_directory_comes_back_when_none_could_take_its_name() -> None:
    renames = 0

    def fail(method: str, _: Place) -> None:
        nonlocal renames
        if method == "rename":
            renames += 1
            if renames == 2:
                raise StorageFailure

    backend = MemoryBackend({"alice/d/f": b"1", "alice/empty/": b""}, fail=fail)
    with pytest.raises(StorageFailure):
        await files_of(backend).rename(path("/d"), path("/empty"), overwrite=True)
    assert backend.contents() == {"alice/d/f": b"1", "alice/empty/": b""}
