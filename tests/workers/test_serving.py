"""Several workers serve as one server does: limits, bans, what is seen."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh
import pytest

from tests.support.s3_client import S3
from tests.workers.crew import WORKERS, Client, Crew


async def two(crew: Crew, stack: contextlib.AsyncExitStack) -> tuple[Client, Client]:
    """A client of the first worker and one of the second."""
    clients = [await stack.enter_async_context(crew.client()) for _ in range(WORKERS)]
    ordered = {await client.worker(): client for client in clients}
    return ordered[1], ordered[2]


async def test_clients_are_spread_over_the_workers_and_every_line_says_which(serving: Crew) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client()) for _ in range(6)]
        assert sorted([await client.worker() for client in clients]) == [1, 1, 1, 2, 2, 2]
        for client in clients:
            assert await (await client.sftp()).realpath(".") == "/"
    of_workers = [e for e in serving.server.events() if e["logger"] not in ("s3sftp.workers",)]
    assert of_workers
    assert {event["worker"] for event in of_workers} == {1, 2}


async def test_a_connection_goes_to_the_worker_with_the_fewest(serving: Crew) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, _ = await two(serving, stack)
        first.connection.abort()
        await serving.until_left(1)
        async with serving.client() as third, serving.client() as fourth:
            assert sorted([await third.worker(), await fourth.worker()]) == [1, 2]


@pytest.mark.parametrize("serving", [{"ssh": {"max_connections_per_user": 4}}], indirect=True)
async def test_a_user_has_so_many_connections_over_all_workers(serving: Crew) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client()) for _ in range(4)]
        for number in (1, 2):
            with pytest.raises((asyncssh.Error, ConnectionError)):
                async with serving.client() as refused:
                    await refused.sftp()
            await serving.until_left(number)
        refusals = serving.server.events("login refused")
        assert {refusal["worker"] for refusal in refusals} == {1, 2}
        assert {refusal["reason"] for refusal in refusals} == {"too many connections of this user"}
        clients[0].connection.abort()
        await serving.until_left(3)
        async with serving.client() as admitted:
            assert await (await admitted.sftp()).realpath(".") == "/"


@pytest.mark.parametrize("serving", [{"ssh": {"max_connections": 3}}], indirect=True)
async def test_the_server_has_so_many_connections_over_all_workers(serving: Crew) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(serving.client())
        with pytest.raises((asyncssh.DisconnectError, ConnectionError)):
            await serving.connect()
        await serving.server.until(lambda: bool(serving.server.events("connection refused")), "it to be told")
        (refused,) = serving.server.events("connection refused")
        assert refused["reason"] == "too many connections"


@pytest.mark.parametrize(
    "serving", [{"ssh": {"max_unauthenticated": 2, "max_unauthenticated_per_source": 2}}], indirect=True
)
async def test_silent_connections_of_one_source_make_room_at_whichever_worker_they_are(serving: Crew) -> None:
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
async def test_failed_logins_at_different_workers_add_up_to_a_ban(serving: Crew) -> None:
    async def guess(source: str) -> None:
        await serving.connect(source, client_keys=None, password="wrong", preferred_auth="password")

    for _ in range(4):
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await guess("127.0.0.2")
    failures = serving.server.events("login failed")
    assert {failure["worker"] for failure in failures} == {1, 2}
    assert [event["source"] for event in serving.server.events("source banned")] == ["127.0.0.2"]
    with pytest.raises((asyncssh.Error, ConnectionError)):
        await serving.connect("127.0.0.2")
    await serving.server.until(lambda: bool(serving.server.events("connection refused")), "it to be told")
    assert serving.server.events("connection refused")[-1]["reason"] == "the source is banned"
    async with serving.client("127.0.0.3") as other:
        assert await (await other.sftp()).realpath(".") == "/"


@pytest.mark.parametrize("serving", [{"files": {"max_uploads_per_user": 3}}], indirect=True)
async def test_a_user_writes_so_many_files_at_once_over_all_workers(serving: Crew) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second = [await client.sftp() for client in await two(serving, stack)]
        files = [await sftp.open(f"/{n}", "wb") for n, sftp in enumerate((first, second, first))]
        for sftp in (first, second):
            with pytest.raises(asyncssh.SFTPError, match="too many uploads"):
                await sftp.open("/more", "wb")
        await files[0].close()
        await (await second.open("/more", "wb")).close()


async def test_an_upload_is_shown_by_its_own_worker_and_nobody_sees_it_elsewhere_before_it_is_closed(
    serving: Crew,
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


async def test_what_one_worker_has_done_the_other_sees_at_once(serving: Crew, s3: S3) -> None:
    """Each of them believes what it has just been told; so every change is seen only because it is told."""
    async with contextlib.AsyncExitStack() as stack:
        one, two_ = [await client.sftp() for client in await two(serving, stack)]
        for number in range(40):
            here, there = (one, two_) if number % 2 else (two_, one)
            name, data = f"/dir/{number % 7}", b"x" * (number + 1)
            assert await there.exists(name) == (number >= 7)
            async with here.open(name, "wb") as file:
                await file.write(data)
            assert (await there.stat(name)).size == len(data)
            entries = {entry.filename: entry.attrs.size for entry in await there.readdir("/dir")}
            assert entries[str(number % 7)] == len(data)
            async with there.open(name, "rb") as file:
                assert await file.read() == data
            if number >= 20:
                await there.rename(name, f"{name}-moved")
                assert not await here.exists(name)
                assert (await here.stat(f"{name}-moved")).size == len(data)
                await here.rename(f"{name}-moved", name)
                await here.stat(name)
                await there.remove(name)
                assert not await here.exists(name)
                assert str(number % 7) not in await here.listdir("/dir")
                async with there.open(name, "wb") as file:
                    await file.write(data)
        await one.rename("/dir", "/other")
        assert not await two_.exists("/dir/0")
        assert await two_.exists("/other/0")
        await two_.rmtree("/other")
        assert not await one.exists("/other/0")
        assert await s3.keys() == []
