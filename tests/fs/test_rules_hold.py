"""No sequence of operations that the rules allow reaches what they forbid.

Random rules, random files, random operations of one session. Afterwards the storage, which knows nothing of
rules, is compared with what they allow at the place where each file was to begin with.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageError
from s3sftp.fs import (
    AccessRules,
    FileOptions,
    FileSystem,
    Mounts,
    NewAttributes,
    OnConflict,
    OpenStorage,
    Right,
    VirtualPath,
    WriteMode,
)
from s3sftp.fs.access_rules import AppliedRules

DIRECTORIES = ("", "a/", "b/", "a/a/", "a/b/", "b/a/")
FILES = tuple(d + n for d in DIRECTORIES for n in ("x.csv", ".h"))
NEW = ("c", "a/c", "b/c", "c.csv", "a/c.csv", "a/.h", "b/a/c.tmp")
DIRECTORY_PATHS = ("a", "b", "a/a", "a/b", "b/a")
PATHS = (*FILES, *NEW, *DIRECTORY_PATHS, "a/c/x.csv", "c/x.csv", "c/a/x.csv", "b/c/x.csv")
LARGEST = 12

some = st.frozensets(st.sampled_from(list(Right)), min_size=1, max_size=3)
rights = st.one_of(st.none(), some.map(lambda lacking: frozenset(Right) - lacking), some)
patterns = st.sampled_from([None, None, (), (".*",), ("*.tmp",), ("*.csv",), ("b",)])
rules = st.builds(
    AccessRules,
    rights=rights,
    allow=st.sampled_from([None, None, None, (), ("*.csv",)]),
    deny=patterns,
    hide=patterns,
    max_file_bytes=st.sampled_from([None, 0, LARGEST]),
    on_conflict=st.sampled_from([None, *OnConflict]),
)
trees = st.tuples(
    rules,
    st.dictionaries(st.sampled_from([*DIRECTORY_PATHS, "a/x.csv", "c", "b/c/a", "c/a"]), rules, max_size=3),
)
path = st.sampled_from(PATHS)
renames = st.tuples(
    st.just("rename"), st.sampled_from(FILES + DIRECTORY_PATHS), st.sampled_from(NEW + FILES), st.booleans()
)
steps = st.one_of(
    renames,
    renames,
    renames,
    st.tuples(st.just("read"), path),
    st.tuples(
        st.just("write"), path, st.sampled_from(["trunc", "append", "in place", "excl"]), st.booleans()
    ),
    st.tuples(st.just("rename open"), st.sampled_from(NEW), st.sampled_from(NEW + FILES), st.booleans()),
    st.tuples(st.sampled_from(["read", "remove", "rmdir", "mkdir", "list", "resize", "touch", "stat"]), path),
    st.tuples(st.just("copy"), path, path),
)
plans = st.lists(steps, min_size=1, max_size=10)

MODES = {
    "trunc": WriteMode(truncate=True),
    "append": WriteMode(append=True, create=False),
    "in place": WriteMode(),
    "excl": WriteMode(exclusive=True),
}


def virtual(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


@dataclass
class World:
    """A session in a tree with rules, on files that were there before."""

    mounts: Mounts
    seeds: dict[str, bytes]
    backend: MemoryBackend = field(init=False)
    files: FileSystem = field(init=False)
    seen: set[bytes] = field(default_factory=set)
    """What the user has read."""
    listed: set[str] = field(default_factory=set)
    """What the user has been shown."""

    def __post_init__(self) -> None:
        self.backend = MemoryBackend(self.seeds)
        self.files = FileSystem(OpenStorage(self.backend, FileOptions()), self.mounts, Session("alice"))

    async def stored(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        async def walk(place: Place) -> None:
            async for page in self.backend.list_dir(place, self.files.session):
                for entry in page:
                    child = place.child(entry.name)
                    if entry.info.is_dir:
                        await walk(child)
                    else:
                        data = await self.backend.read_file(child, self.files.session)
                        found[child.key.decode()] = bytes(data)

        await walk(Place())
        return found

    async def do(self, step: tuple[object, ...]) -> None:
        kind, at, *more = step
        where = virtual(str(at))
        with suppress(StorageError):
            await getattr(self, "_" + str(kind).replace(" ", "_"))(where, *more)

    async def _rename(self, where: VirtualPath, to: str, overwrite: bool) -> None:
        await self.files.rename(where, virtual(to), overwrite=overwrite)

    async def _write(self, where: VirtualPath, mode: str, long: bool) -> None:
        writer = await self.files.open_writer(where, MODES[mode])
        try:
            with suppress(StorageError):
                self.seen.add(await writer.read(0, 100))
            await writer.write(0, b"new" + b"." * (LARGEST if long else 1))
        except StorageError:
            await writer.abort()
            raise
        await writer.close()

    async def _rename_open(self, where: VirtualPath, to: str, overwrite: bool) -> None:
        writer = await self.files.open_writer(where, WriteMode(truncate=True))
        try:
            await writer.write(0, b"open")
            await self.files.rename(where, virtual(to), overwrite=overwrite)
        finally:
            await writer.close()

    async def _read(self, where: VirtualPath) -> None:
        reader = await self.files.open_reader(where)
        self.seen.add(b"".join(await reader.read(0, 100)))
        await reader.close()

    async def _copy(self, where: VirtualPath, to: str) -> None:
        reader = await self.files.open_reader(where)
        writer = await self.files.open_writer(virtual(to), WriteMode(truncate=True))
        try:
            await self.files.copy(reader, 0, 0, writer, 0)
        except StorageError:
            await writer.abort()
            raise
        await writer.close()

    async def _remove(self, where: VirtualPath) -> None:
        await self.files.remove(where)

    async def _rmdir(self, where: VirtualPath) -> None:
        await self.files.remove_dir(where)

    async def _mkdir(self, where: VirtualPath) -> None:
        await self.files.make_dir(where)

    async def _resize(self, where: VirtualPath) -> None:
        await self.files.set_attributes(where, NewAttributes(size=1))

    async def _touch(self, where: VirtualPath) -> None:
        await self.files.set_attributes(where, NewAttributes(mtime=1.0))

    async def _stat(self, where: VirtualPath) -> None:
        await self.files.stat(where)
        self.listed.add(str(where))

    async def _list(self, where: VirtualPath) -> None:
        listing = await self.files.open_dir(where.parent)
        while (page := await listing.next_page()) is not None:
            names = {entry.name for entry in page} - {b".", b".."}
            self.listed |= {str(VirtualPath((*where.parent.names, name))) for name in names}
        await listing.close()

    # ── what the rules say, told apart from how the server applies them ─────────────────────────────

    def rules_at(self, name: str) -> AppliedRules:
        return self.mounts.rules.at(virtual(name))

    def is_hidden(self, name: str) -> bool:
        parts = name.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        return any(self.mounts.rules.at(virtual(each).parent).hides(virtual(each).name) for each in above)

    def is_usable(self, name: str) -> bool:
        path = virtual(name)
        return not self.is_hidden(name) and self.mounts.rules.at(path.parent).accepts(path.name)

    def may(self, name: str, *any_of: Right) -> bool:
        return self.is_usable(name) and bool(self.rules_at(name).rights & set(any_of))


@pytest.mark.slow
@pytest.mark.timeout(900)  # for the number of trees, on a slow machine
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees, st.sets(st.sampled_from(FILES), min_size=1, max_size=8), plans)
def test_nothing_that_the_rules_forbid_is_reached(
    tree: tuple[AccessRules, dict[str, AccessRules]], seeds: set[str], plan: list[tuple[object, ...]]
) -> None:
    mounts = Mounts.of("", rules=tree[0], paths=tuple(tree[1].items()))
    world = World(mounts, {name: b"seed " + name.encode() for name in seeds})

    async def run() -> dict[str, bytes]:
        for step in plan:
            await world.do(step)
        after = await world.stored()
        for name in after:  # whatever the steps have made readable
            await world.do(("read", name))
        return after

    check(world, asyncio.run(run()))


def check(world: World, after: dict[str, bytes]) -> None:
    for name, data in world.seeds.items():
        read = any(data in each for each in world.seen)
        assert not read or world.may(name, Right.READ), f"{name} was read"
        kept = [place for place, body in after.items() if body == data]
        changing = (Right.DELETE, Right.OVERWRITE, Right.APPEND)
        assert kept or world.may(name, *changing), f"{name} was lost"
        stays = after.get(name) == data
        assert stays or world.may(name, *changing, Right.RENAME), f"{name} was moved or changed"
    for name, data in after.items():
        if world.seeds.get(name) == data:
            continue
        original = name.replace(" (2)", "").replace(" (3)", "").replace(" (4)", "")
        assert world.may(original, Right.WRITE, Right.OVERWRITE, Right.APPEND), f"{name} was stored"
        if name not in world.seeds:
            assert world.may(original, Right.WRITE), f"{name} was created"
        most = world.rules_at(name).max_file_bytes
        was_there = any(data[4:] == seed[4:] for seed in world.seeds.values())
        assert not most or len(data) <= most or was_there, f"{name} is too large"
    for name in world.listed:
        assert not world.is_hidden(name.strip("/")), f"{name} was shown"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("rights", [{Right.LIST, Right.READ}, set(Right) - {Right.RENAME}])
async def test_a_directory_does_not_take_along_what_may_not_be_renamed(
    overwrite: bool, rights: set[Right]
) -> None:
    locked = AccessRules(frozenset(rights))
    world = World(Mounts.of("", paths=[("a/a", locked)]), {"a/a/x.csv": b"1", "a/y.tmp": b"2"})
    await world.do(("rename", "a", "b", overwrite))
    await world.do(("rename", "b", "a/b", overwrite))
    assert await world.stored() == world.seeds
