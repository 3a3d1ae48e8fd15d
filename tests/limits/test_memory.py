"""Memory is bounded by configuration, never by what clients send or do not take."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.packets import (
    CREAT,
    EXTENDED,
    EXTENDED_REPLY,
    NAME,
    READ,
    READDIR,
    STAT,
    TRUNC,
    R,
    W,
    string,
    u32,
    u64,
)
from testbed.processes import wait_until
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from testbed.synthetic_s3 import synthetic_s3
from tests.limits.operations import connect
from tests.support.fault_proxy import FaultProxy
from tests.support.server import Groups, Server

MIB = 1 << 20
SESSION_BYTES = 8 * MIB
"""What a session may need beside `files.buffer_bytes`: the channel's window of 2 MiB, the connection's own
buffers, requests that wait; and what the allocator keeps of all that between them."""


def resident(server: Server, line: str = "VmRSS") -> int:
    """Bytes of memory of the server's process: now (`VmRSS`) or at the most so far (`VmHWM`)."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith(f"{line}:"))) * 1024


def peak_begins_anew(server: Server) -> int:
    """Forget the most so far (`VmHWM`); the memory now."""
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return resident(server)


async def running(store: Store, bucket: str, directory: Path, options: Groups | None = None) -> Server:
    return await Server(directory, store, bucket, options).astart()


@pytest.fixture
async def warm(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that has served a request, so that all of its code is loaded."""
    server = await running(store, bucket, tmp_path / "server")
    try:
        async with await connect(server) as connection, wire(connection) as client:
            await client.put(b"/large", bytes(64 * MIB))
            await client.get(b"/large", block=65536)
        yield server
    finally:
        await asyncio.to_thread(server.close)


async def test_reads_of_a_client_that_never_reads_its_socket_grow_the_server_by_less_than_32_mib(
    warm: Server,
) -> None:
    connection = await connect(warm)
    # a window of 1 GiB: it is the socket that fills up, not the channel
    process = await connection.create_process(subsystem="sftp", encoding=None, window=1 << 30)
    client = RawSftpClient(connection, process)
    await client.init()
    handle = await client.open(b"/large", R)
    before = resident(warm)
    connection._transport.pause_reading()  # type: ignore[union-attr]
    for index in range(200):
        client.request(READ, string(handle) + u64(index % 256 * 255 * 1024) + u32(255 * 1024))
    await asyncio.sleep(2)
    grown = resident(warm) - before
    connection.abort()
    assert grown < 32 * MIB, f"grew by {grown / MIB:.0f} MiB"
    async with await connect(warm) as again, wire(again) as other:
        assert (await other.stat(b"/large")).size == 64 * MIB


async def test_fifty_uploads_to_a_slow_storage_stay_within_the_budget(
    bucket: str, proxy: FaultProxy, proxied: Store, tmp_path: Path
) -> None:
    budget = 96 * MIB
    options: Groups = {
        "files": {"buffer_bytes": budget},
        "s3": {"data_timeout": 120},
        "ssh": {"max_unauthenticated_per_source": 60},
    }
    server = await running(proxied, bucket, tmp_path / "server", options)
    try:
        async with await connect(server) as connection, wire(connection) as client:
            await client.stat(b"/")
        before = resident(server)
        proxy.bytes_per_second = 2 * MIB

        async def upload(number: int) -> None:
            async with await connect(server) as connection, wire(connection) as client:
                await client.put(b"/f%d" % number, bytes(11 * MIB), block=255 * 1024)

        async with asyncio.timeout(150):
            await asyncio.gather(*(upload(number) for number in range(50)))
        grown = resident(server, "VmHWM") - before
        allowed = budget + 5 * MIB + 50 * SESSION_BYTES
        assert grown < allowed, f"grew by {grown / MIB:.0f} MiB of {allowed / MIB:.0f}"
    finally:
        await asyncio.to_thread(server.close)


async def test_hashing_a_large_file_takes_a_few_mib_of_memory(warm: Server) -> None:
    body = string(b"check-file-name") + string(b"/large") + string(b"md5") + u64(0) + u64(0) + u32(0)
    async with await connect(warm) as connection, wire(connection) as client:
        before = peak_begins_anew(warm)
        reply = (await client.request(EXTENDED, body)).must_be(EXTENDED_REPLY)
        grown = resident(warm, "VmHWM") - before
    assert reply == string(b"md5") + hashlib.md5(bytes(64 * MIB)).digest()
    assert grown < 16 * MIB, f"grew by {grown / MIB:.0f} MiB"


async def names_of(client: RawSftpClient, handle: bytes, most: int) -> int:
    """How many entries the next answers to READDIR have, until there are `most` or no more."""
    names = 0
    while names < most:
        reply = await client.request(READDIR, string(handle))
        if reply.kind != NAME:
            break
        names += int.from_bytes(reply.body[:4], "big")
    return names


@pytest.mark.parametrize(("times", "entries"), [("stored", 100_000), ("kept", 10_000)])
async def test_a_listing_of_100_000_entries_holds_a_page_or_two(
    tmp_path: Path, times: str, entries: int
) -> None:
    """Also while it asks for each, of which 10 000 say as much."""
    async with synthetic_s3(entries, "alice/big/") as store:
        server = await running(store, "synthetic", tmp_path / "server", {"s3": {"times": times}})
        try:
            async with await connect(server) as connection, wire(connection) as client:
                # what code, connections and the allocator take once, they have taken after a part
                handle = await client.opendir(b"/big")
                await names_of(client, handle, entries // 5)
                await client.close(handle)
                handle = await client.opendir(b"/big")
                before = peak_begins_anew(server)
                assert await names_of(client, handle, entries + 3) == entries + 2
                grown = resident(server, "VmHWM") - before
                assert grown < 24 * MIB, f"grew by {grown / MIB:.0f} MiB"
        finally:
            await asyncio.to_thread(server.close)


async def test_a_client_that_leaves_a_listing_midway_stops_the_listing(tmp_path: Path) -> None:
    async with synthetic_s3(1_000_000, "alice/big/") as origin, FaultProxy(origin.endpoint_url) as proxy:
        server = await running(origin.behind(proxy.url), "synthetic", tmp_path / "server")
        try:
            async with await connect(server) as connection, wire(connection) as client:
                handle = await client.opendir(b"/big")
                (await client.request(READDIR, string(handle))).must_be(104)
                await client.close(handle)
                asked = proxy.log.count("ListObjectsV2")
                assert (await client.request(STAT, string(b"/"))).code != 2
                await asyncio.sleep(0.5)
                assert proxy.log.count("ListObjectsV2") == asked <= 4
        finally:
            await asyncio.to_thread(server.close)


async def test_an_upload_that_never_goes_on_does_not_keep_its_room_when_its_client_has_gone(
    warm: Server,
) -> None:
    async with await connect(warm) as connection, wire(connection) as client:
        handle = await client.open(b"/partial", W | CREAT | TRUNC)
        await client.write(handle, 0, bytes(200_000))
        connection.abort()

    def is_aborted() -> bool:
        return bool(warm.events("upload.aborted"))

    await asyncio.to_thread(wait_until, is_aborted, 20, "the line of the aborted upload")
