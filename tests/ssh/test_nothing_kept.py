"""Nothing is kept for a connection that has gone, however it came and went."""

from __future__ import annotations

import asyncio
import gc
import heapq
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
import pytest

from s3sftp.fs import transfer_book
from s3sftp.ssh import SshOptions
from s3sftp.ssh.admission import Admission, TrackedConnection
from tests.ssh.listener_harness import ListenerHarness, listener_harness, reset
from tests.support.logs import keep_no_log

pytestmark = pytest.mark.slow

Visit = Callable[[ListenerHarness], Awaitable[None]]


async def silent(harness: ListenerHarness) -> None:
    _, writer = await harness.socket()
    reset(writer)


async def no_ssh(harness: ListenerHarness) -> None:
    reader, writer = await harness.socket()
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    reset(writer)


async def failed_login(harness: ListenerHarness) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await harness.connect(password="wrong")


async def refused_after_login(harness: ListenerHarness) -> None:
    """Another of this user is there."""
    async with await harness.connect() as connection:
        await connection.wait_closed()


async def session(harness: ListenerHarness) -> None:
    async with await harness.connect("bob") as connection, connection.start_sftp_client() as sftp:
        await sftp.listdir("/")
        async with sftp.open("/x", "wb") as file:
            await file.write(b"x")
        await sftp.remove("/x")


async def waited_in_vain(harness: ListenerHarness) -> None:
    """The places of its source are taken."""
    reader, writer = await harness.socket("127.0.0.7")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.01)
    reset(writer)


def blocks() -> int:
    """Pieces of memory that Python holds, without the timers that were cancelled: asyncio keeps up to a
    hundred of those until their time comes."""
    loop: Any = asyncio.get_running_loop()
    for handle in loop._scheduled:
        handle._scheduled = not handle.cancelled()
    loop._scheduled = [handle for handle in loop._scheduled if not handle.cancelled()]
    loop._timer_cancelled_count = 0
    heapq.heapify(loop._scheduled)
    gc.collect()
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize(
    ("visit", "count"),
    [
        (silent, 400),
        (no_ssh, 400),
        (failed_login, 60),
        (refused_after_login, 60),
        (session, 60),
        (waited_in_vain, 100),
    ],
)
async def test_nothing_is_kept_for_a_connection_that_has_gone(
    visit: Visit, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_no_log()
    monkeypatch.setattr(transfer_book, "MAX_RECENT", 10)  # the latest transfers are kept: full after a round
    limits = {"max_connections_per_user": 1, "max_unauthenticated_per_source": 2}
    async with listener_harness(ssh=limits, auth={"ban_failures": 0, "refusal_time": 0}) as harness:
        resident = await harness.connect()
        places = [await harness.socket("127.0.0.7") for _ in range(2)]

        async def visits(number: int) -> int:
            for _ in range(number):
                await visit(harness)
            async with asyncio.timeout(20):
                while harness.listener.connections > 1 + len(places):
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # what is closed is let go of a turn or two later
            harness.events.clear()
            harness.sessions.clear()
            return blocks()

        await visits(20)
        # Python allocates now and then for itself, so growth counts only if each round of visits shows it
        growth: list[int] = []
        while not growth or (growth[-1] >= count and len(growth) < 5):
            before = await visits(20)
            growth.append(await visits(count) - before)
        assert growth[-1] < count, growth
        resident.close()
        for _, writer in places:
            reset(writer)


def test_those_that_had_to_make_room_are_forgotten_while_it_goes_on() -> None:
    gone: list[Any] = []
    admission = Admission(SshOptions(max_unauthenticated=2), lambda *_: gone.append(None))
    for second in range(1000):
        admission.arrive(str(second), second)
        admission.next(second + 0.5)
    assert len(gone) > 100
    gc.collect()
    assert sum(isinstance(each, TrackedConnection) for each in gc.get_objects()) <= admission.total
