"""One user's mounts are one tree; what would give a file two names is refused before anything is served."""

from __future__ import annotations

import pytest

from s3sftp.backends import Session, Usage
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import (
    AlreadyExists,
    ConfigurationError,
    IsADirectory,
    NotADirectory,
    NotFound,
    PermissionDenied,
)
from s3sftp.fs import (
    AccessRules,
    FileOptions,
    FileSystem,
    Mount,
    Mounts,
    NewAttributes,
    OpenStorage,
    Right,
    VirtualPath,
    rights_of,
)
from tests.fs.test_rights import names_in, path, read, write

IN, OUT = Mount("/in", "acme/in/"), Mount("/out", "acme/out/", rules=AccessRules(rights_of("read-only")))
RATES = Mount("/shared/rates.csv", "rates/today.csv", file=True)
SEEDS = {"acme/in/f": b"f", "acme/out/g": b"g", "rates/today.csv": b"1.5", "rates/secret.csv": b"no"}


def tree(*mounts: Mount, prefix: str | None = None, **more: object) -> tuple[FileSystem, MemoryBackend]:
    backend = MemoryBackend(SEEDS)
    found = Mounts.of(prefix, mounts=mounts, **more)  # type: ignore[arg-type]
    return FileSystem(OpenStorage(backend, FileOptions()), found, Session("acme")), backend


async def test_without_a_prefix_the_root_lists_the_mounts_and_stores_nothing() -> None:
    files, backend = tree(IN, OUT, RATES, rules=AccessRules(frozenset(Right) - {Right.LIST}))
    assert await names_in(files, "/") == {b"in", b"out", b"shared"}
    assert (await files.stat(path("/"))).is_dir
    assert await names_in(files, "/shared") == {b"rates.csv"}
    assert await files.usage(path("/")) == Usage()
    with pytest.raises(NotFound):
        await files.stat(path("/other"))
    with pytest.raises(PermissionDenied):
        await files.open_dir(path("/other"))
    for change in (
        write(files, "/new"),
        files.make_dir(path("/new")),
        write(files, "/shared/new"),
        files.rename(path("/in/f"), path("/f"), overwrite=True),
    ):
        with pytest.raises(PermissionDenied, match="nothing can be stored here"):
            await change
    assert backend.objects.keys() == {name.encode() for name in SEEDS}


async def test_mounts_are_directories_that_nothing_removes_or_renames() -> None:
    files, _ = tree(IN, OUT, prefix="acme/", rules=AccessRules(), directories=["in/new"])
    assert await names_in(files, "/") == {b"in", b"out"}
    for name in ("/in", "/out", "/in/new", "/"):
        assert (await files.stat(path(name))).is_dir
        with pytest.raises(AlreadyExists):
            await files.make_dir(path(name))
        with pytest.raises(PermissionDenied, match=r"fixed|read-only"):
            await files.remove_dir(path(name))
        with pytest.raises(PermissionDenied, match=r"fixed|read-only"):
            await files.rename(path(name), path("/x"), overwrite=True)
        with pytest.raises(IsADirectory):
            await write(files, name)
        with pytest.raises(IsADirectory):
            await read(files, name)
    await files.set_attributes(path("/in/new"), NewAttributes(mtime=1.0))  # nothing is stored there


async def test_a_rename_between_mounts_is_one_inside_the_storage() -> None:
    files, backend = tree(IN, Mount("/done", "acme/done/"))
    await files.rename(path("/in/f"), path("/done/f"), overwrite=False)
    assert b"acme/done/f" in backend.objects
    assert b"acme/in/f" not in backend.objects
    files, _ = tree(IN, OUT)
    with pytest.raises(PermissionDenied, match="read-only"):
        await files.rename(path("/in/f"), path("/out/f"), overwrite=False)
    with pytest.raises(PermissionDenied, match="read-only"):
        await files.rename(path("/out/g"), path("/in/g"), overwrite=False)


async def test_a_single_file_is_mounted_with_nothing_beside_it() -> None:
    files, backend = tree(IN, RATES)
    assert await read(files, "/shared/rates.csv") == b"1.5"
    assert (await files.stat(path("/shared/rates.csv"))).size == 3
    await write(files, "/shared/rates.csv", data=b"2.5")
    await files.rename(path("/in/f"), path("/shared/rates.csv"), overwrite=True)
    assert await read(files, "/shared/rates.csv") == b"f"
    for change in (
        files.remove(path("/shared/rates.csv")),
        files.rename(path("/shared/rates.csv"), path("/in/r"), overwrite=True),
    ):
        with pytest.raises(PermissionDenied, match="fixed"):
            await change
    with pytest.raises(NotADirectory):
        await files.stat(path("/shared/rates.csv/x"))
    await files.make_dir(path("/in/d"))
    with pytest.raises(AlreadyExists):
        await files.rename(path("/in/d"), path("/shared/rates.csv"), overwrite=True)
    assert b"rates/secret.csv" in backend.objects


async def test_a_mounted_file_that_is_missing_is_not_listed_and_covers_what_is_stored_there() -> None:
    missing = Mount("/in/f", "rates/none.csv", file=True)
    files, _ = tree(IN, missing)
    assert await names_in(files, "/in") == set()
    with pytest.raises(NotFound):
        await files.stat(path("/in/f"))
    files, _ = tree(IN, Mount("/in/f", "rates/today.csv", file=True))
    assert await names_in(files, "/in") == {b"f"}
    assert await read(files, "/in/f") == b"1.5"


async def test_mounts_and_declared_directories_are_never_hidden() -> None:
    hides = AccessRules(hide=(".*", "in"))
    files, _ = tree(IN, Mount("/.keys", "acme/keys/"), rules=hides, directories=["in/.new"])
    assert await names_in(files, "/") == {b"in", b".keys"}
    assert await names_in(files, "/in") == {b"f", b".new"}
    assert (await files.stat(path("/in/.new"))).is_dir


async def test_who_may_not_list_still_walks_to_the_mounts() -> None:
    files, _ = tree(Mount("/box", "acme/in/", rules=AccessRules(rights_of("drop-box"))))
    assert (await files.stat(path("/box"))).is_dir
    assert await names_in(files, "/") == {b"box"}
    with pytest.raises(PermissionDenied):
        await files.open_dir(path("/box"))
    with pytest.raises(PermissionDenied):
        await files.set_attributes(path("/box"), NewAttributes(mtime=1.0))


@pytest.mark.parametrize(
    ("mounts", "prefix", "problem"),
    [
        ([IN, Mount("in/", "other/")], None, "mount '/in' is there twice"),
        ([Mount("/", "other/")], "acme/", "option prefix is the mount of '/'"),
        ([IN, Mount("/again", "acme/in/")], None, "overlap: 'acme/in/' would be both '/in' and '/again'"),
        ([IN, Mount("/new", "acme/in/new/")], None, "'acme/in/new/' would be both '/in/new' and '/new'"),
        ([Mount("/x", "acme/x/")], "", "overlap: 'acme/x/' would be both '/acme/x' and '/x'"),
        ([RATES, Mount("/r", "rates/today.csv", file=True)], None, "one name"),
        ([RATES, Mount("/rates", "rates/")], None, "'rates/today.csv' would be both"),
        (
            [RATES, Mount("/shared/rates.csv/x", "y/")],
            None,
            "below '/shared/rates.csv', which is a single file",
        ),
        (
            [Mount("/x", "acme/../other/")],
            None,
            "mount '/x': prefix 'acme/../other/': '..' is not a usable name",
        ),
        ([Mount("/x", "/etc/")], None, "must not begin with '/'"),
        ([Mount("/a/../b", "x/")], None, "mount '/a/../b': '..' is not a usable name"),
        ([Mount("/a//b", "x/")], None, "'' is not a usable name"),
        ([Mount("/f", "rates/", file=True)], None, "should be the key of a file"),
        ([Mount("/", "rates/f", file=True)], None, "the root cannot be a single file"),
    ],
)
def test_mounts_that_cannot_be_are_refused_with_the_reason(
    mounts: list[Mount], prefix: str | None, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Mounts.of(prefix, mounts=mounts)
    (text,) = refused.value.problems
    assert problem in text


@pytest.mark.parametrize(
    ("mounts", "prefix"),
    [
        ([IN], "acme/"),  # the same files at the same paths
        ([Mount("/in", "other/"), Mount("/old", "acme/in/")], "acme/"),  # the second name is covered
        ([Mount("/in", "acme/in/"), Mount("/in2", "acme/in2/")], None),
        ([Mount("/in", "acme/in/"), Mount("/in/deep", "acme/deep/")], None),
    ],
)
def test_mounts_that_give_each_file_one_name_may_overlap(mounts: list[Mount], prefix: str | None) -> None:
    Mounts.of(prefix, mounts=mounts)


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Mounts.of(
            "acme/",
            mounts=[Mount("/x", "../y/", rules=AccessRules(deny=("a/b",)))],
            directories=["/a/../b"],
            paths=[("/p", AccessRules(hide=("",))), ("/p/", AccessRules(max_file_bytes=1))],
        )
    assert len(refused.value.problems) == 5


def test_read_only_takes_every_other_right_away_whatever_the_rules_say() -> None:
    everything = AccessRules(frozenset(Right))
    mounts = Mounts.of(
        "acme/", read_only=True, rules=everything, mounts=[Mount("/x", "y/", rules=everything)]
    )
    for name in ("/f", "/x/f"):
        assert mounts.rules.at(path(name)).rights == {Right.LIST, Right.READ}
    assert mounts.place(VirtualPath.parse(b"/x/f"), Right.READ).key == b"y/f"


class CountedNames(tuple[bytes, ...]):
    """Names that count how many of them are copied by slicing."""

    copied = 0

    def __getitem__(self, which: object) -> object:  # type: ignore[override]
        found = super().__getitem__(which)  # type: ignore[call-overload]
        if not isinstance(which, slice):
            return found
        CountedNames.copied += len(found)
        return CountedNames(found)


def test_the_work_for_a_path_grows_with_its_names_and_no_faster() -> None:
    hiding = AccessRules(hide=("*.key",))
    mounts = Mounts.of(
        "p/", rules=hiding, paths=[("/in/deep", AccessRules(max_file_bytes=5))], mounts=[RATES]
    )
    names = CountedNames([b"a"] * 2000)
    CountedNames.copied = 0
    mounts.place_to_look_at(VirtualPath(names))
    mounts.rules.at(VirtualPath(names))
    assert CountedNames.copied <= 10 * len(names)
    with pytest.raises(NotFound):
        mounts.place_to_look_at(VirtualPath((*names, b"x.key")))


async def test_a_mounted_file_is_not_renamed_by_the_session_that_has_just_replaced_it() -> None:
    rules = AccessRules(frozenset({Right.WRITE, Right.OVERWRITE}))
    files, backend = tree(RATES, prefix="acme/", rules=rules)
    await write(files, "/shared/rates.csv")
    with pytest.raises(PermissionDenied):
        await files.rename(path("/shared/rates.csv"), path("/gone"), overwrite=False)
    assert b"rates/today.csv" in backend.objects


async def test_a_mounted_file_that_may_not_be_seen_is_not_listed() -> None:
    files, _ = tree(Mount("/r.csv", "rates/secret.csv", True, AccessRules(rights_of("drop-box"))), RATES)
    with pytest.raises(NotFound):
        await files.stat(path("/r.csv"))
    assert await names_in(files, "/") == {b"shared"}
    assert await names_in(files, "/shared") == {b"rates.csv"}
