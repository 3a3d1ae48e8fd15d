"""A transfer that moves, however slowly, is never idle; a session in which nothing moves is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.sftp import SftpOptions
from testbed.packets import CREAT, READ, TRUNC, WRITE, R, W, packet, string, u32, u64
from tests.sftp.session_server import serving

pytestmark = pytest.mark.slow

KIB = 1 << 10
OPTIONS = SftpOptions(idle_timeout=timedelta(seconds=1))
TIMES = 12
PAUSE = 0.25
"""Each transfer takes three times as long as a session may be idle."""


async def test_a_write_that_arrives_byte_by_byte_is_not_idle() -> None:
    backend = MemoryBackend()
    async with serving(backend, sftp=OPTIONS) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        data = bytes(range(200))
        whole = packet(WRITE, string(handle) + u64(0) + string(data), 1000)
        client.send(whole[:-TIMES])
        for byte in whole[-TIMES:]:
            await asyncio.sleep(PAUSE)
            client.send(bytes([byte]))
        await client.close(handle)
        assert bytes(backend.objects[b"f"].data) == data
        await asyncio.wait_for(client.ended(), 30)


async def test_an_upload_that_pauses_between_writes_is_not_idle() -> None:
    backend = MemoryBackend()
    async with serving(backend, sftp=OPTIONS) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        for number in range(TIMES):
            await client.write(handle, number, b"x")
            await asyncio.sleep(PAUSE)
        await client.close(handle)
        assert bytes(backend.objects[b"f"].data) == b"x" * TIMES


async def test_a_download_that_the_client_takes_slowly_is_not_idle() -> None:
    data = bytes(4 << 20)
    async with serving(MemoryBackend({"f": data}), sftp=OPTIONS) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        channel = client.process.channel
        channel.pause_reading()
        reads = [
            client.request(READ, string(handle) + u64(at) + u32(128 * KIB))
            for at in range(0, len(data), 128 * KIB)
        ]
        await asyncio.sleep(TIMES * PAUSE)  # answers wait, so the session is not idle
        channel.resume_reading()
        assert sum([len((await each).body) - 4 for each in reads]) == len(data)
        await client.close(handle)
