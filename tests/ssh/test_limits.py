"""Limits after login: they stop the one who reaches them, with words, and nobody else."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncssh
import pytest

from s3sftp.ssh.admission import Refusal
from s3sftp.ssh.admission_gate import LocalAdmittedConnection
from tests.ssh.listener_harness import listener_harness


async def open_sessions(connection: asyncssh.SSHClientConnection, count: int) -> list[BaseException | None]:
    """Ask for sessions all at once; what each ended with."""
    answers = await asyncio.gather(
        *(connection.open_session(subsystem="sftp", encoding=None) for _ in range(count)),
        return_exceptions=True,
    )
    return [answer if isinstance(answer, BaseException) else None for answer in answers]


async def test_a_connection_has_so_many_sessions_and_no_more_and_closing_one_makes_room() -> None:
    async with listener_harness(ssh={"max_sessions_per_connection": 3}) as harness:
        async with await harness.connect() as connection:
            refusals = [answer for answer in await open_sessions(connection, 300) if answer is not None]
            assert len(refusals) == 297
            assert all("too many sessions" in str(refusal) for refusal in refusals)
            assert len(harness.sessions) == 3
            await harness.sessions[0].end("test")
            async with asyncio.timeout(20):
                while await open_sessions(connection, 1) != [None]:
                    await asyncio.sleep(0.02)


class HeldAnswer:
    """The gate's answer to a login stays out until it is let go, as where a worker has to ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = asyncio.Event()
        self._tasks: list[asyncio.Task[Refusal | None]] = []
        at_once = LocalAdmittedConnection.log_in

        async def held(admitted: LocalAdmittedConnection, user: str, name: str) -> Refusal | None:
            await self.let_go.wait()
            return await at_once(admitted, user, name)

        def log_in(admitted: LocalAdmittedConnection, user: str, name: str) -> asyncio.Future[Refusal | None]:
            self._tasks.append(asyncio.create_task(held(admitted, user, name)))
            return self._tasks[-1]

        monkeypatch.setattr(LocalAdmittedConnection, "log_in", log_in)


async def test_sessions_asked_for_before_the_login_is_counted_are_no_more_than_a_connection_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = HeldAnswer(monkeypatch)
    async with listener_harness(ssh={"max_sessions_per_connection": 3}) as harness:
        async with await harness.connect() as connection:
            opening = asyncio.create_task(open_sessions(connection, 30))
            async with asyncio.timeout(20):
                while not harness.logged("connection.request_refused"):
                    await asyncio.sleep(0.01)
            assert not harness.sessions
            answer.let_go.set()
            refusals = [refusal for refusal in await opening if refusal is not None]
            assert len(refusals) == 27
            assert all("too many sessions" in str(refusal) for refusal in refusals)
            assert len(harness.sessions) == 3
            await harness.sessions[0].end("test")
            async with asyncio.timeout(20):
                while await open_sessions(connection, 1) != [None]:
                    await asyncio.sleep(0.02)


async def test_a_session_asked_for_before_the_server_was_told_to_stop_is_not_opened_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = HeldAnswer(monkeypatch)
    async with listener_harness(ssh={"max_sessions_per_connection": 1}) as harness:
        async with await harness.connect() as connection:
            opening = asyncio.create_task(open_sessions(connection, 2))
            async with asyncio.timeout(20):
                while not harness.logged(
                    "connection.request_refused"
                ):  # of the second, so the first has come
                    await asyncio.sleep(0.01)
            await harness.listener.stop_accepting()
            answer.let_go.set()
            assert "the server is stopping" in str((await opening)[0])
            assert not harness.sessions


async def test_a_login_is_logged_although_the_client_leaves_before_it_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = HeldAnswer(monkeypatch)
    async with listener_harness() as harness:
        async with await harness.connect():
            pass
        async with asyncio.timeout(20):
            while not harness.logged("connection.closed"):
                await asyncio.sleep(0.01)
        assert len(harness.logged("login.accepted")) == 1
        answer.let_go.set()


async def test_a_user_has_so_many_connections_and_others_are_unaffected() -> None:
    async with listener_harness(ssh={"max_connections_per_user": 3}) as harness:
        connections = [await harness.connect() for _ in range(3)]
        lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        class Listening(asyncssh.SSHClient):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.set_result(exc)

        (await harness.connect(client_factory=Listening)).set_keepalive(0)
        assert "too many connections of this user" in str(await asyncio.wait_for(lost, 20))
        (await harness.connect("bob")).close()
        connections.pop().close()
        async with asyncio.timeout(20):
            while harness.listener.connections > 2:
                await asyncio.sleep(0.01)
        async with await harness.connect() as connection:
            assert await open_sessions(connection, 1) == [None]
        for connection in connections:
            connection.close()


async def test_the_server_has_so_many_connections() -> None:
    async with listener_harness(ssh={"max_connections": 2}) as harness:
        connections = [await harness.connect() for _ in range(2)]
        with pytest.raises((asyncssh.DisconnectError, ConnectionError)):
            await harness.connect()
        assert harness.logged("connection.refused")[0]["reason"] == "too many connections"
        for connection in connections:
            connection.close()


@pytest.mark.slow
async def test_a_connection_without_a_session_is_closed_after_a_while_and_one_with_a_session_is_not() -> None:
    async with listener_harness(ssh={"idle_connection": 2}) as harness:
        idle, used = await harness.connect(), await harness.connect("bob")
        async with used.start_sftp_client() as sftp:
            await asyncio.wait_for(idle.wait_closed(), 20)
            await asyncio.sleep(2.2)
            assert await sftp.exists("/")
        await asyncio.wait_for(used.wait_closed(), 20)


async def test_sessions_hear_when_the_socket_is_full_and_when_it_is_not() -> None:
    """Without that a client that stops reading would make the server hold whatever it has asked for."""
    size, sessions = 4 << 20, 9  # together more than the kernel takes on the server's side
    async with listener_harness() as harness:
        harness.storage.put("alice/big", b"x" * size)
        async with await harness.connect() as connection:
            clients = [await connection.start_sftp_client() for _ in range(sessions)]
            files = [await client.open("/big", "rb") for client in clients]
            heard: list[str] = []
            hear(harness.sessions[0], heard)
            # else the kernel takes all of it on the client's side
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            transport: Any = connection._transport
            transport.pause_reading()
            reading = [asyncio.create_task(file.read(size, 0)) for file in files]  # asks for no size first
            async with asyncio.timeout(20):
                while "paused" not in heard:
                    await asyncio.sleep(0.01)
            transport.resume_reading()
            assert [len(data) for data in await asyncio.wait_for(asyncio.gather(*reading), 60)] == [
                size
            ] * sessions
            assert heard[:2] == ["paused", "resumed"]


def hear(session: Any, heard: list[str]) -> None:
    """Note what the session is told about the socket."""
    paused, resumed = session.transport_paused, session.transport_resumed

    def on_paused() -> None:
        heard.append("paused")
        paused()

    def on_resumed() -> None:
        heard.append("resumed")
        resumed()

    session.transport_paused, session.transport_resumed = on_paused, on_resumed
