"""A server that has no file descriptors left: it says so once, waits, serves who is there, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from s3sftp.app.descriptor_limit import ensure_descriptors
from s3sftp.app.options import ServerOptions
from s3sftp.ssh import file_descriptors
from testbed.processes import Process
from testbed.s3_store import Store
from tests.support.logs import capture_events
from tests.support.server import Server


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
async def server(
    request: pytest.FixtureRequest, seaweed: Store, bucket: str, tmp_path: Path
) -> AsyncIterator[Server]:
    options = {"server": {"workers": request.param}, "log": {"level": "info"}}
    running = Server(tmp_path / "server", seaweed, bucket, options)
    try:
        await running.astart()
        await running.until(lambda: bool(running.events("server.started")), "the server to be started")
        yield running
        assert "Traceback" not in running.output()
    finally:
        running.close()


def processes(server: Server) -> list[int]:
    """The server's, and its workers'."""
    assert server.process is not None
    return [server.process.pid, *(event["pid"] for event in server.events("worker.started"))]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def connect(server: Server) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        client_keys=[str(server.key_file)],
        known_hosts=str(server.known_hosts),
        config=None,
        login_timeout=60,
    )


def knock(server: Server) -> socket.socket:
    """A connection that says nothing, whether it is accepted or not."""
    sock = socket.socket()
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect((server.host, server.port))
    return sock


async def test_out_of_descriptors_it_says_so_once_serves_who_is_there_and_goes_on(server: Server) -> None:
    async with await connect(server) as connection, connection.start_sftp_client() as sftp:
        for pid in processes(server):
            limit = 2 * (len(os.listdir(f"/proc/{pid}/fd")) + 8)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        written = len(server.output())
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(knock(server))
            await asyncio.sleep(1)
            taken: list[float] = []  # a moment may have something else to do; spinning would be in each
            while not taken or (taken[-1] >= 0.5 and len(taken) < 4):
                used = sum(map(cpu_seconds, processes(server)))
                await asyncio.sleep(2)
                taken.append(sum(map(cpu_seconds, processes(server))) - used)
            assert taken[-1] < 0.5, f"it tries again and again: {taken}"
            async with asyncio.timeout(30):
                for number in range(3):
                    async with sftp.open(f"/{number}", "wb") as file:
                        await file.write(b"x" * 6_000_000)
                    async with sftp.open(f"/{number}", "rb") as file:
                        assert len(await file.read()) == 6_000_000
            await server.until(lambda: server.count("listener.paused") > 0, "it to be told")
            assert server.count("listener.paused") == 1
            assert len(server.output()) - written < 50_000
        async with asyncio.timeout(60):
            async with await connect(server) as another, another.start_sftp_client() as beside:
                assert sorted(await beside.listdir("/"))[-3:] == ["0", "1", "2"]


async def test_with_none_left_at_all_it_neither_spins_nor_floods_the_log(server: Server) -> None:
    async with await connect(server) as connection, connection.start_sftp_client() as sftp:
        before = {}
        for pid in processes(server):
            before[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, before[pid][1]))
        written = len(server.output())
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(knock(server))
            await asyncio.sleep(0.5)
            used = sum(map(cpu_seconds, processes(server)))
            async with asyncio.timeout(60):  # whatever needs a descriptor may fail, what needs none works
                with contextlib.suppress(asyncssh.SFTPError):
                    await sftp.listdir("/")
                assert await sftp.realpath("/x") == "/x"
            await asyncio.sleep(2)
            assert sum(map(cpu_seconds, processes(server))) - used < 1.5
            assert len(server.output()) - written < 100_000
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        async with asyncio.timeout(60):
            async with await connect(server) as another, another.start_sftp_client() as beside:
                await beside.listdir("/")
            assert await sftp.listdir("/") is not None


@pytest.mark.parametrize("workers", [1, 2])
async def test_at_the_start_the_limit_is_raised_and_too_low_a_one_is_told_with_numbers(
    workers: int, seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    options = {"server": {"workers": workers}, "ssh": {"max_connections": 1000}}
    server = Server(tmp_path / "server", seaweed, bucket, options)
    limited = ["sh", "-c", 'ulimit -Sn 100; ulimit -Hn 300; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-m", "s3sftp", "serve", "--config", str(server.config_file)]
    server.process = Process(command, tmp_path / "log")
    try:
        await server.until(lambda: bool(server.events("server.started")), "the server to be started")
        for pid in processes(server):
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (300, 300)
        (told,) = server.events("server.too_few_descriptors")
        share = 200 // workers
        assert told["limit"] == 300
        assert told["needed"] == 1000 // workers + share + 64
        assert f"ssh.max_connections to {(300 - share - 64) * workers} or less" in told["detail"]
    finally:
        server.close()


@pytest.mark.parametrize("limit", [64, 128])
def test_where_hardly_a_connection_would_fit_the_limit_of_open_files_alone_is_to_be_raised(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_descriptors, "raise_limit", lambda: limit)
    with capture_events() as events:
        ensure_descriptors(ServerOptions.model_validate({"s3": {"bucket": "b"}}), 1)
    (told,) = events
    assert f"to {told['needed']} or more" in told["detail"]
    assert "max_connections" not in told["detail"]
