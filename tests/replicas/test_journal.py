"""Servers on one bucket with the journal in it: who is killed leaves nothing, who runs loses nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from testbed.packets import CREAT, TRUNC, Refused, W
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from tests.limits.operations import connect
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

OPTIONS = {
    "s3": {"journal": "bucket", "janitor_interval": "0.5 s", "janitor_min_age": "6 s"},
    "server": {"state_dir": None, "workers": 1},
}
"""Leases are renewed every 0.6 s: a machine under load may miss nine of ten."""
RESERVED = ".s3sftp/"


@asynccontextmanager
async def replicas(
    store: Store, bucket: str, directory: Path, *names: str
) -> AsyncIterator[list[tuple[Server, RawSftpClient]]]:
    """Each with a client."""
    servers = [Server(directory / name, store, bucket, OPTIONS) for name in names]
    try:
        await asyncio.gather(*(server.astart() for server in servers))
        async with AsyncExitStack() as stack:
            yield [
                (server, await stack.enter_async_context(wire(await stack.enter_async_context(connection))))
                for server in servers
                for connection in [await connect(server)]
            ]
    finally:
        for server in servers:
            if server.process is not None:
                server.process.send(signal.SIGCONT)
            await asyncio.to_thread(server.close)


async def half(client: RawSftpClient, name: bytes, s3: S3) -> bytes:
    """Write the first two parts of a file and wait until the store has begun the upload; the handle."""
    handle = await client.open(name, W | CREAT | TRUNC)
    for at in range(0, 2 * PART_BYTES, 1 << 17):
        await client.write(handle, at, bytes(1 << 17))
    while f"alice{name.decode()}" not in await unfinished(s3):
        await asyncio.sleep(0.05)
    return handle


async def unfinished(s3: S3) -> list[str]:
    return sorted(key for key, _ in await s3.multipart_uploads())


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_what_a_killed_replica_left_is_aborted_by_another_and_a_running_upload_goes_on(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(90),
        replicas(store, bucket, tmp_path, "killed", "running", "idle") as (killed, running, _),
    ):
        await half(killed[1], b"/left", s3)
        handle = await half(running[1], b"/long", s3)
        await asyncio.to_thread(killed[0].kill)
        while await unfinished(s3) != ["alice/long"]:
            await asyncio.sleep(0.2)
        await running[1].write(handle, 2 * PART_BYTES, b"end")
        await running[1].close(handle)
        assert (await running[1].stat(b"/long")).size == 2 * PART_BYTES + 3
        while await s3.keys(RESERVED):  # leases too
            await asyncio.sleep(0.2)
        assert await s3.keys() == ["alice/long"]


async def test_a_replica_that_was_stopped_for_longer_than_that_gets_an_error_at_close_and_then_works(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with asyncio.timeout(90), replicas(store, bucket, tmp_path, "stopped", "other") as (stopped, _):
        await s3.put("alice/file", b"old")
        handle = await half(stopped[1], b"/file", s3)
        process = stopped[0].process
        assert process is not None
        process.send(signal.SIGSTOP)
        while await unfinished(s3):
            await asyncio.sleep(0.2)
        process.send(signal.SIGCONT)
        with pytest.raises(Refused, match="Failure"):
            await stopped[1].write(handle, 2 * PART_BYTES, b"end")
            await stopped[1].close(handle)
        assert await s3.body("alice/file") == b"old"
        await stopped[1].put(b"/file", b"new")
        while await s3.keys(RESERVED):
            await asyncio.sleep(0.2)
        assert await s3.keys() == ["alice/file"]


async def test_a_replica_that_was_stopped_for_less_loses_nothing(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with asyncio.timeout(90), replicas(store, bucket, tmp_path, "stopped", "other") as (stopped, _):
        handle = await half(stopped[1], b"/file", s3)
        process = stopped[0].process
        assert process is not None
        process.send(signal.SIGSTOP)
        await asyncio.sleep(3)
        process.send(signal.SIGCONT)
        await asyncio.sleep(4)  # beyond what it might have been stopped for since its last sign
        await stopped[1].write(handle, 2 * PART_BYTES, b"end")
        await stopped[1].close(handle)
        assert len(await s3.body("alice/file")) == 2 * PART_BYTES + 3
