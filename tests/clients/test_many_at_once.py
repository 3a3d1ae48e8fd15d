"""Real clients that come by the dozen from one address, as batch hosts and transfer programs do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from testbed.s3_store import Store
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.server import Server


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
async def many(
    request: pytest.FixtureRequest, seaweed: Store, bucket: str, tmp_path: Path
) -> AsyncIterator[Server]:
    """A server with the limits that everybody has."""
    server = Server(tmp_path / "server", seaweed, bucket, {"server": {"workers": request.param}})
    try:
        await server.astart()
        yield server
        assert "Traceback" not in server.output()
    finally:
        server.close()


@contextlib.contextmanager
def silent_sockets(server: Server, count: int) -> Iterator[None]:
    """Connections of the same address that never say anything."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect((server.host, server.port))
        yield


async def failures(server: Server, home: Path, count: int, at_once: int) -> list[str]:
    """What those of so many `sftp` said that did not get in."""
    clients, turns = Clients(server, home), asyncio.Semaphore(at_once)

    async def log_in() -> str:
        async with turns:
            result = await clients.sftp("pwd", timeout=120)
            return result.text if result.status else ""

    return [said for said in await asyncio.gather(*(log_in() for _ in range(count))) if said]


@pytest.mark.parametrize(("count", "at_once"), [(100, 16), (100, 40)])
async def test_openssh_sftp_started_side_by_side_all_get_in(
    many: Server, tmp_path: Path, count: int, at_once: int
) -> None:
    assert await failures(many, tmp_path / "home", count, at_once) == []
    assert many.count("connection.refused") == 0


async def test_they_get_in_beside_400_silent_sockets_of_one_address(many: Server, tmp_path: Path) -> None:
    with silent_sockets(many, 400):
        assert await failures(many, tmp_path / "home", 60, 40) == []


async def test_rclone_moves_64_files_at_once(many: Server, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    here.mkdir()
    for number in range(128):
        (here / f"{number}").write_bytes(bytes(1000 + number))
    clients, program = Clients(many, tmp_path / "home"), installed("rclone")
    words = ("--transfers", "64", "--checkers", "64", "--retries", "1", "--low-level-retries", "1")
    (await clients.rclone("copy", str(here), "alice:/", *words, program=program, timeout=120)).ok()
    (await clients.rclone("copy", "alice:/", str(back), *words, program=program, timeout=120)).ok()
    assert {file.name: file.stat().st_size for file in back.iterdir()} == {
        str(number): 1000 + number for number in range(128)
    }


async def test_one_user_may_have_200_idle_sessions_and_others_log_in_beside_them(many: Server) -> None:
    async def connect() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            many.host,
            many.port,
            username=many.user,
            client_keys=[str(many.key_file)],
            known_hosts=str(many.known_hosts),
            config=None,
        )

    connections = await asyncio.gather(*(connect() for _ in range(200)))
    try:
        sessions = await asyncio.gather(*(each.start_sftp_client() for each in connections))
        assert await sessions[-1].realpath(".") == "/"
    finally:
        for each in connections:
            each.abort()
        await asyncio.gather(*(each.wait_closed() for each in connections), return_exceptions=True)
