"""Two servers on one bucket: what one of them has finished, a request that is sent to the other then sees.

For each change by one, each look by the other, whatever the other's session knew before. The single exception
is STAT of a name that this very session has listed: that may be as old as its listing, for `s3.cache_ttl`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from testbed.packets import (
    APPEND,
    ATTRS,
    CREAT,
    EXCL,
    FAILURE,
    LSTAT,
    NO_SUCH_FILE,
    OK,
    SETSTAT,
    STATUS,
    Attributes,
    Refused,
    W,
    string,
    u32,
)
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store, new_bucket_name
from tests.limits.operations import connect
from tests.support.server import Server

OLD, NEW, MORE = b"old", b"newer", b"and more"
TIME = 1_234_567_890
LONG = {"s3": {"cache_ttl": "10 min"}, "server": {"workers": 1}}
"""So long that what is believed is believed to the end of the test."""

Act = Callable[[RawSftpClient, bytes], Awaitable[object]]


@pytest.fixture(scope="module")
def servers(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    both = [Server(tmp_path_factory.mktemp(name), seaweed, bucket, LONG) for name in ("one", "other")]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.close()


@pytest.fixture
async def clients(servers: list[Server]) -> AsyncIterator[tuple[RawSftpClient, RawSftpClient]]:
    """A client on each of two servers. Each test uses names of its own: some stores keep ghosts."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(wire(await stack.enter_async_context(await connect(server))))
            for server in servers
        ]
        yield one, other


async def _set_time(client: RawSftpClient, path: bytes) -> None:
    (await client.request(SETSTAT, string(path) + u32(8) + u32(TIME) + u32(TIME))).must_be(STATUS)


async def _append(client: RawSftpClient, path: bytes) -> None:
    handle = await client.open(path, W | APPEND)
    await client.write(handle, 0, MORE)
    await client.close(handle)


async def _move_there(client: RawSftpClient, path: bytes) -> None:
    await client.put(path + b"-origin", NEW)
    await client.posix_rename(path + b"-origin", path)


async def _put_below(client: RawSftpClient, path: bytes) -> None:
    await client.put(path + b"/below", NEW)


File, Directory, Nothing = bytes, dict, None
State = bytes | dict[bytes, int] | None
"""What is at a name: a file's bytes, the sizes of what is in a directory, or nothing."""


@dataclass(frozen=True)
class Change:
    before: State
    act: Act
    after: State
    mtime: int | None = None


CHANGES = {
    "put": Change(None, lambda one, path: one.put(path, NEW), NEW),
    "put below": Change(None, _put_below, {b"below": len(NEW)}),
    "replace": Change(OLD, lambda one, path: one.put(path, NEW), NEW),
    "append": Change(OLD, _append, OLD + MORE),
    "set time": Change(OLD, _set_time, OLD, TIME),
    "remove": Change(OLD, lambda one, path: one.remove(path), None),
    "rename away": Change(OLD, lambda one, path: one.rename(path, path + b"-gone"), None),
    "rename there": Change(None, _move_there, NEW),
    "rename over": Change(OLD, _move_there, NEW),
    "mkdir": Change(None, lambda one, path: one.mkdir(path), {}),
    "rmdir": Change({}, lambda one, path: one.rmdir(path), None),
}


async def _outcome(answer: Awaitable[object]) -> object:
    """What came of it; a refusal by its code."""
    try:
        found = await answer
    except Refused as refused:
        return refused.code
    return OK if found is None else found


async def _lstat(client: RawSftpClient, path: bytes) -> Attributes:
    return Attributes.parse((await client.request(LSTAT, string(path))).must_be(ATTRS), 0)[0]


async def _sizes(client: RawSftpClient, path: bytes) -> dict[bytes, int]:
    return {name: -1 if each.is_dir else each.size or 0 for name, each in (await client.list(path)).items()}


async def _listed(client: RawSftpClient, path: bytes) -> object:
    directory, _, name = path.rpartition(b"/")
    return (await _sizes(client, directory)).get(name)


async def _append_and_read(client: RawSftpClient, path: bytes) -> bytes:
    await _append(client, path)
    return await client.get(path)


async def _move_and_read(client: RawSftpClient, path: bytes) -> object:
    await client.rename(path, path + b"-moved")
    found = await client.stat(path + b"-moved")
    return await (_sizes if found.is_dir else RawSftpClient.get)(client, path + b"-moved")


async def _move_onto(client: RawSftpClient, path: bytes) -> None:
    await client.rename(path + b"-mine", path)


async def _move_over(client: RawSftpClient, path: bytes) -> None:
    await client.posix_rename(path + b"-mine", path)


async def _make_alone(client: RawSftpClient, path: bytes) -> None:
    await client.close(await client.open(path, W | CREAT | EXCL))


async def _make_in_it(client: RawSftpClient, path: bytes) -> None:
    await client.mkdir(path + b"/sub")


async def _time_after_setting_none(client: RawSftpClient, path: bytes) -> object:
    """A SETSTAT that sets nothing is an answer about what is there."""
    (await client.request(SETSTAT, string(path) + u32(0))).must_be(STATUS)


@dataclass(frozen=True)
class Look:
    act: Act
    of_file: Callable[[bytes], object]
    of_directory: Callable[[dict[bytes, int]], object]
    of_nothing: object = NO_SUCH_FILE

    def expected(self, state: State) -> object:
        if state is None:
            return self.of_nothing
        return self.of_file(state) if isinstance(state, bytes) else self.of_directory(state)


def _always(outcome: object) -> Callable[[object], object]:
    return lambda _: outcome


LOOKS = {
    "OPENDIR": Look(_sizes, _always(NO_SUCH_FILE), lambda inside: inside),
    "READDIR": Look(_listed, len, _always(-1), OK),
    "OPEN and READ": Look(RawSftpClient.get, lambda data: data, _always(FAILURE)),
    "OPEN with APPEND": Look(_append_and_read, lambda data: data + MORE, _always(FAILURE)),
    "OPEN with EXCL": Look(_make_alone, _always(FAILURE), _always(FAILURE), OK),
    "MKDIR": Look(lambda other, path: other.mkdir(path), _always(FAILURE), _always(FAILURE), OK),
    "MKDIR in it": Look(_make_in_it, _always(NO_SUCH_FILE), _always(OK)),
    "REMOVE": Look(lambda other, path: other.remove(path), _always(OK), _always(FAILURE)),
    "RMDIR": Look(
        lambda other, path: other.rmdir(path),
        _always(NO_SUCH_FILE),
        lambda inside: FAILURE if inside else OK,
    ),
    "RENAME": Look(_move_and_read, lambda data: data, lambda inside: inside),
    "RENAME onto it": Look(_move_onto, _always(FAILURE), _always(FAILURE), OK),
    # like an upload, it asks for a directory only where this replica has made or shown one
    "posix-rename onto it": Look(_move_over, _always(OK), _always(OK), OK),
    "SETSTAT of the time": Look(_set_time, _always(OK), _always(OK)),
    "SETSTAT of nothing": Look(_time_after_setting_none, _always(OK), _always(OK)),
}


async def _prepare(client: RawSftpClient, directory: bytes, looks: dict[str, bytes], before: State) -> None:
    await client.mkdir(directory)
    for path in looks.values():
        await client.put(path + b"-mine", b"mine")
        if isinstance(before, bytes):
            await client.put(path, before)
        elif before is not None:
            await client.mkdir(path)


async def _know(client: RawSftpClient, how: str, directory: bytes, looks: dict[str, bytes]) -> None:
    """What the session learns of the names before they are changed."""
    if how == "listed":
        await client.list(directory)
    elif how == "statted":
        await asyncio.gather(*(_outcome(client.stat(path)) for path in looks.values()))
    elif how == "opened":
        await asyncio.gather(*(_outcome(client.get(path)) for path in looks.values()))


@pytest.mark.parametrize("known", ["nothing", "listed", "statted", "opened"])
@pytest.mark.parametrize("change", CHANGES)
async def test_what_one_replica_has_finished_the_other_sees_at_once(
    clients: tuple[RawSftpClient, RawSftpClient], change: str, known: str
) -> None:
    one, other = clients
    changed = CHANGES[change]
    directory = f"/{change} {known}".encode()
    paths = {look: directory + b"/%d" % number for number, look in enumerate(LOOKS)}
    await _prepare(one, directory, paths, changed.before)
    await _know(other, known, directory, paths)
    for path in paths.values():
        await changed.act(one, path)
    found = {look: await _outcome(LOOKS[look].act(other, path)) for look, path in paths.items()}
    assert found == {look: LOOKS[look].expected(changed.after) for look in LOOKS}


def _told(attributes: object) -> object:
    return (
        ("directory" if attributes.is_dir else attributes.size)
        if isinstance(attributes, Attributes)
        else attributes
    )


def _stat_of(state: State) -> object:
    return NO_SUCH_FILE if state is None else len(state) if isinstance(state, bytes) else "directory"


@pytest.mark.parametrize("known", ["nothing", "listed", "statted", "opened"])
@pytest.mark.parametrize("change", CHANGES)
async def test_stat_tells_of_it_too_unless_the_session_has_just_listed_the_name(
    clients: tuple[RawSftpClient, RawSftpClient], change: str, known: str
) -> None:
    one, other = clients
    changed = CHANGES[change]
    directory = f"/stat {change} {known}".encode()
    paths = {"STAT": directory + b"/1", "LSTAT": directory + b"/2"}
    await _prepare(one, directory, paths, changed.before)
    await _know(other, known, directory, paths)
    for path in paths.values():
        await changed.act(one, path)
    found = [await _outcome(other.stat(paths["STAT"])), await _outcome(_lstat(other, paths["LSTAT"]))]
    may_be_old = known == "listed" and isinstance(changed.before, bytes)
    assert [_told(each) for each in found] == [_stat_of(changed.before if may_be_old else changed.after)] * 2
    if changed.mtime is not None and not may_be_old:
        assert [each.mtime for each in found if isinstance(each, Attributes)] == [changed.mtime] * 2


async def test_a_file_that_was_replaced_after_this_session_put_it_is_read_as_it_is_and_can_be_added_to(
    clients: tuple[RawSftpClient, RawSftpClient],
) -> None:
    one, other = clients
    await other.put(b"/replaced", OLD)
    await one.put(b"/replaced", NEW)
    assert await other.get(b"/replaced") == NEW
    await other.put(b"/replaced", OLD)
    await one.put(b"/replaced", NEW)
    assert await _append_and_read(other, b"/replaced") == NEW + MORE


async def test_a_file_that_another_removed_after_this_session_put_it_is_gone(
    clients: tuple[RawSftpClient, RawSftpClient],
) -> None:
    one, other = clients
    for look in ("OPEN and READ", "REMOVE", "RENAME", "SETSTAT of the time", "OPEN with APPEND"):
        await other.put(b"/removed", OLD)
        await one.remove(b"/removed")
        assert await _outcome(LOOKS[look].act(other, b"/removed")) == NO_SUCH_FILE, look


async def test_a_name_that_this_session_removed_may_be_a_file_again(
    clients: tuple[RawSftpClient, RawSftpClient],
) -> None:
    one, other = clients
    await other.put(b"/again", OLD)
    await other.remove(b"/again")
    await one.put(b"/again", NEW)
    assert (await other.stat(b"/again")).size == len(NEW)
