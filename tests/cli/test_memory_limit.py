"""A server that gets no more memory still ends as it should when it is told to."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import asyncssh
import pytest

from testbed.s3_store import Store
from tests.support.server import Server


def memory_bytes(pid: int) -> int:
    """Address space."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize:"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("room", [0, 4 << 20, 24 << 20], ids=["nothing more", "no thread", "two threads"])
async def test_sigterm_under_a_memory_limit_ends_in_order(
    workers: int, room: int, seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    server = Server(tmp_path / "server", seaweed, bucket, {"server": {"workers": workers}})
    try:
        await server.astart()
        await server.until(lambda: bool(server.events("server.started")), "the server to be started")
        async with asyncssh.connect(
            server.host,
            server.port,
            username=server.user,
            client_keys=[str(server.key_file)],
            known_hosts=None,
            config=None,
        ) as connection:
            sftp = await connection.start_sftp_client()
            async with sftp.open("/x", "wb") as file:
                await file.write(b"x" * 100)
            assert server.process is not None
            for pid in (
                server.process.pid,
                *(event["pid"] for event in server.events("worker.started")),
            ):
                hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]
                resource.prlimit(pid, resource.RLIMIT_AS, (memory_bytes(pid) + room, hard))
            server.terminate()
            await asyncio.sleep(0.5)
        assert await server.ended() == 0
        assert "Traceback" not in server.output()
        assert server.count("server.stopped") == 1
        assert server.count("worker.stopped") == (0 if workers == 1 else workers)
    finally:
        server.close()
