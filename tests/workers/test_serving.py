"""Several workers serve as one server does: limits, bans, what is seen."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import asyncssh
import pytest

from tests.support.s3_client import S3
from tests.workers.worker_server import WORKERS, Client, WorkerServer


async def two(workers: WorkerServer, stack: contextlib.AsyncExitStack) -> tuple[Client, Client]:
    """A client of the first worker and one of the second."""
    clients = [await stack.enter_async_context(workers.client()) for _ in range(WORKERS)]
    ordered = {await client.worker(): client for client in clients}
    return ordered[1], ordered[2]


async def test_clients_are_spread_over_the_workers_and_every_line_says_which(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client()) for _ in range(6)]
        assert sorted([await client.worker() for client in clients]) == [1, 1, 1, 2, 2, 2]
        for client in clients:
            assert await (await client.sftp()).realpath(".") == "/"
    of_workers = [e for e in serving.server.events() if e["logger"] not in ("s3sftp.workers",)]
    assert of_workers
    assert {event["worker"] for event in of_workers} == {1, 2}


async def test_a_connection_goes_to_the_worker_with_the_fewest(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, _ = await two(serving, stack)
        first.connection.abort()
        await serving.until_left(1)
        async with serving.client() as third, serving.client() as fourth:
            assert sorted([await third.worker(), await fourth.worker()]) == [1, 2]


@pytest.mark.parametrize("serving", [{"ssh": {"max_connections_per_source": 3}}], indirect=True)
async def test_an_address_has_so_many_connections_over_all_workers_and_others_get_in(
    serving: WorkerServer,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client("127.0.0.2")) for _ in range(3)]
        assert {await client.worker() for client in clients} == {1, 2}
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await serving.connect("127.0.0.2")
        (refused,) = serving.server.events("connection.refused")
        assert refused["reason"] == "too many connections of this source"
        async with serving.client("127.0.0.3") as other:
            assert await (await other.sftp()).realpath(".") == "/"
        clients[0].connection.abort()
        await serving.until_left(2)
        async with serving.client("127.0.0.2") as again:
            assert await (await again.sftp()).realpath(".") == "/"


@pytest.mark.parametrize("serving", [{"ssh": {"max_connections_per_user": 4}}], indirect=True)
async def test_a_user_has_so_many_connections_over_all_workers(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client()) for _ in range(4)]
        for number in (1, 2):
            with pytest.raises((asyncssh.Error, ConnectionError)):
                async with serving.client() as refused:
                    await refused.sftp()
            await serving.until_left(number)
        refusals = serving.server.events("login.refused")
        assert {refusal["worker"] for refusal in refusals} == {1, 2}
        assert {refusal["reason"] for refusal in refusals} == {"too many connections of this user"}
        clients[0].connection.abort()
        await serving.until_left(3)
        async with serving.client() as admitted:
            assert await (await admitted.sftp()).realpath(".") == "/"


@pytest.mark.parametrize("serving", [{"ssh": {"max_connections": 3}}], indirect=True)
async def test_the_server_has_so_many_connections_over_all_workers(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(serving.client())
        with pytest.raises((asyncssh.DisconnectError, ConnectionError)):
            await serving.connect()
        await serving.server.until(lambda: bool(serving.server.events("connection.refused")), "it to be told")
        (refused,) = serving.server.events("connection.refused")
        assert refused["reason"] == "too many connections"


@pytest.mark.parametrize(
    "serving", [{"ssh": {"max_unauthenticated": 2, "max_unauthenticated_per_source": 2}}], indirect=True
)
async def test_silent_connections_of_one_source_make_room_at_whichever_worker_they_are(
    serving: WorkerServer,
) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", serving.server.port) for _ in range(2)]
    for reader, _ in silent:
        assert (await reader.readline()).startswith(b"SSH-2.0-")
    async with serving.client("127.0.0.2") as client:
        assert await (await client.sftp()).realpath(".") == "/"
    ended = [asyncio.create_task(reader.read()) for reader, _ in silent]
    done, _ = await asyncio.wait(ended, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize(
    "serving", [{"auth": {"ban_failures": 4}, "ssh": {"max_auth_attempts": 2}}], indirect=True
)
async def test_failed_logins_at_different_workers_add_up_to_a_ban(serving: WorkerServer) -> None:
    async def guess(source: str) -> None:
        await serving.connect(source, client_keys=None, password="wrong", preferred_auth="password")

    for _ in range(4):
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await guess("127.0.0.2")
    await serving.server.until(lambda: serving.server.count("login.failed") >= 4, "the failures to be told")
    failures = serving.server.events("login.failed")
    assert {failure["worker"] for failure in failures} == {1, 2}
    await serving.server.until(lambda: bool(serving.server.events("source.banned")), "the ban to be told")
    assert [event["source"] for event in serving.server.events("source.banned")] == ["127.0.0.2"]
    with pytest.raises((asyncssh.Error, ConnectionError)):
        await serving.connect("127.0.0.2")
    await serving.server.until(lambda: bool(serving.server.events("connection.refused")), "it to be told")
    assert serving.server.events("connection.refused")[-1]["reason"] == "the source is banned"
    async with serving.client("127.0.0.3") as other:
        assert await (await other.sftp()).realpath(".") == "/"


@pytest.mark.parametrize("serving", [{"files": {"max_uploads_per_user": 3}}], indirect=True)
async def test_a_user_writes_so_many_files_at_once_over_all_workers(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second = [await client.sftp() for client in await two(serving, stack)]
        files = [await sftp.open(f"/{n}", "wb") for n, sftp in enumerate((first, second, first))]
        for sftp in (first, second):
            with pytest.raises(asyncssh.SFTPError, match="too many uploads"):
                await sftp.open("/more", "wb")
        await files[0].close()
        await (await second.open("/more", "wb")).close()


async def test_an_upload_is_shown_by_its_own_worker_and_nobody_sees_it_elsewhere_before_it_is_closed(
    serving: WorkerServer,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second = await two(serving, stack)
        here, beside, there = await first.sftp(), await first.sftp(), await second.sftp()
        file = await here.open("/x", "wb")
        await file.write(b"so far")
        assert (await beside.stat("/x")).size == 6
        assert not await there.exists("/x")
        await file.close()
        assert (await there.stat("/x")).size == 6


@pytest.mark.parametrize("serving", [{"s3": {"cache_ttl": "0 s"}}], indirect=True)
async def test_nothing_is_put_below_a_file_that_another_worker_made_or_over_its_directory(
    serving: WorkerServer,
) -> None:
    """However long ago that was: what is remembered of what the server made has no time limit."""
    async with contextlib.AsyncExitStack() as stack:
        one, two_ = [await client.sftp() for client in await two(serving, stack)]
        async with one.open("/file", "wb") as file:
            await file.write(b"stays")
        async with one.open("/dir/file", "wb") as file:
            await file.write(b"stays")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await two_.open("/file/below", "wb")
        with pytest.raises(asyncssh.SFTPFailure):
            await two_.open("/dir", "wb")
        found = [name.filename async for name in one.scandir("/") if name.filename not in (".", "..")]
        assert sorted(found) == ["dir", "file"]


async def test_what_one_worker_has_done_the_other_sees_at_once(serving: WorkerServer, s3: S3) -> None:
    """Sessions that look are others than those that list and change: these may know for a moment."""
    async with contextlib.AsyncExitStack() as stack:
        connections = await two(serving, stack)
        one, two_ = [(await each.sftp(), await each.sftp()) for each in connections]
        for number in range(40):
            (here, eye_here), (there, eye_there) = (one, two_) if number % 2 else (two_, one)
            name, data = f"/dir/{number % 7}", b"x" * (number + 1)
            assert await eye_there.exists(name) == (number >= 7)
            async with here.open(name, "wb") as file:
                await file.write(data)
            assert (await eye_there.stat(name)).size == len(data)
            entries = {entry.filename: entry.attrs.size for entry in await there.readdir("/dir")}
            assert entries[str(number % 7)] == len(data)
            async with there.open(name, "rb") as file:
                assert await file.read() == data
            if number >= 20:
                await there.rename(name, f"{name}-moved")
                assert not await eye_here.exists(name)
                assert (await eye_here.stat(f"{name}-moved")).size == len(data)
                await here.rename(f"{name}-moved", name)
                assert (await eye_there.stat(name)).size == len(data)
                await there.remove(name)
                assert not await eye_here.exists(name)
                assert str(number % 7) not in await here.listdir("/dir")
                async with there.open(name, "wb") as file:
                    await file.write(data)
        await one[0].rename("/dir", "/other")
        assert not await two_[1].exists("/dir/0")
        assert await two_[1].exists("/other/0")
        await two_[0].rmtree("/other")
        assert not await one[1].exists("/other/0")
        assert await s3.keys() == []


async def test_what_a_session_has_listed_is_seen_as_another_worker_left_it_when_it_is_opened(
    serving: WorkerServer,
) -> None:
    """And only in STAT: opened, it is what is stored."""
    async with contextlib.AsyncExitStack() as stack:
        one, two_ = [await client.sftp() for client in await two(serving, stack)]
        async with one.open("/f", "wb") as file:
            await file.write(b"old")
        await two_.readdir("/")
        async with one.open("/f", "wb") as file:
            await file.write(b"newer")
        assert (await two_.stat("/f")).size in (3, 5)
        async with two_.open("/f", "rb") as file:
            assert await file.read() == b"newer"
        async with asyncio.timeout(20):
            while (await two_.stat("/f")).size != 5:
                await asyncio.sleep(0.1)


async def test_tcp_looks_after_connections_that_were_handed_to_a_worker(serving: WorkerServer) -> None:
    """The kernel says when it asks next on a quiet connection: by itself it would be in two hours."""
    async with serving.client() as client:
        sftp = await client.sftp()
        ours, theirs = (client.connection.get_extra_info(name)[1] for name in ("sockname", "peername"))
        assert await sftp.realpath(".") == "/"
        async with asyncio.timeout(20):
            while not 0 < keepalive_seconds(theirs, ours) <= 60:
                await asyncio.sleep(0.05)


def keepalive_seconds(local_port: int, remote_port: int) -> float:
    """When TCP's keepalive is due on a connection of this machine; 0 while there is no timer."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, remote, _, _, timer, *_ = line.split()
            ports = [int(end.rpartition(":")[2], 16) for end in (local, remote)]
            kind, due = timer.split(":")
            if ports == [local_port, remote_port] and kind == "02":
                return int(due, 16) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def test_what_is_open_in_one_worker_blocks_and_hides_nothing_that_is_stored_in_any(
    serving: WorkerServer, s3: S3
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = await two(serving, stack)
        one, two_ = [await client.sftp() for client in clients]
        eyes = {acting: await client.sftp() for acting, client in zip((one, two_), clients, strict=True)}
        left = await one.open("/x", "wb")
        await left.write(b"x" * 5120)
        async with two_.open("/x", "wb") as file:
            await file.write(b"y" * 100)
        probe = await one.open("/x", "rb+")
        for here, there in ((one, two_), (two_, one)):
            assert [(await eyes[each].stat("/x")).size for each in (here, there)] == [100, 100]
            await here.rename("/x", "/y")
            assert not await eyes[there].exists("/x")
            await there.rename("/y", "/x")
            assert not await eyes[here].exists("/y")
        await two_.remove("/x")
        await probe.close()
        assert await s3.keys() == []


async def test_an_upload_follows_its_directory_in_its_own_worker_and_stays_in_another(
    serving: WorkerServer, s3: S3
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one, two_ = [await client.sftp() for client in await two(serving, stack)]
        await one.mkdir("/d")
        own, other = await one.open("/d/own", "wb"), await two_.open("/d/other", "wb")
        for file in (own, other):
            await file.write(b"whole")
        await one.rename("/d", "/e")
        for file in (own, other):
            await file.close()
        assert await s3.keys() == ["alice/d/other", "alice/e/", "alice/e/own"]
