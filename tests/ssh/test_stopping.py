"""Stopping: no one new, idle sessions end at once, transfers may finish, the rest is cut off."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from s3sftp.auth import AuthOptions, ConfiguredUsers, read_logins
from s3sftp.backends import FileInfo, Finish, Session, Upload
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from s3sftp.ssh import CannotListen, Listener, ListenOptions, SshOptions
from s3sftp.ssh import listener as listener_module
from s3sftp.ssh import sessions as sessions_module
from tests.ssh.listener_harness import HOST_KEY, USERS, closed_by_server, listener_harness

pytestmark = pytest.mark.slow


async def test_a_port_in_use_is_told_by_name() -> None:
    async with listener_harness() as harness:
        users = ConfiguredUsers(read_logins(USERS).accounts, AuthOptions())
        second = Listener(
            ListenOptions(host="127.0.0.1", port=harness.port),
            SshOptions(),
            AuthOptions(),
            users,
            [HOST_KEY],
            lambda *_: None,  # type: ignore[arg-type, return-value]
        )
        with pytest.raises(CannotListen, match=f"127.0.0.1:{harness.port}: .*in use"):
            await second.start()
        users.close()


async def test_without_a_host_it_listens_on_one_port_of_every_address() -> None:
    users = ConfiguredUsers(read_logins(USERS).accounts, AuthOptions())
    listener = Listener(
        ListenOptions(port=0),
        SshOptions(),
        AuthOptions(),
        users,
        [HOST_KEY],
        lambda *_: None,  # type: ignore[arg-type, return-value]
    )
    await listener.start()
    for address in ("127.0.0.1", "::1"):
        reader, writer = await asyncio.open_connection(address, listener.port)
        assert (await reader.readline()).startswith(b"SSH-2.0-s3sftp")
        writer.close()
    await listener.stop()
    users.close()


async def test_those_who_have_not_logged_in_are_closed_first_and_nobody_new_comes_in() -> None:
    async with listener_harness() as harness:
        reader, writer = await harness.socket()
        await reader.readline()
        await harness.listener.stop_accepting()
        assert await closed_by_server(reader)
        with pytest.raises(ConnectionRefusedError):
            await harness.socket()
        writer.close()


async def test_a_running_transfer_may_finish_while_idle_sessions_end() -> None:
    async with listener_harness() as harness:
        busy, idle = await harness.connect(), await harness.connect("bob")
        upload = await busy.start_sftp_client()
        await idle.start_sftp_client()
        file = await upload.open("/report", "wb")
        await file.write(b"first half, ")
        draining = asyncio.create_task(drain(harness.listener, 20))
        await asyncio.wait_for(ended(idle), 20)
        assert not draining.done()
        await file.write(b"second half")
        await file.close()
        assert await draining is True
        assert harness.storage.objects[b"alice/report"].data == b"first half, second half"


async def drain(listener: Listener, limit: float) -> bool:
    await listener.stop_accepting()
    return await listener.drain(limit)


async def ended(connection: asyncssh.SSHClientConnection) -> None:
    """Wait until the connection has no session any more."""
    while connection._channels:
        await asyncio.sleep(0.01)


async def test_what_is_not_finished_in_time_is_cut_off_and_nothing_half_appears() -> None:
    async with listener_harness() as harness:
        connection = await harness.connect()
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/report", "wb")
        await file.write(b"half")
        assert await drain(harness.listener, 0.2) is False
        await harness.listener.stop()
        assert harness.listener.connections == 0
        assert not harness.storage.objects
        assert harness.storage.open_uploads == 0
        await asyncio.wait_for(connection.wait_closed(), 20)


async def test_a_close_that_has_arrived_is_answered_before_the_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions_module, "_END_SECONDS", 0.1)
    monkeypatch.setattr(listener_module, "_LEAVE_SECONDS", 0.1)
    storage = SlowToPublish()
    async with listener_harness(storage=storage) as harness:
        connection = await harness.connect()
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/report", "wb")
        await file.write(b"whole")
        closing = asyncio.create_task(file.close())
        await asyncio.wait_for(storage.publishing.wait(), 20)
        assert await drain(harness.listener, 0.1) is False
        stopping = asyncio.create_task(harness.listener.stop())
        await asyncio.sleep(1)  # much longer than sessions have to end that promised nothing
        assert not closing.done()
        storage.let_go.set()
        await asyncio.wait_for(closing, 20)
        await stopping
        assert harness.listener.connections == 0
        assert storage.contents() == {"alice/report": b"whole"}


class SlowToPublish(MemoryBackend):
    """Publishing waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.publishing = asyncio.Event()
        self.let_go = asyncio.Event()

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        self.publishing.set()
        await self.let_go.wait()
        return await super().finish_write(upload, tail, finish, session)


async def test_stopping_does_not_wait_for_clients_that_do_not_listen() -> None:
    async with listener_harness() as harness:
        connections = [await harness.connect() for _ in range(5)]
        for connection in connections:
            await connection.start_sftp_client()
            connection._transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(30):
            await harness.listener.stop()
        assert harness.listener.connections == 0
        for connection in connections:
            connection.abort()
