"""Workers that hang alive: nobody is sent to them, and they are killed; the others are left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from tests.support.s3_client import S3
from tests.workers.faulty_workers import LINGERING_SECONDS
from tests.workers.test_serving import two
from tests.workers.test_supervisor import supervised
from tests.workers.worker_server import WorkerServer

SHORT = {"server": {"worker_timeout": "5 s"}}
LONG = {"server": {"worker_timeout": "12 s"}}
"""Asked every three seconds."""


@pytest.mark.parametrize("serving", [SHORT], indirect=True, ids=["5 s"])
async def test_a_worker_that_hangs_is_replaced_and_the_others_go_on(serving: WorkerServer, s3: S3) -> None:
    server = serving.server
    async with contextlib.AsyncExitStack() as stack:
        first, second = await two(serving, stack)
        kept = await (await second.sftp()).open("/kept", "wb")
        await kept.write(b"first, ")
        hung = serving.pids()[1]
        os.kill(hung, signal.SIGSTOP)
        await asyncio.wait_for(first.connection.wait_closed(), 30)
        await kept.write(b"last")
        await kept.close()
        assert await s3.body("alice/kept") == b"first, last"
        await server.until(lambda: serving.pids()[1] != hung, "a new worker")
        await serving.all_ready()
        async with serving.client() as third:
            assert await third.worker() == 1  # what the hung one had is counted out
    assert [event["pid"] for event in server.events("worker.hung")] == [hung]
    (killed,) = server.events("worker.killed")
    assert (killed["worker"], killed["pid"], killed["silent_seconds"]) == (1, hung, 5)
    (ended,) = server.events("worker.exited")
    assert (ended["worker"], ended["status"]) == (1, -signal.SIGKILL)


@pytest.mark.parametrize("serving", [LONG], indirect=True, ids=["12 s"])
async def test_one_that_owes_an_answer_gets_no_connections_until_it_has_given_it(
    serving: WorkerServer,
) -> None:
    server = serving.server
    async with contextlib.AsyncExitStack() as stack:
        first, _ = await two(serving, stack)
        sftp = await first.sftp()
        os.kill(serving.pids()[1], signal.SIGSTOP)
        await server.until(lambda: bool(server.events("worker.unresponsive")), "a miss")
        for _ in range(2):
            client = await stack.enter_async_context(serving.client())
            assert await client.worker() == 2
        os.kill(serving.pids()[1], signal.SIGCONT)
        await server.until(lambda: bool(server.events("worker.recovered")), "an answer")
        back = await stack.enter_async_context(serving.client())
        assert await back.worker() == 1  # it has the fewest
        assert await sftp.realpath(".") == "/"  # and who was there still is
    assert not server.events("worker.exited")


@pytest.mark.parametrize("serving", [SHORT], indirect=True, ids=["5 s"])
async def test_when_all_of_the_server_was_suspended_nobody_is_killed(serving: WorkerServer) -> None:
    server = serving.server
    async with contextlib.AsyncExitStack() as stack:
        clients = await two(serving, stack)
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGSTOP)
        await asyncio.sleep(7)
        os.killpg(server.process.pid, signal.SIGCONT)
        await asyncio.sleep(2)
        for client in clients:
            assert await (await client.sftp()).realpath(".") == "/"
    assert not server.events("worker.hung")
    assert not server.events("worker.exited")


async def test_one_that_hangs_writes_where_before_it_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    async with supervised("greeter", "deaf", limit=4) as watched:
        assert (await watched.until("worker.hung"))["worker"] == 2
        assert (await watched.until("worker.killed"))["worker"] == 2
        assert (await watched.until("worker.exited"))["status"] == -signal.SIGKILL
        await watched.until("worker.available", 3)
    assert "in _hang" in capfd.readouterr().err


async def test_one_that_is_busy_is_left_alone_and_connections_wait_for_it_when_it_is_alone() -> None:
    async with supervised("busy", limit=4) as watched:
        await watched.until("worker.unresponsive")
        assert await watched.greeting() == b"1\n"
        assert watched.logged("worker.recovered")
        await watched.until("worker.unresponsive", 2)
        assert not watched.logged("worker.killed")
        assert not watched.logged("worker.exited")


async def test_one_that_was_told_to_stop_is_not_expected_to_answer() -> None:
    async with supervised("greeter", "lingering", limit=2, drain=20) as watched:
        await watched.until("worker.available", 2)
        await asyncio.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(watched.running, 20)
        assert asyncio.get_running_loop().time() - began >= LINGERING_SECONDS
        assert not watched.logged("worker.hung")
        assert not watched.logged("worker.killed")
