"""Requests that a client sends without waiting: each sees what the session did before it."""

from __future__ import annotations

import asyncio
import struct

import pytest

from s3sftp.backends import FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from testbed.packets import (
    CLOSE,
    CREAT,
    EOF,
    FAILURE,
    FSETSTAT,
    HANDLE,
    MKDIR,
    NO_ATTRIBUTES,
    OK,
    OPENDIR,
    READDIR,
    REMOVE,
    RENAME,
    RMDIR,
    SETSTAT,
    STAT,
    TRUNC,
    Attributes,
    R,
    Reply,
    W,
    read_string,
    string,
    u32,
    u64,
)
from testbed.raw_client import RawSftpClient
from tests.sftp.session_server import serving

pytestmark = pytest.mark.usefixtures("log_level")


async def entries(client: RawSftpClient, opening: asyncio.Future[Reply]) -> dict[bytes, Attributes]:
    """What a directory whose OPENDIR has been sent already shows."""
    handle = read_string((await opening).must_be(HANDLE), 0)[0]
    found: dict[bytes, Attributes] = {}
    while (reply := await client.request(READDIR, string(handle))).code != EOF:
        at = 4
        for _ in range(struct.unpack_from(">I", reply.body)[0]):
            name, at = read_string(reply.body, at)
            _, at = read_string(reply.body, at)
            found[name], at = Attributes.parse(reply.body, at)
    await client.close(handle)
    return {name: each for name, each in found.items() if name not in (b".", b"..")}


class SlowToChange(MemoryBackend):
    """Whatever changes something takes long; looking takes no time."""

    async def _call(self, method: str, place: Place) -> None:
        if method not in ("file_info", "list_dir", "list_page"):
            await asyncio.sleep(0.05)
        await super()._call(method, place)


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        (MKDIR, string(b"/d/new") + NO_ATTRIBUTES, {b"old", b"sub", b"new"}),
        (RENAME, string(b"/d/old") + string(b"/d/new"), {b"new", b"sub"}),
        (RENAME, string(b"/d/old") + string(b"/new"), {b"sub"}),
        (RENAME, string(b"/other") + string(b"/d/other"), {b"old", b"sub", b"other"}),
        (RENAME, string(b"/d/sub") + string(b"/d/sup"), {b"old", b"sup"}),
        (REMOVE, string(b"/d/old"), {b"sub"}),
        (RMDIR, string(b"/d/sub"), {b"old"}),
        (SETSTAT, string(b"/d/old") + u32(1) + u64(77), {b"old", b"sub"}),
    ],
    ids=["mkdir", "rename", "rename away", "rename into", "directory renamed", "remove", "rmdir", "setstat"],
)
async def test_a_listing_sent_right_behind_a_change_shows_it(
    kind: int, body: bytes, shown: set[bytes]
) -> None:
    backend = SlowToChange({"d/old": b"x", "d/sub/": b"", "other": b"y"})
    async with serving(backend) as server, server.client() as client:
        changing = client.request(kind, body)
        found = await entries(client, client.request(OPENDIR, string(b"/d")))
        assert (await changing).code == OK
        assert set(found) == shown
        if kind == SETSTAT:
            assert found[b"old"].size == 77


async def test_a_listing_sent_right_behind_close_shows_the_file_in_each_directory_above() -> None:
    async with serving(SlowToChange()) as server, server.client() as client:
        handle = await client.open(b"/d/e/f", W | CREAT | TRUNC)
        sent = [client.sending_write(handle, 0, b"whole"), client.sending_close(handle)]
        listings = [client.request(OPENDIR, string(path)) for path in (b"/d/e", b"/d", b"/")]
        found = [await entries(client, listing) for listing in listings]
        assert [(await each).code for each in sent] == [OK, OK]
        assert [set(each) for each in found] == [{b"f"}, {b"e"}, {b"d"}]
        assert found[0][b"f"].size == 5


async def test_a_listing_sent_behind_fsetstat_of_a_file_open_for_reading_shows_it() -> None:
    async with serving(SlowToChange({"d/f": b"x"})) as server, server.client() as client:
        handle = await client.open(b"/d/f", R)
        body = string(handle) + u32(8) + u32(1000) + u32(1000)
        sent = [client.request(FSETSTAT, body), client.sending_close(handle)]
        found = await entries(client, client.request(OPENDIR, string(b"/d")))
        assert [(await each).code for each in sent] == [OK, OK]
        assert found[b"f"].mtime == 1000


async def test_a_tree_is_made_by_requests_that_do_not_wait() -> None:
    async with serving(SlowToChange()) as server, server.client() as client:
        making = [
            client.request(MKDIR, string(path) + NO_ATTRIBUTES)
            for path in (b"/a", b"/a/b", b"/a/c", b"/a/b/d", b"/a/c/e", b"/a/f")
        ]
        assert [(await each).code for each in making] == [OK] * len(making)


async def test_mkdir_sent_right_behind_close_finds_the_directory_that_the_file_is_the_first_of() -> None:
    async with serving(SlowToChange()) as server, server.client() as client:
        handle = await client.open(b"/d/e/f", W | CREAT | TRUNC)
        sent = [
            client.sending_write(handle, 0, b"whole"),
            client.sending_close(handle),
            client.request(MKDIR, string(b"/d/x") + NO_ATTRIBUTES),
            client.request(MKDIR, string(b"/d/e/y") + NO_ATTRIBUTES),
        ]
        assert [(await each).code for each in sent] == [OK] * len(sent)


async def test_mkdir_sent_right_behind_a_rename_into_it_finds_the_directory() -> None:
    async with serving(SlowToChange({"old": b"x"})) as server, server.client() as client:
        sent = [
            client.request(RENAME, string(b"/old") + string(b"/d/new")),
            client.request(MKDIR, string(b"/d/x") + NO_ATTRIBUTES),
        ]
        assert [(await each).code for each in sent] == [OK] * len(sent)


async def test_a_tree_is_removed_by_requests_that_do_not_wait() -> None:
    backend = SlowToChange({"d/e/f": b"x", "d/e/": b"", "d/": b"", "d/g": b"y"})
    async with serving(backend) as server, server.client() as client:
        sent = [
            client.request(REMOVE, string(b"/d/e/f")),
            client.request(RMDIR, string(b"/d/e")),
            client.request(REMOVE, string(b"/d/g")),
            client.request(RMDIR, string(b"/d")),
        ]
        found = await entries(client, client.request(OPENDIR, string(b"/")))
        assert [(await each).code for each in sent] == [OK] * 4
        assert found == {}


@pytest.mark.parametrize("through", [b"/out/g", b"/f2"])
async def test_a_close_sent_behind_renames_of_its_file_is_in_the_listing_of_where_they_lead(
    through: bytes,
) -> None:
    async with serving(SlowToChange({"out/": b""})) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        sent = [
            client.sending_write(handle, 0, b"whole"),
            client.request(RENAME, string(b"/f") + string(through)),
            client.request(RENAME, string(through) + string(b"/out/h")),
            client.sending_close(handle),
        ]
        found = await entries(client, client.request(OPENDIR, string(b"/out")))
        assert [(await each).code for each in sent] == [OK] * 4
        assert {name: each.size for name, each in found.items()} == {b"h": 5}


async def test_a_directory_that_is_renamed_right_behind_close_has_the_file() -> None:
    async with serving(SlowToChange({"d/x": b""})) as server, server.client() as client:
        handle = await client.open(b"/d/f", W | CREAT | TRUNC)
        late = await client.open(b"/d/late", W | CREAT | TRUNC)
        sent = [
            client.sending_write(handle, 0, b"whole"),
            client.sending_close(handle),
            client.request(RENAME, string(b"/d") + string(b"/e")),
            client.sending_close(late),
        ]
        listings = [client.request(OPENDIR, string(path)) for path in (b"/", b"/e")]
        found = [set(await entries(client, listing)) for listing in listings]
        assert [(await each).code for each in sent] == [OK] * 4
        assert found == [{b"e"}, {b"x", b"f", b"late"}]


async def test_renames_of_what_is_open_cost_the_same_however_many_are_sent() -> None:
    async with serving(SlowToChange({"r/x": b""})) as server, server.client() as client:
        handle = await client.open(b"/r/f", W | CREAT | TRUNC)
        into_itself = string(b"/r") + string(b"/r/q")
        sent = [client.request(RENAME, into_itself) for _ in range(100)]
        async with asyncio.timeout(20):
            assert {(await each).code for each in sent} == {FAILURE}
        (opened,) = server.sessions[-1]._handles.all()
        assert opened.may_become == []
        await client.close(handle)


async def test_a_file_that_is_open_and_not_closed_is_not_in_a_listing() -> None:
    async with serving(MemoryBackend()) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, b"so far")
        assert await client.list(b"/") == {}
        await client.close(handle)
        assert set(await client.list(b"/")) == {b"f"}


class HeldBack(MemoryBackend):
    """Publishing waits until it is let go."""

    def __init__(self, seed: dict[str, bytes] | None = None) -> None:
        super().__init__(seed)
        self.let_go = asyncio.Event()
        self.publishing = 0

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        self.publishing += 1
        await self.let_go.wait()
        return await super().finish_write(upload, tail, finish, session)


async def test_files_of_one_directory_are_closed_at_once_while_it_is_listed() -> None:
    backend = HeldBack({f"d/{number:03}": b"" for number in range(500)})
    async with serving(backend) as server, server.client() as client, asyncio.timeout(20):
        listing = await client.opendir(b"/d")
        handles = [await client.open(b"/d/new%d" % number, W | CREAT | TRUNC) for number in range(8)]
        closing = [client.request(CLOSE, string(handle)) for handle in handles]
        while backend.publishing < 8:
            await asyncio.sleep(0.01)
        for number in range(3):  # neither what is there nor the directory waits for them
            assert (await client.stat(b"/d/%03d" % number)).size == 0
        assert (await client.request(STAT, string(b"/d"))).code == OK
        assert (await client.request(READDIR, string(listing))).code == OK
        backend.let_go.set()
        assert [(await each).code for each in closing] == [OK] * 8
        await client.close(listing)


async def test_stat_of_a_file_that_is_being_closed_waits_in_its_own_session_alone() -> None:
    backend = HeldBack()
    async with serving(backend) as server, server.client() as client, server.client() as other:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, b"whole")
        closing = client.sending_close(handle)
        behind = client.request(STAT, string(b"/f"))
        async with asyncio.timeout(20):
            while not backend.publishing:
                await asyncio.sleep(0.01)
            assert (await other.stat(b"/f")).size == 5
        assert not behind.done()
        backend.let_go.set()
        assert (await closing).code == OK
        assert Attributes.parse((await behind).body, 0)[0].size == 5
