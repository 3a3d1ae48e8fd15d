"""What operations cost in S3 requests: each a story with a real client's packets, and its budget.

`python -m tests.limits.operations` measures all of them on a SeaweedFS and prints the table of the docs.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.sftp.packets import CREAT, EXTENDED, EXTENDED_REPLY, STATUS, TRUNC, R, W, string, u32, u64
from tests.sftp.wire import Wire, wire
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3, s3_client
from tests.support.seaweed import running_seaweed
from tests.support.server import PART_BYTES, Groups, Server
from tests.support.store import Store, new_bucket_name

OPEN_BYTES = 1 << 20
"""What is asked for of a file that nothing is known of: the answer says what a HEAD would."""
RANGE_BYTES = 8 << 20
"""`files.range_bytes`: how long the ranged GETs of a sequential reader are."""


@dataclass
class World:
    """A client on a server whose requests to S3 are counted."""

    client: Wire
    s3: S3
    proxy: FaultProxy
    server: Server

    async def put_behind(self, key: str, body: bytes = b"x") -> None:
        """Put an object without the server's knowledge."""
        await self.s3.put(self.server.prefix + key, body)

    def requests(self) -> dict[str, int]:
        return dict(self.proxy.log.by_api())


Step = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Operation:
    """A line of the table."""

    name: str
    budget: dict[str, int]
    act: Step
    prepare: Step | None = None


async def _put(world: World, name: bytes, size: int) -> None:
    await world.client.put(name, bytes(size), block=32768, flags=W | CREAT | TRUNC)


async def _get(world: World, name: bytes, size: int) -> None:
    assert len(await world.client.get(name, block=65536)) == size


async def _missing(world: World) -> None:
    reply = await world.client.request(17, string(b"/nothing"))
    assert reply.code == 2


async def _open_and_close(world: World) -> None:
    await world.client.close(await world.client.open(b"/unchanged", W | CREAT))


async def _put_and_stat_first(world: World) -> None:
    await _put(world, b"/stat-after", 100)
    world.proxy.log.clear()
    assert (await world.client.stat(b"/stat-after")).size == 100


async def _get_after_list(world: World) -> None:
    await world.client.list(b"/listed")
    world.proxy.log.clear()
    await _get(world, b"/listed/f1", 1)


def _listed_before(name: bytes) -> Step:
    """A listing, after which all that it shows is known."""

    async def act(world: World) -> None:
        await asyncio.sleep(2.5)  # what is younger is not certain
        await world.client.list(name)
        world.proxy.log.clear()
        await world.client.list(name)

    return act


async def _copy_data(world: World) -> None:
    source = await world.client.open(b"/copy-me", R)
    target = await world.client.open(b"/copied", W | CREAT | TRUNC)
    body = string(b"copy-data") + string(source) + u64(0) + u64(0) + string(target) + u64(0)
    (await world.client.request(EXTENDED, body)).must_be(STATUS)
    await world.client.close(source)
    await world.client.close(target)


def _check_file(name: bytes, algorithm: bytes) -> Step:
    async def act(world: World) -> None:
        body = string(b"check-file-name") + string(name) + string(algorithm) + u64(0) + u64(0) + u32(0)
        (await world.client.request(EXTENDED, body)).must_be(EXTENDED_REPLY)

    return act


async def _put_with_checksum(world: World) -> None:
    crc = base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()
    await world.s3.put(world.server.prefix + "hashed", b"x", ChecksumCRC32=crc)


async def _many_of(world: World, directory: str, count: int) -> None:
    await asyncio.gather(*(world.put_behind(f"{directory}/f{i:04}", b"x") for i in range(count)))


def _many(directory: str, count: int = 2500) -> Step:
    return lambda world: _many_of(world, directory, count)


def _files(*keys: str, body: bytes = b"x") -> Step:
    async def prepare(world: World) -> None:
        for key in keys:
            await world.put_behind(key, body)

    return prepare


OPERATIONS = [
    Operation("STAT of a file", {"HeadObject": 1}, lambda w: _ignore(w.client.stat(b"/s")), _files("s")),
    Operation(
        "STAT of a directory without a marker",
        {"HeadObject": 1, "ListObjectsV2": 1},
        lambda w: _ignore(w.client.stat(b"/dir")),
        _files("dir/x"),
    ),
    Operation("STAT of nothing", {"HeadObject": 1, "ListObjectsV2": 1}, _missing),
    Operation("put of 100 bytes", {"PutObject": 1}, lambda w: _put(w, b"/small", 100)),
    Operation("put of 0 bytes", {"PutObject": 1}, lambda w: _put(w, b"/empty", 0)),
    Operation("put of exactly one part", {"PutObject": 1}, lambda w: _put(w, b"/one", PART_BYTES)),
    Operation(
        "put of 2½ parts",
        {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1},
        lambda w: _put(w, b"/large", PART_BYTES * 5 // 2),
    ),
    Operation(
        "open without TRUNC and close, nothing changed",
        {"HeadObject": 2},
        _open_and_close,
        _files("unchanged"),
    ),
    Operation("STAT after put by the same process", {}, _put_and_stat_first),
    Operation(
        "get of 100 bytes",
        {"GetObject": 1},
        lambda w: _get(w, b"/get-small", 100),
        _files("get-small", body=bytes(100)),
    ),
    Operation(
        "get of 20 MiB",
        {"GetObject": 1 + -(-((20 << 20) - OPEN_BYTES) // RANGE_BYTES)},
        lambda w: _get(w, b"/get-large", 20 << 20),
        _files("get-large", body=bytes(20 << 20)),
    ),
    Operation("get after ls", {"GetObject": 1}, _get_after_list, _files("listed/f1", "listed/f2")),
    Operation("ls -l of 2 500 files", {"ListObjectsV2": 3}, _listed_before(b"/many"), _many("many")),
    Operation(
        "ls -l of 2 500 files that others have put, for the first time",
        {"ListObjectsV2": 3, "HeadObject": 2500},
        lambda w: _ignore(w.client.list(b"/unknown")),
        _many("unknown"),
    ),
    Operation(
        "ls -l of 3 directories, for the first time",
        {"ListObjectsV2": 4},
        lambda w: _ignore(w.client.list(b"/parents")),
        _files("parents/a/x", "parents/b/x", "parents/c/x"),
    ),
    Operation(
        "rename (POSIX) of a file",
        {"HeadObject": 1, "ListObjectsV2": 1, "CopyObject": 1, "DeleteObject": 1},
        lambda w: w.client.posix_rename(b"/from", b"/to"),
        _files("from"),
    ),
    Operation(
        "rename (v3: refuses a target) of a file",
        {"HeadObject": 2, "ListObjectsV2": 1, "CopyObject": 1, "DeleteObject": 1},
        lambda w: w.client.rename(b"/from3", b"/to3"),
        _files("from3"),
    ),
    Operation(
        "remove", {"HeadObject": 1, "DeleteObject": 1}, lambda w: w.client.remove(b"/gone"), _files("gone")
    ),
    Operation("copy-data of a whole file", {"GetObject": 1, "CopyObject": 1}, _copy_data, _files("copy-me")),
    Operation(
        "check-file (md5) of a file",
        {"HeadObject": 1, "GetObject": 1},
        _check_file(b"/hash-me", b"md5"),
        _files("hash-me", body=bytes(3 << 20)),
    ),
    Operation(
        "check-file (crc32) of a file that the store has it of",
        {"HeadObject": 2},
        _check_file(b"/hashed", b"crc32"),
        _put_with_checksum,
    ),
    Operation(
        "mkdir",
        {"HeadObject": 1, "ListObjectsV2": 1, "PutObject": 1},
        lambda w: w.client.mkdir(b"/new"),
    ),
    Operation(
        "mkdir in a directory that nothing is known of",
        {"HeadObject": 2, "ListObjectsV2": 2, "PutObject": 1},
        lambda w: w.client.mkdir(b"/parent/new"),
        _files("parent/x"),
    ),
    Operation(
        "rmdir",
        {"ListObjectsV2": 1, "DeleteObject": 1},
        lambda w: w.client.rmdir(b"/old"),
        _files("old/", body=b""),
    ),
]


WITH_STORED_TIMES = [
    Operation(
        "ls -l of 2 500 files that others have put, for the first time",
        {"ListObjectsV2": 3},
        lambda w: _ignore(w.client.list(b"/unknown")),
        _many("unknown"),
    ),
    Operation("STAT after put by the same process", {"HeadObject": 1}, _put_and_stat_first),
]
"""What costs less, and what costs more, by `s3.times = "stored"`."""


WITH_THE_JOURNAL_IN_THE_BUCKET = [
    Operation("put of exactly one part", {"PutObject": 1}, lambda w: _put(w, b"/one", PART_BYTES)),
    Operation(
        "put of 2½ parts",
        {
            "PutObject": 2,
            "CreateMultipartUpload": 1,
            "UploadPart": 3,
            "CompleteMultipartUpload": 1,
            "DeleteObject": 1,
        },
        lambda w: _put(w, b"/parts", PART_BYTES * 5 // 2),
    ),
]
"""What costs more, and what does not, by `s3.journal = "bucket"`."""


async def _ignore(answer: Awaitable[object]) -> None:
    await answer


async def measured(world: World, operation: Operation) -> dict[str, int]:
    """The requests that an operation really sent, with nothing known beforehand."""
    if operation.prepare is not None:
        await operation.prepare(world)
    world.proxy.log.clear()
    await operation.act(world)
    return world.requests()


@asynccontextmanager
async def world(
    store: Store, bucket: str, directory: Path, options: Groups | None = None
) -> AsyncIterator[World]:
    """A server behind a counting proxy, and a client on it."""
    async with FaultProxy(store.endpoint_url) as proxy, s3_client(store, bucket) as s3:
        server = Server(directory, store.behind(proxy.url), bucket, options)
        try:
            await server.astart()
            async with await connect(server) as connection, wire(connection) as client:
                yield World(client, s3, proxy, server)
        finally:
            await asyncio.to_thread(server.close)


async def connect(server: Server, **options: object) -> asyncssh.SSHClientConnection:
    """Log in as the server's user, with the key."""
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        client_keys=[str(server.key_file)],
        known_hosts=None,
        config=None,
        **options,
    )


def shown(requests: dict[str, int]) -> str:
    return " + ".join(f"{count} {api}" for api, count in requests.items()) or "0"


async def print_table() -> None:
    with running_seaweed() as store, tempfile.TemporaryDirectory() as directory:
        bucket = new_bucket_name()
        store.make_bucket(bucket)
        async with world(store, bucket, Path(directory)) as here:
            print("| operation | requests to S3 |\n|---|---|")
            for operation in OPERATIONS:
                print(f"| {operation.name} | {shown(await measured(here, operation))} |")


if __name__ == "__main__":
    asyncio.run(print_table())
