"""Many uploads side by side take about as long as few with the same bytes, and no more memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from s3sftp.backends import Buffer, Session, Upload
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from testbed.packets import CREAT, TRUNC, W
from testbed.raw_client import RawSftpClient
from tests.sftp.session_server import serving

pytestmark = pytest.mark.alone

KIB, MIB = 1 << 10, 1 << 20
BLOCK = 32 * KIB
CHUNK = MIB
BUFFER = 32 * MIB
"""An eighth of the defaults, as `CHUNK` is of theirs."""


class Distant(MemoryBackend):
    """Storing a chunk takes a moment."""

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await super().write_chunk(upload, data, session)
        await asyncio.sleep(0.05)


async def seconds_of(uploads: int, total: int) -> float:
    """What so many uploads take that have so many bytes together."""
    files = FileOptions(buffer_bytes=BUFFER)
    backend = Distant(chunk_bytes=CHUNK, parallel_chunks=4)
    async with serving(backend, files=files) as server, AsyncExitStack() as staying:
        clients = [await staying.enter_async_context(server.client(f"user{n}")) for n in range(uploads)]
        began = time.monotonic()
        await asyncio.gather(*(upload(client, total // uploads) for client in clients))
        taken = time.monotonic() - began
        assert server.volume.budget.peak <= BUFFER + CHUNK
    assert {len(each.data) for each in backend.objects.values()} == {total // uploads}
    return taken


async def upload(client: RawSftpClient, size: int) -> None:
    handle = await client.open(b"/f", W | CREAT | TRUNC)
    for start in range(0, size, 16 * BLOCK):
        writes = [
            client.sending_write(handle, at, bytes(min(BLOCK, size - at)))
            for at in range(start, min(start + 16 * BLOCK, size), BLOCK)
        ]
        await asyncio.gather(*writes)
    await client.close(handle)


async def test_eighty_uploads_take_little_longer_than_eight_with_the_same_bytes() -> None:
    total, seen = 120 * MIB, []
    for _ in range(4):  # what else the machine does may be in the way of one, but not of each
        few = await seconds_of(8, total)
        many = await seconds_of(80, total)
        if many < 2.5 * few:
            return
        seen.append(f"{many:.1f} s instead of {few:.1f} s")
    pytest.fail(", ".join(seen))
