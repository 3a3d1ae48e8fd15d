"""Silent is not gone: who only does not answer stays as long as an idle session, who is gone does not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.ssh import asyncssh_internals
from tests.ssh.listener_harness import ListenerHarness, listener_harness
from tests.support.commands import installed, run

pytestmark = pytest.mark.slow

EAGER = {"keepalive_interval": 0.05, "keepalive_count": 2}
HERE = Path(__file__).resolve().parent


class Questions:
    """Counts the keepalives of a server."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        send = asyncssh_internals.send_keepalive

        def counted(conn: Any) -> None:
            self.count += 1
            send(conn)

        patch.setattr(asyncssh_internals, "send_keepalive", counted)

    async def come(self, count: int) -> None:
        """Wait until so many more have been asked."""
        until = self.count + count
        async with asyncio.timeout(20):
            while self.count < until:
                await asyncio.sleep(0.01)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Questions:
    return Questions(monkeypatch)


@asynccontextmanager
async def silent(connection: asyncssh.SSHClientConnection) -> AsyncIterator[None]:
    """The client's program does something else meanwhile: it neither reads nor answers."""
    transport: Any = connection._transport
    transport.pause_reading()
    yield
    transport.resume_reading()


@pytest.mark.parametrize("idle_timeout", [1800, 0], ids=["long", "never"])
async def test_an_upload_that_is_paused_goes_on_after_any_number_of_unanswered_keepalives(
    idle_timeout: float, questions: Questions
) -> None:
    async with listener_harness(ssh=EAGER, sftp={"idle_timeout": idle_timeout}) as harness:
        async with await harness.connect() as connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/slow", "wb") as file:
                await file.write(b"first")
                async with silent(connection):
                    await questions.come(20)
                await file.write(b"second")
            assert harness.storage.contents() == {"alice/slow": b"firstsecond"}


async def test_a_client_that_is_silent_for_as_long_as_a_session_may_be_idle_is_let_go() -> None:
    """The session ends as idle; that the client does not close its side of it holds nothing up."""
    async with listener_harness(ssh=EAGER, sftp={"idle_timeout": 0.5}) as harness:
        async with await harness.connect() as connection:
            await connection.start_sftp_client()
            async with silent(connection):
                await harness.empties()
    assert [event["reason"] for event in harness.logged("session.ended")] == ["idle"]
    (aborted,) = harness.logged("connection.aborted")
    assert aborted["reason"] == "keepalives are not answered"


async def test_a_client_that_answers_is_asked_for_ever(questions: Questions) -> None:
    async with listener_harness(ssh=EAGER, sftp={"idle_timeout": 1}) as harness:
        async with await harness.connect():
            await questions.come(50)
            assert harness.listener.connections == 1


async def test_keepalives_do_not_pile_up_for_a_client_that_takes_nothing(questions: Questions) -> None:
    async with listener_harness(ssh=EAGER) as harness, await harness.connect() as connection:
        async with silent(connection):
            (served,) = harness.listener._shared.connections
            transport = served._open_conn._transport
            assert transport is not None
            stuff(transport)
            waiting = transport.get_write_buffer_size()
            await questions.come(20)
            assert transport.get_write_buffer_size() <= waiting


def stuff(transport: asyncio.WriteTransport) -> None:
    """Fill the socket, and some more; what the client would make of it does not matter any more."""
    while not transport.get_write_buffer_size():
        transport.write(bytes(1 << 20))


async def reads_late(harness: ListenerHarness, seconds: float) -> int:
    """Ask for megabytes, take none of them for a while, then all; how many bytes came."""
    size = 4 << 20
    harness.storage.put("alice/big", b"x" * size)
    async with await harness.connect() as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/big", "rb") as file:
            # else the client's kernel takes all of it
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            async with silent(connection):
                reading = asyncio.create_task(file.read(size, 0))
                await asyncio.sleep(seconds)
            return len(await asyncio.wait_for(reading, 20))


async def test_a_client_that_reads_nothing_for_longer_than_tcp_waits_is_not_gone() -> None:
    """For Linux alone it would be: TCP_USER_TIMEOUT counts a window that is closed."""
    async with listener_harness(ssh={"tcp_timeout": 2}) as harness:
        assert await reads_late(harness, 7) == 4 << 20


@pytest.mark.parametrize("how", ["quiet", "data on its way"])
async def test_a_client_whose_machine_is_gone_is_noticed_by_tcp(how: str) -> None:
    """In a network of its own, whose only link is taken down."""
    command = [
        installed("unshare"), "-rn", sys.executable, "-m", "tests.ssh.vanishing_client", how,
    ]  # fmt: skip
    result = await run(command, {"PYTHONPATH": str(HERE.parents[1])})
    if b"unshare" in result.err and b"not permitted" in result.err and not os.environ.get("CI"):
        pytest.skip(f"GONE CLIENTS NOT TESTED: no network of one's own here ({result.text.strip()})")
    assert json.loads(result.ok().out) == ["[Errno 110] Connection timed out"]
