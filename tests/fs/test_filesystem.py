"""What a user sees of a volume: rights, fixed directories, files that are being written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from s3sftp.backends import Entry, FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StorageFailure,
)
from s3sftp.fs import FileOptions, FileSystem, Mounts, NewAttributes, OpenStorage, VirtualPath, WriteMode
from tests.support.logs import capture_events

TRUNC = WriteMode(truncate=True)


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


def files_of(backend: MemoryBackend, **rights: object) -> FileSystem:
    options = FileOptions(max_uploads_per_user=3)
    return FileSystem(OpenStorage(backend, options), Mounts.of("alice", **rights), Session("alice"))  # type: ignore[arg-type]


async def put(files: FileSystem, name: str, data: bytes) -> None:
    writer = await files.open_writer(path(name), TRUNC)
    await writer.write(0, data)
    await writer.close()


async def names_in(files: FileSystem, name: str) -> list[bytes]:
    listing = await files.open_dir(path(name))
    found = []
    while (page := await listing.next_page()) is not None:
        found += [entry.name for entry in page]
    await listing.close()
    return found


@pytest.mark.parametrize("fails", [True, False])
async def test_the_line_of_a_download_says_whether_it_failed(fails: bool) -> None:
    def fail(method: str, _: Place) -> None:
        if fails and method == "read_file_range":
            raise StorageFailure(detail="the disk is gone")

    files = files_of(MemoryBackend({"alice/f": b"content"}, fail=fail))
    reader = await files.open_reader(path("/f"))
    with capture_events() as log:
        if fails:
            with pytest.raises(StorageFailure):
                await reader.read(0, 7)
        else:
            await reader.read(0, 7)
        await reader.close()
    (line,) = [each for each in log if each["event"].startswith("download.")]
    told = (line["event"], line["log_level"], line.get("detail"))
    failed = ("download.failed", "warning", "the disk is gone")
    assert told == (failed if fails else ("download.completed", "info", None))


async def test_a_read_only_user_reads_and_changes_nothing() -> None:
    backend = MemoryBackend({"alice/f": b"x"})
    files = files_of(backend, read_only=True)
    assert (await files.stat(path("/f"))).size == 1
    reader = await files.open_reader(path("/f"))
    await reader.close()
    for change in (
        files.open_writer(path("/f"), TRUNC),
        files.remove(path("/f")),
        files.make_dir(path("/d")),
        files.remove_dir(path("/d")),
        files.rename(path("/f"), path("/g"), overwrite=True),
        files.set_attributes(path("/f"), NewAttributes(size=0)),
    ):
        with pytest.raises(PermissionDenied):
            await change
    assert set(backend.objects) == {b"alice/f"}


async def test_declared_directories_are_shown_in_an_empty_storage() -> None:
    files = files_of(MemoryBackend(), directories=["in/daily"])
    assert await names_in(files, "/") == [b".", b"..", b"in"]
    assert await names_in(files, "/in/daily") == [b".", b".."]
    assert (await files.stat(path("/in"))).is_dir
    with pytest.raises(AlreadyExists):
        await files.make_dir(path("/in"))
    with pytest.raises(PermissionDenied):
        await files.remove_dir(path("/in"))


async def test_a_declared_directory_is_listed_once_also_when_it_has_files() -> None:
    files = files_of(MemoryBackend({"alice/in/f": b""}), directories=["in"])
    assert await names_in(files, "/") == [b".", b"..", b"in"]


async def test_the_root_of_a_user_without_files_is_an_empty_directory() -> None:
    files = files_of(MemoryBackend())
    assert await names_in(files, "/") == [b".", b".."]
    with pytest.raises(IsADirectory):
        await files.open_reader(path("/"))
    with pytest.raises(IsADirectory):
        await files.open_writer(path("/"), TRUNC)


async def test_a_file_is_no_directory_and_a_directory_no_file() -> None:
    files = files_of(MemoryBackend({"alice/f": b"", "alice/d/x": b""}))
    with pytest.raises(NotADirectory):
        await files.open_dir(path("/f"))
    with pytest.raises(IsADirectory):
        await files.open_reader(path("/d"))


async def test_without_create_a_missing_file_is_not_opened() -> None:
    files = files_of(MemoryBackend())
    with pytest.raises(NotFound):
        await files.open_writer(path("/f"), WriteMode(create=False))


async def test_exclusive_creation_refuses_a_file_that_is_there() -> None:
    files = files_of(MemoryBackend({"alice/f": b"x"}))
    with pytest.raises(AlreadyExists):
        await files.open_writer(path("/f"), WriteMode(exclusive=True))


async def test_a_user_may_write_only_so_many_files_at_once() -> None:
    files = files_of(MemoryBackend())
    writers = [await files.open_writer(path(f"/f{n}"), TRUNC) for n in range(3)]
    with pytest.raises(Busy, match="at most 3"):
        await files.open_writer(path("/f3"), TRUNC)
    await writers[0].abort()
    await (await files.open_writer(path("/f3"), TRUNC)).close()


async def test_a_directory_is_not_moved_into_itself() -> None:
    files = files_of(MemoryBackend({"alice/d/x": b""}))
    with pytest.raises(InvalidRequest):
        await files.rename(path("/d"), path("/d/e"), overwrite=True)


async def test_renaming_a_file_to_itself_changes_nothing() -> None:
    files = files_of(MemoryBackend({"alice/f": b"x"}))
    await files.rename(path("/f"), path("/f"), overwrite=True)
    with pytest.raises(AlreadyExists):
        await files.rename(path("/f"), path("/f"), overwrite=False)
    assert (await files.stat(path("/f"))).size == 1


async def test_two_tenants_whose_names_begin_alike_never_see_each_other() -> None:
    volume = OpenStorage(MemoryBackend({"acme/f": b"1", "acme2/f": b"22"}), FileOptions())
    acme, acme2 = (FileSystem(volume, Mounts.of(name), Session(name)) for name in ("acme", "acme2"))
    await acme.rename(path("/f"), path("/g"), overwrite=True)
    assert await names_in(acme, "/") == [b".", b"..", b"g"]
    assert await names_in(acme2, "/") == [b".", b"..", b"f"]
    assert (await acme2.stat(path("/../acme2/../f"))).size == 2


async def test_a_fixed_directory_whose_listing_breaks_off_is_not_shown_as_complete() -> None:
    class Breaking(MemoryBackend):
        async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
            yield [Entry(b"one", FileInfo.file(1))]
            raise NotFound

    listing = await files_of(Breaking()).open_dir(path("/"))
    assert await listing.next_page() is not None
    for _ in range(2):
        with pytest.raises(NotFound):
            await listing.next_page()
    await listing.close()
