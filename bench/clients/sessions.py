"""Many SFTP sessions of one process at once, and what they move."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import asyncssh

from bench.failures import Failed
from bench.serving import Serving
from testbed.packets import CREAT, DATA, READ, STATUS, TRUNC, R, W, read_string, string, u32, u64
from testbed.raw_client import Ended, RawSftpClient, wire

BLOCK = 32 << 10
"""Bytes of a WRITE or READ, unless it is said."""
_IN_FLIGHT = 64
"""Requests of one transfer that are not answered yet, as OpenSSH has it."""
_LOGINS_AT_ONCE = 8
"""A server lets some of one source log in at once."""


@asynccontextmanager
async def sessions(
    server: Serving, count: int, connections: int | None = None
) -> AsyncIterator[list[RawSftpClient]]:
    """So many sessions, as long as the block, on `connections`; by default each has one of its own.

    Raises Failed: if the server does not take all of them.
    """
    _allow_files(count)
    async with AsyncExitStack() as staying:
        try:
            links = await _connected(server, min(count, connections or count), staying)
            clients = [
                await staying.enter_async_context(wire(links[number % len(links)])) for number in range(count)
            ]
        except (ExceptionGroup, OSError, asyncssh.Error, Ended) as error:
            raise Failed(f"the server does not take {count} sessions: {error!r}") from error
        yield clients


async def _connected(
    server: Serving, count: int, staying: AsyncExitStack
) -> list[asyncssh.SSHClientConnection]:
    turns, links = asyncio.Semaphore(_LOGINS_AT_ONCE), []

    async def connect() -> None:
        async with turns:
            link = asyncssh.connect(
                server.host,
                server.site.port,
                username=server.site.identity.user,
                client_keys=[os.fspath(server.site.identity.user_key)],
                known_hosts=None,
                config=None,
            )
            links.append(await staying.enter_async_context(link))

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(connect())
    return links


def _allow_files(count: int) -> None:
    """Let this process have a descriptor for each, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def upload(client: RawSftpClient, path: str, size: int, block: int = BLOCK) -> None:
    """CLOSE has said OK, and the file has its size."""
    handle = await client.open(path.encode(), W | CREAT | TRUNC)
    data, turns = bytes(block), asyncio.Semaphore(_IN_FLIGHT)
    answers = []
    for at in range(0, size, block):
        await turns.acquire()
        answers.append(client.sending_write(handle, at, data[: size - at]))
        answers[-1].add_done_callback(lambda _: turns.release())
    for answer in answers:
        (await answer).must_be(STATUS)
    await client.close(handle)
    if (await client.stat(path.encode())).size != size:
        raise Failed(f"{path} is not {size} bytes long")


async def download(client: RawSftpClient, path: str, size: int, block: int = BLOCK) -> None:
    """Every byte has come, and is thrown away."""
    handle = await client.open(path.encode(), R)
    turns = asyncio.Semaphore(_IN_FLIGHT)

    async def read(at: int) -> None:
        async with turns:
            body = string(handle) + u64(at) + u32(min(block, size - at))
            answer = (await client.request(READ, body)).must_be(DATA)
        if len(read_string(answer, 0)[0]) != min(block, size - at):
            raise Failed(f"{path}: a READ at {at} was short")

    async with asyncio.TaskGroup() as group:
        for at in range(0, size, block):
            group.create_task(read(at))
    await client.close(handle)


@contextmanager
def given_up_after(server: Serving, seconds: float) -> Iterator[None]:
    """Kill the server when the block lasts longer, so that whatever waits for it fails."""
    watchdog = threading.Timer(seconds, server.process.kill)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


async def side_by_side(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Do it all at once.

    Raises Failed: if a part of it does, or an answer is not what was asked for.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise Failed(f"{len(failures.exceptions)} failed, the first with {first!r}") from failures
