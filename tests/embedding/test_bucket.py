"""The product, embedded: a bucket behind a server inside the process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from s3sftp import Committed
from s3sftp.backends.s3 import S3Backend
from testbed.s3_store import Store
from tests.backends.s3.conftest import options_for
from tests.embedding.password_clients import openssh, server_of, write
from tests.support.s3_client import S3

SIZE = 20_000_000
"""Several parts."""


async def test_a_file_is_in_the_bucket_when_its_commit_is_told(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    told: asyncio.Queue[tuple[Committed, bytes]] = asyncio.Queue()

    async def look(file: Committed) -> None:
        await told.put((file, await s3.body(f"tenant/{file.place.key.decode()}")))

    data = bytes(range(256)) * (SIZE // 256)
    local, back = write(tmp_path / "local", data), tmp_path / "back"
    backend = S3Backend(options_for(store, bucket), tmp_path / "state")
    async with server_of(backend, on_committed=look) as server:
        done = await openssh(server.port, "mkdir in", f"put {local} in/file", f"get in/file {back}")
        file, stored = await asyncio.wait_for(told.get(), 20)
    assert done.status == 0, done.text
    assert (file.path, file.size, file.session.user) == ("/in/file", len(data), "alice")
    assert stored == data == back.read_bytes()
    assert file.version == (await s3.head("tenant/in/file"))["ETag"]
