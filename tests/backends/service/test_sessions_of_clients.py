"""Clients of a server whose storage is a service: what they see of it, and what it sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from s3sftp import Server
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.service import Mailbox, callbacks_of, serve
from tests.backends.partial_backends import STREAMING, with_only
from tests.backends.service.service_processes import behind, served, short_directory
from tests.backends.service.test_calls import Odd, ended, happens, until
from tests.embedding.password_clients import connect, openssh, server_of, write


@pytest.fixture
def path() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory / "socket"


async def test_one_slow_call_does_not_hold_up_others_of_the_session(path: Path) -> None:
    storage = Odd()
    storage.put("file", b"content")
    async with served(path, storage), server_of(behind(path)) as server:
        async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
            slow = asyncio.create_task(sftp.stat("slow"))
            await happens(storage.asked)
            async with asyncio.timeout(20):
                assert (await sftp.stat("file")).size == 7
                assert await sftp.listdir(".") == [".", "..", "file"]
            connection.abort()  # else the session waits for its last answer
            await asyncio.gather(slow, return_exceptions=True)


async def test_a_client_that_leaves_takes_its_calls_and_its_uploads_along(path: Path) -> None:
    storage = Odd()
    async with served(path, storage), server_of(behind(path)) as server:
        connection = await connect(server.port)
        sftp = await connection.start_sftp_client()
        file = await sftp.open("file", "wb")
        await file.write(b"12345678")
        slow = asyncio.create_task(sftp.stat("slow"))
        await happens(storage.asked)
        assert storage.open_uploads == 1
        connection.abort()
        await happens(storage.cancelled)
        await until(lambda: storage.open_uploads == 0)
        await asyncio.gather(slow, return_exceptions=True)
        assert storage.objects == {}


async def test_a_server_is_not_ready_while_its_service_is_away_and_serves_again_when_it_is_back(
    path: Path,
) -> None:
    async with server_of(behind(path)) as server:
        assert not server.ready
        async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPFailure, match="storage service is not there"):
                await sftp.stat("file")
            async with served(path, Odd()):
                await until_ready(server)
                assert await sftp.listdir(".") == [".", ".."]


async def test_a_server_that_is_started_again_finds_its_service_again(path: Path) -> None:
    storage = MemoryBackend({"file": b"content"})
    server = server_of(behind(path))
    for _ in range(2):
        async with server:
            for _ in range(2):
                async with served(path, storage):
                    await until_ready(server)
                    async with await connect(server.port) as connection:
                        async with connection.start_sftp_client() as sftp, sftp.open("file", "rb") as file:
                            assert await file.read() == b"content"
        assert not server.ready


@pytest.mark.parametrize("optional", [(), STREAMING], ids=["whole files", "streaming"])
async def test_openssh_works_on_a_service_in_a_task_of_the_application(
    optional: tuple[str, ...], tmp_path: Path
) -> None:
    storage = with_only(MemoryBackend(), *optional)
    mailbox = Mailbox(callbacks_of(storage))
    task = asyncio.create_task(serve(mailbox, storage))
    local, back = write(tmp_path / "local", bytes(range(256)) * 50_000), tmp_path / "back"
    async with server_of(mailbox.backend()) as server:
        done = await openssh(server.port, "mkdir d", f"put {local} d/file", f"get d/file {back}", "rm d/file")
    assert done.status == 0, done.text
    assert back.read_bytes() == local.read_bytes()
    await ended(task)


async def until_ready(server: Server) -> None:
    async with asyncio.timeout(20):
        while not server.ready:
            await asyncio.sleep(0.01)
