"""Each operation needs its right at each of its paths: with it the operation works, without it it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import AlreadyExists, Busy, NoSpace, NotFound, PermissionDenied, StorageError
from s3sftp.fs import (
    PRESETS,
    AccessRules,
    FileOptions,
    FileSystem,
    HashRequest,
    Mounts,
    NewAttributes,
    OnConflict,
    OpenStorage,
    Right,
    VirtualPath,
    WriteMode,
    rights_of,
)

ALL = frozenset(Right)
L, R, W, O, A, D, N, M, X, S = Right  # noqa: E741
TRUNC = WriteMode(truncate=True)
SEEDS = {"f": b"content", "d/g": b"deeper", "e/": b""}
Operation = Callable[[FileSystem], Awaitable[object]]


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


def files_with(
    rules: AccessRules, backend: MemoryBackend | None = None, *, paths: dict[str, AccessRules] | None = None
) -> FileSystem:
    mounts = Mounts.of("", rules=rules, paths=tuple((paths or {}).items()))
    backend = MemoryBackend(SEEDS) if backend is None else backend
    return FileSystem(OpenStorage(backend, FileOptions()), mounts, Session("alice"))


def files_of(*rights: Right) -> FileSystem:
    return files_with(AccessRules(frozenset(rights)))


async def open_both_ways(files: FileSystem, name: str) -> None:
    await (await files.open_writer(path(name), TRUNC, readable=True)).close()


async def write(files: FileSystem, name: str, mode: WriteMode = TRUNC, data: bytes = b"new") -> None:
    writer = await files.open_writer(path(name), mode)
    try:
        await writer.write(0, data)
    except StorageError:
        await writer.abort()
        raise
    await writer.close()


async def read(files: FileSystem, name: str) -> bytes:
    reader = await files.open_reader(path(name))
    data = b"".join(await reader.read(0, 1000))
    await reader.close()
    return data


async def names_in(files: FileSystem, name: str) -> set[bytes]:
    listing = await files.open_dir(path(name))
    found: set[bytes] = set()
    while (page := await listing.next_page()) is not None:
        found |= {entry.name for entry in page}
    await listing.close()
    return found - {b".", b".."}


async def copy(files: FileSystem) -> None:
    reader = await files.open_reader(path("f"))
    writer = await files.open_writer(path("new"), TRUNC)
    await files.copy(reader, 0, 0, writer, 0)
    await writer.close()


OPERATIONS: dict[str, tuple[set[Right], Operation]] = {
    "list": ({L}, lambda fs: names_in(fs, "d")),
    "stat by list": ({L}, lambda fs: fs.stat(path("f"))),
    "stat by read": ({R}, lambda fs: fs.stat(path("f"))),
    "statvfs": ({L}, lambda fs: fs.usage(path("f"))),
    "read": ({R}, lambda fs: read(fs, "f")),
    "hash": ({R}, lambda fs: fs.hash_file(path("f"), HashRequest("md5", 0, 0, 0), 1000)),
    "create": ({W}, lambda fs: write(fs, "new")),
    "create alone": ({W}, lambda fs: write(fs, "new", WriteMode(exclusive=True))),
    "create in place": ({W}, lambda fs: write(fs, "new", WriteMode())),
    "replace": ({O}, lambda fs: write(fs, "f")),
    "replace, not create": ({O}, lambda fs: write(fs, "f", WriteMode(truncate=True, create=False))),
    "open to write and read": ({O, R}, lambda fs: open_both_ways(fs, "f")),
    "append": ({A}, lambda fs: write(fs, "f", WriteMode(append=True))),
    "change in place": ({A}, lambda fs: write(fs, "f", WriteMode(create=False))),
    "resize": ({A}, lambda fs: fs.set_attributes(path("f"), NewAttributes(size=3))),
    "set a time": ({S}, lambda fs: fs.set_attributes(path("f"), NewAttributes(mtime=1.0))),
    "resize and set a time": ({A, S}, lambda fs: fs.set_attributes(path("f"), NewAttributes(3, 1.0))),
    "remove": ({D}, lambda fs: fs.remove(path("f"))),
    "rename": ({N, W}, lambda fs: fs.rename(path("f"), path("new"), overwrite=False)),
    "rename over a file": ({N, O}, lambda fs: fs.rename(path("f"), path("d/g"), overwrite=True)),
    "rename a directory": ({N, W}, lambda fs: fs.rename(path("d"), path("new"), overwrite=False)),
    "mkdir": ({M}, lambda fs: fs.make_dir(path("new"))),
    "rmdir": ({X}, lambda fs: fs.remove_dir(path("e"))),
    "copy": ({R, W}, copy),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_works_with_the_rights_that_it_needs_and_no_others(name: str) -> None:
    needs, operation = OPERATIONS[name]
    await operation(files_of(*needs))


CASES = [(name, right) for name, (needs, _) in OPERATIONS.items() for right in Right if right in needs]


@pytest.mark.parametrize(("name", "right"), CASES, ids=[f"{name}, {right.value}" for name, right in CASES])
async def test_without_one_of_them_it_is_refused_and_changes_nothing(name: str, right: Right) -> None:
    _, operation = OPERATIONS[name]
    lacking = {L, R} if name.startswith("stat") else {right}
    backend = MemoryBackend(SEEDS)
    files = files_with(AccessRules(ALL - lacking), backend)
    # who may neither list nor read is not told whether anything is there
    with pytest.raises(NotFound if name.startswith("stat") else PermissionDenied):
        await operation(files)
    everything = files_with(AccessRules(), backend)
    assert await names_in(everything, "/") == {b"f", b"d", b"e"}
    assert (await read(everything, "f"), await read(everything, "d/g")) == (b"content", b"deeper")


def test_presets_and_single_rights_add_up() -> None:
    assert rights_of("read-write") == ALL
    assert rights_of(["drop-box", "mkdir"]) == {W, M}
    assert rights_of("pick-up") == {L, R, D}
    assert set(PRESETS) == {"read-write", "read-only", "pick-up", "drop-box"}
    with pytest.raises(ValueError, match="'wirte' is neither a preset nor a right"):
        rights_of(["wirte"])


async def test_the_longest_matching_path_decides_and_what_it_leaves_open_comes_from_above() -> None:
    below = {
        "d": AccessRules(max_file_bytes=5),
        "d/in": AccessRules(frozenset({W})),
        "d/in/x": AccessRules(ALL),
    }
    backend = MemoryBackend(SEEDS)
    files, later = (files_with(AccessRules(frozenset({L, R})), backend, paths=below) for _ in range(2))
    with pytest.raises(PermissionDenied, match="read-only"):
        await write(files, "d/new")
    await write(files, "d/in/new", data=b"12345")
    with pytest.raises(NoSpace, match="at most 5 bytes"):
        await write(files, "d/in/large", data=b"123456")
    with pytest.raises(NotFound):
        await later.stat(path("d/in/new"))
    await write(files, "d/in/x/new")
    assert await names_in(files, "d/in/x") == {b"new"}


async def test_a_directory_is_no_way_around_the_rules_below_it() -> None:
    locked = {"d/locked": AccessRules(frozenset({L}))}
    backend = MemoryBackend({"d/locked/f": b"1", "d/g": b"2", "other/locked/f": b"3"})
    files = files_with(AccessRules(), backend, paths=locked)
    with pytest.raises(PermissionDenied):
        await files.rename(path("d"), path("new"), overwrite=True)
    await files.rename(path("d/g"), path("g"), overwrite=False)
    for rights in ({L, R, N, D}, ALL - {W}):  # nothing new may be stored below the target
        files = files_with(AccessRules(), backend, paths={"new/locked": AccessRules(frozenset(rights))})
        with pytest.raises(PermissionDenied, match="create"):
            await files.rename(path("other"), path("new"), overwrite=True)


async def test_a_directory_takes_no_file_to_where_it_is_too_large() -> None:
    small = {"small": AccessRules(max_file_bytes=3)}
    files = files_with(AccessRules(), MemoryBackend({"d/in/f": b"1234", "small/": b""}), paths=small)
    with pytest.raises(NoSpace, match="at most 3 bytes"):
        await files.rename(path("d"), path("small/d"), overwrite=False)
    assert await read(files, "d/in/f") == b"1234"


async def test_moving_a_file_gives_no_right_over_it_that_reading_and_removing_would_not_give() -> None:
    source = AccessRules(frozenset({L, N}))
    files = files_with(AccessRules(), MemoryBackend({"in/f": b"secret"}), paths={"in": source})
    with pytest.raises(PermissionDenied):
        await files.rename(path("in/f"), path("f"), overwrite=False)
    may_copy = AccessRules(frozenset({L, N, R, D}))
    files = files_with(AccessRules(), MemoryBackend({"in/f": b"known"}), paths={"in": may_copy})
    await files.rename(path("in/f"), path("f"), overwrite=False)


async def test_an_open_upload_is_not_renamed_to_where_other_rules_apply() -> None:
    files = files_with(AccessRules(), paths={"small": AccessRules(max_file_bytes=2)})
    writer = await files.open_writer(path("big"), TRUNC)
    await writer.write(0, b"four")
    with pytest.raises(PermissionDenied, match="before it is closed"):
        await files.rename(path("big"), path("small/f"), overwrite=False)
    await writer.close()
    with pytest.raises(NoSpace):
        await files.rename(path("big"), path("small/f"), overwrite=False)


@pytest.mark.parametrize(
    "narrower",
    [AccessRules(max_file_bytes=10), AccessRules(allow=("*.csv",)), AccessRules(ALL - {A})],
    ids=["size", "names", "rights"],
)
async def test_an_upload_that_is_opened_during_a_rename_does_not_get_around_the_rules_of_its_target(
    narrower: AccessRules,
) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    class Held(MemoryBackend):
        async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
            began.set()
            await goes_on.wait()
            await super().rename(source, target, session, overwrite=overwrite)

    backend = Held({"in/d/f.csv": b"1", "out/": b""})
    volume = OpenStorage(backend, FileOptions())
    mounts = Mounts.of("", paths=[("/out", narrower)])
    first, second = (FileSystem(volume, mounts, Session("alice")) for _ in range(2))
    renaming = asyncio.create_task(first.rename(path("in/d"), path("out/d"), overwrite=False))
    await began.wait()
    writer = await second.open_writer(path("in/d/new.exe"), TRUNC)
    await writer.write(0, b"larger than ten")
    goes_on.set()
    await renaming
    with pytest.raises(PermissionDenied, match="before it is closed"):
        await writer.close()
    assert set(backend.objects) == {b"out/", b"out/d/f.csv"}


# ── names ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_denied_name_is_listed_and_nothing_else() -> None:
    files = files_with(
        AccessRules(deny=("*.exe",)), MemoryBackend({"a.exe": b"1", "b": b"2", "d.exe/f": b"3"})
    )
    assert b"a.exe" in await names_in(files, "/")
    assert (await files.stat(path("a.exe"))).size == 1
    operations = (
        read(files, "a.exe"),
        write(files, "A.EXE"),
        files.remove(path("a.exe")),
        files.rename(path("a.exe"), path("c"), overwrite=False),
        files.rename(path("b"), path("b.exe"), overwrite=False),
        files.set_attributes(path("a.exe"), NewAttributes(mtime=1.0)),
    )
    for operation in operations:
        with pytest.raises(PermissionDenied, match="such a name"):
            await operation
    await files.rename(path("d.exe"), path("e.exe"), overwrite=False)  # directories have any name


async def test_only_allowed_names_are_accepted_and_directories_have_any_name() -> None:
    files = files_with(AccessRules(allow=("*.csv", "*.part")))
    await files.make_dir(path("2026"))
    await write(files, "2026/a.csv.part")
    await files.rename(path("2026/a.csv.part"), path("2026/A.CSV"), overwrite=False)
    with pytest.raises(PermissionDenied, match="such a name"):
        await write(files, "2026/a.txt")
    with pytest.raises(PermissionDenied, match="such a name"):
        await files.rename(path("2026/A.CSV"), path("2026/a.txt"), overwrite=False)


async def test_a_hidden_name_does_not_exist_whatever_is_asked() -> None:
    seeds = {".state": b"1", "d/.state": b"2", "d/f": b"3", ".hidden/f": b"4"}
    backend = MemoryBackend(seeds)
    files = files_with(AccessRules(hide=(".*",)), backend)
    assert await names_in(files, "/") == {b"d"}
    assert await names_in(files, "d") == {b"f"}
    for name in (".state", ".hidden", ".hidden/f", "d/.state", ".new", ".new/f"):
        at = path(name)
        operations = (
            files.stat(at), read(files, name), write(files, name), files.remove(at), files.make_dir(at),
            files.remove_dir(at), files.open_dir(at), files.set_attributes(at, NewAttributes(mtime=1.0)),
            files.rename(at, path("new"), overwrite=True), files.rename(path("d/f"), at, overwrite=True),
            files.usage(at), files.hash_file(at, HashRequest("md5", 0, 0, 0), 1000),
        )  # fmt: skip
        for operation in operations:
            with pytest.raises(NotFound) as refused:
                await operation
            assert refused.value.rule == "hide: .*"
    with pytest.raises(PermissionDenied, match="entries that cannot be moved"):
        await files.rename(path("d"), path("e"), overwrite=False)
    for name, data in seeds.items():
        assert await backend.read_file(Place(tuple(name.encode().split(b"/"))), Session("x")) == data


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_refused_at_the_write_that_makes_it_too_large_and_is_not_stored() -> None:
    backend = MemoryBackend({"old": b"12345678", "big": b"x" * 20})
    files = files_with(AccessRules(max_file_bytes=10), backend)
    for name, mode, chunks in (
        ("new", TRUNC, [(0, b"12345"), (5, b"67890"), (10, b"!")]),
        ("sparse", TRUNC, [(100, b"!")]),
        ("old", WriteMode(append=True), [(0, b"90"), (0, b"!")]),
    ):
        writer = await files.open_writer(path(name), mode)
        for offset, data in chunks[:-1]:
            assert writer.try_write(offset, memoryview(data)) or await writer.write(offset, data) is None
        offset, data = chunks[-1]
        assert not writer.try_write(offset, memoryview(data))
        with pytest.raises(NoSpace, match="at most 10 bytes"):
            await writer.write(offset, data)
        with pytest.raises(NoSpace):
            await writer.close()
    assert await names_in(files, "/") == {b"old", b"big"}
    assert await read(files, "old") == b"12345678"


async def test_a_size_that_is_known_is_refused_before_any_byte() -> None:
    files = files_with(AccessRules(max_file_bytes=10), MemoryBackend({"f": b"1", "big": b"x" * 20}))
    with pytest.raises(NoSpace):
        await files.open_writer(path("new"), TRUNC, new=NewAttributes(size=11))
    with pytest.raises(NoSpace):
        await files.set_attributes(path("f"), NewAttributes(size=11))
    reader, writer = await files.open_reader(path("big")), await files.open_writer(path("new"), TRUNC)
    with pytest.raises(NoSpace):
        await files.copy(reader, 0, 0, writer, 0)
    with pytest.raises(NoSpace):
        await writer.close()
    assert await names_in(files, "/") == {b"f", b"big"}


# ── on conflict ─────────────────────────────────────────────────────────────────────────────────────


async def test_refuse_keeps_what_is_there_also_against_who_may_overwrite() -> None:
    files = files_with(AccessRules(on_conflict=OnConflict.REFUSE))
    with pytest.raises(AlreadyExists):
        await write(files, "f")
    with pytest.raises(AlreadyExists):
        await files.rename(path("d/g"), path("f"), overwrite=True)
    assert await read(files, "f") == b"content"
    await write(files, "new")


@pytest.mark.parametrize("rules", [AccessRules(ALL - {O}), AccessRules(on_conflict=OnConflict.REFUSE)])
async def test_a_file_that_came_during_the_upload_is_not_replaced(rules: AccessRules) -> None:
    backend = MemoryBackend()
    files, other = files_with(rules, backend), files_with(AccessRules(), backend)
    writer = await files.open_writer(path("f"), TRUNC)
    await writer.write(0, b"late")
    await write(other, "f", data=b"early")
    with pytest.raises((AlreadyExists, PermissionDenied)):
        await writer.close()
    assert await read(other, "f") == b"early"


async def test_keep_both_stores_each_upload_and_rename_under_a_name_of_its_own() -> None:
    files = files_with(AccessRules(on_conflict=OnConflict.KEEP_BOTH), MemoryBackend({"r.csv": b"0"}))
    await write(files, "r.csv", data=b"1")
    await write(files, "r.csv", data=b"2")
    await write(files, "tmp", data=b"3")
    await files.rename(path("tmp"), path("r.csv"), overwrite=True)
    names = sorted(await names_in(files, "/"))
    assert names == [b"r (2).csv", b"r (3).csv", b"r (4).csv", b"r.csv"]
    assert [await read(files, name.decode()) for name in names] == [b"1", b"2", b"3", b"0"]


async def test_a_numbered_file_is_no_larger_than_its_directory_takes() -> None:
    both = AccessRules(max_file_bytes=0, on_conflict=OnConflict.KEEP_BOTH)
    backend = MemoryBackend({"f": b"0", "large": b"larger"})
    paths = {"f": both, "large": AccessRules(max_file_bytes=0)}
    files = files_with(AccessRules(max_file_bytes=3), backend, paths=paths)
    await write(files, "f", data=b"new")
    with pytest.raises(NoSpace):
        await write(files, "f", data=b"larger")
    with pytest.raises(NoSpace):
        await files.rename(path("large"), path("f"), overwrite=False)
    assert await read(files, "f (2)") == b"new"
    with pytest.raises(NotFound):
        await files.stat(path("f (3)"))


async def test_keep_both_gives_way_to_a_file_that_came_during_the_upload() -> None:
    backend = MemoryBackend()
    files = files_with(AccessRules(on_conflict=OnConflict.KEEP_BOTH), backend)
    writer = await files.open_writer(path("r.csv"), TRUNC)
    await writer.write(0, b"late")
    await write(files_with(AccessRules(), backend), "r.csv", data=b"early")
    await writer.close()
    assert str(writer.path) == "/r (2).csv"
    assert (await read(files, "r.csv"), await read(files, "r (2).csv")) == (b"early", b"late")


async def test_an_upload_that_is_bound_to_a_name_that_is_taken_stores_nothing_and_asks_to_be_sent_again() -> (
    None
):
    backend = MemoryBackend(chunk_bytes=4)
    files = files_with(AccessRules(on_conflict=OnConflict.KEEP_BOTH), backend)
    writer = await files.open_writer(path("r"), TRUNC)
    await writer.write(0, b"several chunks")
    await write(files_with(AccessRules(), backend), "r", data=b"early")
    with pytest.raises(Busy, match="send it again"):
        await writer.close()
    assert await names_in(files, "/") == {b"r"}
    assert await read(files, "r") == b"early"


async def test_two_uploads_at_once_of_one_name_are_both_kept_also_in_chunks() -> None:
    files = files_with(AccessRules(on_conflict=OnConflict.KEEP_BOTH), MemoryBackend(chunk_bytes=4))
    writers = [await files.open_writer(path("r"), TRUNC) for _ in range(3)]
    for number, writer in enumerate(writers):
        await writer.write(0, b"%d" % number * 10)
    for writer in writers:
        await writer.close()
    assert await names_in(files, "/") == {b"r", b"r (2)", b"r (3)"}
