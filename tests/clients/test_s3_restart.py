"""A real S3 server that is killed and started again while files are coming in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.s3_store import new_bucket_name
from testbed.seaweed import SeaweedFS
from tests.clients.conftest import QUICK
from tests.support.client_workspace import content
from tests.support.clients import Clients
from tests.support.s3_client import s3_client
from tests.support.server import PART_BYTES, Server

CLIENTS, FILES, SIZE = 3, 12, PART_BYTES + 1000


@pytest.mark.timeout(240)
async def test_an_s3_that_restarts_under_load_has_whole_files_and_none_that_was_not_said_to_fail(
    tmp_path: Path,
) -> None:
    store_directory = tmp_path / "store"
    store_directory.mkdir()
    weed = SeaweedFS(store_directory)
    await asyncio.to_thread(weed.__enter__)
    bucket = new_bucket_name()
    server = Server(tmp_path / "server", weed.store, bucket, QUICK)
    try:
        await asyncio.to_thread(weed.store.make_bucket, bucket)
        await server.astart()
        clients = Clients(server, tmp_path)
        sources = [tmp_path / f"f{number}" for number in range(FILES)]
        for number, source in enumerate(sources):
            source.write_bytes(content(SIZE, number))

        async def put_all(name: int) -> set[int]:
            """The files that this client was told are stored."""
            told = set()
            for number, source in enumerate(sources):
                if (await clients.sftp(f"put {source} c{name}-f{number}", timeout=90)).status == 0:
                    told.add(number)
            return told

        async def restart() -> None:
            await asyncio.sleep(2)
            await asyncio.to_thread(weed.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(weed.start)

        *told, _ = await asyncio.gather(*(put_all(name) for name in range(CLIENTS)), restart())
        async with s3_client(weed.store, bucket) as s3:
            found = {key: await s3.body(key) for key in await s3.keys(server.prefix)}
        for key, body in found.items():
            assert body == content(SIZE, int(key.rpartition("-f")[2])), f"{key} is not whole"
        for name, numbers in enumerate(told):
            assert {f"{server.prefix}c{name}-f{number}" for number in numbers} <= set(found)
        assert sum(map(len, told)) > 0
    finally:
        await asyncio.to_thread(server.close)
        await asyncio.to_thread(weed.kill)
