"""One user's tree over several storages: what is remembered by name does not confuse them."""

from __future__ import annotations

import pytest

from s3sftp.auth import Identity
from s3sftp.backends import MountRole, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Busy, ConfigurationError, NotFound, OtherStorage, PermissionDenied
from s3sftp.fs import (
    AccessRules,
    FileOptions,
    FileSystem,
    Mount,
    Mounts,
    NewAttributes,
    OnConflict,
    OpenStorage,
    WriteMode,
    rights_of,
)
from s3sftp.fs.write.open_uploads import OpenUpload, OpenUploads
from s3sftp.fs.write.shared_tables import CHANGE_ROWS, UPLOAD_ROWS, ChangedNames, UserCounts
from s3sftp.runtime.shared_counters import SharedCounters
from tests.fs.test_rights import names_in, path, read, write

NEW = WriteMode(truncate=True)
HERE, THERE = Mount("/here", "acme/"), Mount("/there", "acme/", storage="archive")


class Timeless(MemoryBackend):
    """Keeps permissions and no times, other than the rest."""

    keeps_modes = True
    keeps_times = False


def tree(*mounts: Mount, **more: object) -> tuple[FileSystem, MemoryBackend, MemoryBackend]:
    left, right = MemoryBackend(chunk_bytes=64), MemoryBackend(chunk_bytes=100)
    shared = OpenStorage(left, FileOptions(), storages={"archive": right})
    found = Mounts.of(None, mounts=mounts or (HERE, THERE), **more)  # type: ignore[arg-type]
    return FileSystem(shared, found, Session("acme")), left, right


async def test_two_mounts_of_one_prefix_in_two_storages_do_not_overlap() -> None:
    files, left, right = tree()
    await write(files, "/here/f", data=b"left")
    await write(files, "/there/f", data=b"right side")
    assert (await read(files, "/here/f"), await read(files, "/there/f")) == (b"left", b"right side")
    assert (left.objects.keys(), right.objects.keys()) == ({b"acme/f"}, {b"acme/f"})
    with pytest.raises(ConfigurationError, match="one name"):
        tree(THERE, Mount("/again", "acme/", storage="archive"))


async def test_an_open_upload_is_shown_in_its_storage_alone() -> None:
    files, _, _ = tree()
    upload = await files.open_writer(path("/here/f"), NEW)
    await upload.write(0, b"x" * 50)
    assert (await files.stat(path("/here/f"))).size == 50
    with pytest.raises(NotFound):
        await files.stat(path("/there/f"))
    with pytest.raises(NotFound):
        await files.remove(path("/there/f"))
    await write(files, "/there/f", data=b"y")
    assert (await files.stat(path("/here/f"))).size == 50, "a commit elsewhere supersedes nothing"
    await upload.close()
    assert await read(files, "/here/f") == b"x" * 50


async def test_large_uploads_have_the_chunks_of_their_storage() -> None:
    files, _, _ = tree()
    for name in ("/here/f", "/there/f"):
        await write(files, name, data=bytes(range(250)) * 3)
        assert await read(files, name) == bytes(range(250)) * 3


async def test_an_open_file_is_not_moved_to_another_storage_and_is_stored_where_it_was_opened() -> None:
    files, left, right = tree()
    upload = await files.open_writer(path("/here/f"), NEW)
    await upload.write(0, b"data")
    with pytest.raises(Busy, match="another storage"):
        await files.rename(path("/here/f"), path("/there/f"), overwrite=True)
    await upload.close()
    assert (left.objects.keys(), right.objects.keys()) == ({b"acme/f"}, set())
    await files.rename(path("/here/f"), path("/there/f"), overwrite=True)
    assert (left.objects.keys(), right.objects.keys()) == (set(), {b"acme/f"})


async def test_an_open_file_is_not_moved_to_a_mount_with_another_role() -> None:
    store = MemoryBackend(chunk_bytes=64)
    role = MountRole("arn:aws:iam::123456789012:role/sftp")
    mounts = Mounts.of(None, mounts=(Mount("/here", "a/"), Mount("/there", "b/", role=role)))
    session = Session("acme", grants=mounts.grants())
    files = FileSystem(OpenStorage(store, FileOptions()), mounts, session)
    upload = await files.open_writer(path("/here/f"), NEW)
    await upload.write(0, b"data")
    with pytest.raises(Busy):
        await files.rename(path("/here/f"), path("/there/f"), overwrite=True)
    await upload.close()
    assert store.objects.keys() == {b"a/f"}


async def test_an_open_file_moves_along_inside_a_named_storage() -> None:
    files, _, right = tree()
    upload = await files.open_writer(path("/there/d/f"), NEW)
    await upload.write(0, b"data")
    await files.rename(path("/there/d/f"), path("/there/g"), overwrite=False)
    assert upload.place == Place((b"acme", b"g"), "archive")
    await upload.close()
    assert right.objects.keys() == {b"acme/g"}


async def test_a_missing_right_is_told_before_the_other_storage() -> None:
    files, left, _ = tree(
        HERE, Mount("/there", "acme/", rules=AccessRules(rights_of("read-only")), storage="archive")
    )
    left.put(b"acme/d/f", b"x")
    with pytest.raises(PermissionDenied):
        await files.rename(path("/here/d"), path("/there/d"), overwrite=False)
    files, left, _ = tree()
    left.put(b"acme/d/f", b"x")
    with pytest.raises(OtherStorage):
        await files.rename(path("/here/d"), path("/there/d"), overwrite=False)


async def test_a_copy_on_the_server_between_storages_has_all_bytes() -> None:
    files, left, right = tree()
    data = bytes(range(256)) * 20
    left.put(b"acme/f", data)
    source = await files.open_reader(path("/here/f"))
    target = await files.open_writer(path("/there/g"), NEW)
    await files.copy(source, 0, 0, target, 0)
    await target.close()
    await source.close()
    assert bytes(right.objects[b"acme/g"].data) == data


async def test_attributes_are_those_that_the_storage_of_the_path_keeps() -> None:
    left, right = MemoryBackend(), Timeless()
    shared = OpenStorage(left, FileOptions(), storages={"archive": right})
    mounts = Mounts.of(None, mounts=(HERE, THERE))
    files = FileSystem(shared, mounts, Session("acme"))
    new = NewAttributes(mtime=1.0, permissions=0o640)
    places = [mounts.place_to_store(path(name)) for name in ("/here/f", "/there/f")]
    assert [files.storable(new, place) for place in places] == [(1.0, None), (None, 0o640)]


async def test_keep_both_never_takes_the_name_of_a_mounted_file() -> None:
    rules = AccessRules(on_conflict=OnConflict.KEEP_BOTH)
    secret = Mount("/here/f (2).csv", "secret.csv", file=True, storage="archive")
    files, left, right = tree(Mount("/here", "acme/", rules=rules), secret)
    for _ in range(2):
        await write(files, "/here/f.csv")
    assert right.objects == {}
    assert left.objects.keys() == {b"acme/f.csv", b"acme/f (3).csv"}


async def test_the_root_lists_mounts_of_all_storages() -> None:
    files, _, right = tree(HERE, THERE, Mount("/f.csv", "one.csv", file=True, storage="archive"))
    assert await names_in(files, "/") == {b"here", b"there"}
    right.put(b"one.csv", b"1")
    assert await names_in(files, "/") == {b"here", b"there", b"f.csv"}
    await files.usage(path("/there"))


def test_uploads_and_changes_of_equal_names_are_told_apart() -> None:
    here, there = Place((b"f",)), Place((b"f",), "archive")
    changes = ChangedNames(SharedCounters.alone(CHANGE_ROWS))
    rows: OpenUploads[OpenUpload] = OpenUploads(9, UserCounts(SharedCounters.alone(UPLOAD_ROWS)), changes)
    assert changes._row(here) != changes._row(there)
    session = Session("acme")
    upload = OpenUpload(here, path("/f"), session)
    rows.add(upload)
    assert rows.of_session(session, there) == []
    assert not rows.is_open(there)
    rows.stored_changed(there)
    assert not upload.superseded


def test_a_mount_in_a_storage_that_is_not_there_is_part_of_the_tree() -> None:
    assert Identity("bob", None, mounts=(Mount("/x", "x/", storage="nowhere"),)).tree().storages == {
        "nowhere"
    }
