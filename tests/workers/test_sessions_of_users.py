"""How many sessions a user may have: over all connections and workers, exactly, and nobody else feels it."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh
import pytest

from tests.workers.worker_server import WORKERS, Client, WorkerServer

THREE = {"limits": {"max_sessions": 3}}


async def clients(workers: WorkerServer, stack: contextlib.AsyncExitStack, count: int) -> list[Client]:
    return [await stack.enter_async_context(workers.client()) for _ in range(count)]


async def asked(of: list[Client]) -> list[asyncssh.SFTPClient | BaseException]:
    """Ask for a session on each connection at the same moment; what each got."""
    return await asyncio.gather(*(client.sftp() for client in of), return_exceptions=True)


@pytest.mark.parametrize("serving", [THREE], indirect=True)
async def test_of_many_sessions_that_are_asked_for_at_once_just_as_many_as_allowed_are_opened(
    serving: WorkerServer,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        of = await clients(serving, stack, 12)
        assert {await client.worker() for client in of} == set(range(1, WORKERS + 1))
        for _ in range(5):
            answers = await asked(of)
            opened = [answer for answer in answers if isinstance(answer, asyncssh.SFTPClient)]
            refused = [answer for answer in answers if isinstance(answer, asyncssh.ChannelOpenError)]
            assert (len(opened), len(refused)) == (3, 9)
            assert {str(refusal) for refusal in refused} == {"too many sessions of this user"}
            for session in opened:
                assert await session.realpath(".") == "/"
                session.exit()
                await session.wait_closed()
            await until_opened(of[0])
    lines = serving.server.events("connection.request_refused")
    assert {line["request"] for line in lines} == {"session beyond the user's limit"}
    assert {line["user"] for line in lines} == {"alice"}


async def until_opened(client: Client) -> None:
    """Wait until one session can be opened and closed again: those before have been counted out."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(asyncssh.ChannelOpenError):
                for session in [await client.sftp() for _ in range(3)]:
                    session.exit()
                    await session.wait_closed()
                await asyncio.sleep(0.3)
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("serving", [THREE], indirect=True)
async def test_sessions_of_a_connection_that_breaks_off_and_of_a_worker_that_dies_are_counted_out(
    serving: WorkerServer,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second, third = await clients(serving, stack, 3)
        for _ in range(2):
            await first.sftp()
        await second.sftp()
        with pytest.raises(asyncssh.ChannelOpenError, match="too many sessions"):
            await third.sftp()
        if await third.worker() == await first.worker():
            first, second = second, first
        first.connection.abort()
        await serving.until_left(1)
        await third.sftp()
        serving.kill(await second.worker())
        await serving.server.until(lambda: serving.server.count("worker.ready") > WORKERS, "a new worker", 60)
        survivor = await stack.enter_async_context(serving.client())
        opened = [answer for answer in await asked([survivor] * 4) if not isinstance(answer, BaseException)]
        assert len(opened) >= 2
