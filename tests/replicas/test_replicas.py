"""Two servers on one bucket that know nothing of each other: what docs/scale.md says of replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.packets import CREAT, EXCL, FAILURE, TRUNC, R, Refused, W
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from tests.limits.operations import connect
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

LONG = {"s3": {"cache_ttl": "10 min"}}
"""So long that what is believed is believed to the end of the test."""
SHORT = {"s3": {"cache_ttl": "0.5 s"}}


@dataclass
class Replicas:
    """A client on each of two servers."""

    one: RawSftpClient
    other: RawSftpClient
    first: Server


@pytest.fixture
async def replicas(
    store: Store, bucket: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Replicas]:
    servers = [Server(tmp_path / name, store, bucket, request.param) for name in ("one", "other")]
    try:
        await asyncio.gather(*(server.astart() for server in servers))
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(wire(await stack.enter_async_context(await connect(server))))
                for server in servers
            ]
            yield Replicas(*clients, servers[0])
    finally:
        for server in servers:
            await asyncio.to_thread(server.close)


async def _code(answer: object) -> int:
    with pytest.raises(Refused) as refused:
        await answer  # type: ignore[misc]
    return refused.value.code


@pytest.mark.parametrize("replicas", [SHORT], indirect=True)
async def test_what_a_session_has_listed_is_believed_for_the_time_of_the_cache(
    replicas: Replicas,
) -> None:
    await replicas.one.put(b"/file", b"old")
    assert set(await replicas.other.list(b"/")) == {b"file"}
    await replicas.one.put(b"/file", b"newer")
    await asyncio.sleep(0.6)  # what is waited for is the time itself
    assert (await replicas.other.stat(b"/file")).size == 5


@pytest.mark.parametrize("replicas", [LONG], indirect=True)
async def test_a_file_that_another_replica_replaces_while_it_is_open_is_an_error_and_then_the_new_one(
    replicas: Replicas,
) -> None:
    old, new = bytes(3 << 20), b"new" * (1 << 20)
    await replicas.one.put(b"/file", old)
    handle = await replicas.other.open(b"/file", R)
    assert await replicas.other.read(handle, 0, 1000) == old[:1000]
    await replicas.one.put(b"/file", new)
    assert await _code(replicas.other.read(handle, 2 << 20, 1000)) == FAILURE
    assert await replicas.other.get(b"/file") == new


@pytest.mark.parametrize("replicas", [LONG], indirect=True)
async def test_of_two_exclusive_uploads_at_two_replicas_one_is_refused(replicas: Replicas) -> None:
    handles = [await each.open(b"/only", W | CREAT | EXCL) for each in (replicas.one, replicas.other)]
    await replicas.one.write(handles[0], 0, b"first")
    await replicas.other.write(handles[1], 0, b"second")
    await replicas.one.close(handles[0])
    assert await _code(replicas.other.close(handles[1])) == FAILURE
    assert await replicas.one.get(b"/only") == b"first"


@pytest.mark.parametrize("replicas", [SHORT], indirect=True)
async def test_a_replica_that_dies_in_mid_upload_leaves_the_old_file_and_another_takes_the_new_one(
    replicas: Replicas, s3: S3
) -> None:
    await replicas.one.put(b"/file", b"old")
    handle = await replicas.one.open(b"/file", W | CREAT | TRUNC)
    for at in range(0, 2 * PART_BYTES, 1 << 17):
        await replicas.one.write(handle, at, bytes(1 << 17))
    async with asyncio.timeout(30):
        while not await s3.multipart_uploads():
            await asyncio.sleep(0.05)
    await asyncio.to_thread(replicas.first.kill)
    assert await replicas.other.get(b"/file") == b"old"
    await replicas.other.put(b"/file", b"new, from the beginning")
    assert await s3.body(replicas.first.prefix + "file") == b"new, from the beginning"
