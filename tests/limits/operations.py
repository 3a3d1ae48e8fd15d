"""What operations cost in S3 requests: each a story with a real client's packets, and its budget.

`python -m tests.limits.operations` measures all of them on a SeaweedFS and prints the table of the docs.
"""

from __future__ import annotations

import asyncio
import base64
import stat
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh

from testbed.packets import (
    ATTRS,
    CREAT,
    EXTENDED,
    EXTENDED_REPLY,
    LSTAT,
    SETSTAT,
    STATUS,
    TRUNC,
    R,
    Refused,
    W,
    string,
    u32,
    u64,
)
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store, new_bucket_name
from testbed.seaweed import running_seaweed
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3, s3_client
from tests.support.server import PART_BYTES, Groups, Server

OPEN_BYTES = 1 << 20
"""What is asked for of a file that nothing is known of: the answer says what a HEAD would."""
RANGE_BYTES = 8 << 20
"""`files.range_bytes`: how long the ranged GETs of a sequential reader are."""


@dataclass
class World:
    """A client on a server whose requests to S3 are counted."""

    client: RawSftpClient
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


async def _stat_twice(world: World) -> None:
    for _ in range(2):
        await world.client.stat(b"/twice")


async def _stat_directory_twice(world: World) -> None:
    for _ in range(2):
        await world.client.stat(b"/dir-twice")


async def _stat_after_list(world: World) -> None:
    await world.client.list(b"/seen")
    await world.client.stat(b"/seen/f")


async def _get_after_list(world: World) -> None:
    await world.client.list(b"/listed")
    world.proxy.log.clear()
    await _get(world, b"/listed/f1", 1)


async def _df(world: World) -> None:
    body = string(b"statvfs@openssh.com") + string(b"/")
    (await world.client.request(EXTENDED, body)).must_be(EXTENDED_REPLY)


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


async def _lstat(world: World, path: bytes) -> bool:
    """Whether something is there."""
    reply = await world.client.request(LSTAT, string(path))
    return reply.kind == ATTRS


async def _stat(world: World, path: bytes) -> bool:
    with suppress(Refused):
        await world.client.stat(path)
        return True
    return False


async def _set_time(world: World, path: bytes) -> None:
    body = string(path) + u32(8) + u32(1_234_567_890) * 2
    (await world.client.request(SETSTAT, body)).must_be(STATUS)


async def _openssh_put(world: World) -> None:
    await _stat(world, b"/by-openssh")  # a directory?
    await _put(world, b"/by-openssh", 10_000)


async def _openssh_get(world: World) -> None:
    await _lstat(world, b"/for-openssh")
    await _stat(world, b"/for-openssh")
    await _get(world, b"/for-openssh", 10_000)


async def _openssh_list(world: World) -> None:
    await _lstat(world, b"/thirty")
    assert len(await world.client.list(b"/thirty")) == 30


async def _openssh_get_tree(world: World) -> None:
    await _lstat(world, b"/tree")
    await _stat(world, b"/tree")
    for name in await world.client.list(b"/tree"):
        await _get(world, b"/tree/" + name, 1)


async def _openssh_put_tree(world: World) -> None:
    await _stat(world, b"/up")
    for made in (b"/up", b"/up/a", b"/up/a/b"):
        await world.client.mkdir(made)
        await _put(world, made + b"/f", 100)


async def _rclone_copy_up(world: World) -> None:
    await world.client.list(b"/rclone")
    await _stat(world, b"/rclone/f.partial")
    await _put(world, b"/rclone/f.partial", 100)
    async with _another(world) as second, _another(world) as third:
        await _set_time(second, b"/rclone/f.partial")
        await _stat(world, b"/rclone/f.partial")
        await third.client.posix_rename(b"/rclone/f.partial", b"/rclone/f")
        await _stat(world, b"/rclone/f")


async def _rclone_copy_down(world: World) -> None:
    names = await world.client.list(b"/from")
    async with _another(world) as second:
        for name in names:
            handle = await second.client.open(b"/from/" + name, R)
            await _stat(second, b"/from/" + name)
            assert await second.client.read(handle, 0, 32768) == b"x"
            await second.client.close(handle)


@asynccontextmanager
async def _another(world: World) -> AsyncIterator[World]:
    """The same world seen from a connection of its own: rclone has several."""
    async with await connect(world.server) as connection, wire(connection) as client:
        yield replace(world, client=client)


def _cut(name: bytes, size: int) -> Step:
    """An upload whose line is lost after so many bytes."""

    async def act(world: World) -> None:
        kept = world.server.count("upload.kept")
        async with await connect(world.server) as connection, wire(connection) as client:
            handle = await client.open(name, W | CREAT | TRUNC)
            blocks = range(0, size, 32768)
            for sent in [client.sending_write(handle, at, bytes(min(32768, size - at))) for at in blocks]:
                (await sent).must_be(STATUS)
            connection._transport.abort()  # type: ignore[union-attr]
        await world.server.until(lambda: world.server.count("upload.kept") > kept, "the upload to be kept")

    return act


def _go_on(name: bytes, more: int) -> Step:
    """The upload goes on where it was cut, as OpenSSH's `reput` does."""

    async def act(world: World) -> None:
        size = (await world.client.stat(name)).size
        assert size is not None
        handle = await world.client.open(name, W)
        await world.client.write(handle, size, bytes(more))
        await world.client.close(handle)

    return act


async def _sshfs_read(world: World) -> None:
    await _lstat(world, b"/mounted")
    await _get(world, b"/mounted", 100)


async def _sshfs_write(world: World) -> None:
    await _lstat(world, b"/written")
    await _put(world, b"/written", 100)
    await _lstat(world, b"/written")


async def _sshfs_move(world: World) -> None:
    await _lstat(world, b"/moving")
    await _lstat(world, b"/moved")
    await world.client.posix_rename(b"/moving", b"/moved")
    await _lstat(world, b"/moved")


async def _winscp_put(world: World) -> None:
    await world.client.list(b"/winscp")
    await _lstat(world, b"/winscp/f")
    await _put(world, b"/winscp/f.filepart", 200_000)
    await world.client.rename(b"/winscp/f.filepart", b"/winscp/f")
    await _set_time(world, b"/winscp/f")
    await world.client.list(b"/winscp")


async def _winscp_replace(world: World) -> None:
    await world.client.list(b"/again")
    await _lstat(world, b"/again/f")
    await _put(world, b"/again/f.filepart", 200_000)
    await world.client.remove(b"/again/f")
    await world.client.rename(b"/again/f.filepart", b"/again/f")
    await _set_time(world, b"/again/f")


async def _winscp_get(world: World) -> None:
    await world.client.list(b"/win")
    await _lstat(world, b"/win/f")
    await _get(world, b"/win/f", 1)


async def _filezilla_put(world: World) -> None:
    await world.client.list(b"/zilla")
    await _put(world, b"/zilla/f", 100)
    await _set_time(world, b"/zilla/f")
    await world.client.list(b"/zilla")


async def _remove_all(world: World) -> None:
    for name in await world.client.list(b"/all"):
        await _lstat(world, b"/all/" + name)
        await world.client.remove(b"/all/" + name)


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
        {"HeadObject": 1},
        _open_and_close,
        _files("unchanged"),
    ),
    Operation("STAT after put by the same session", {}, _put_and_stat_first),
    Operation("STAT of a file, and again", {"HeadObject": 2}, _stat_twice, _files("twice")),
    Operation(
        "STAT of a directory without a marker, and again",
        {"HeadObject": 1, "ListObjectsV2": 2},
        _stat_directory_twice,
        _files("dir-twice/x"),
    ),
    Operation("STAT after ls", {"ListObjectsV2": 1, "HeadObject": 1}, _stat_after_list, _files("seen/f")),
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
        {"HeadObject": 1, "CopyObject": 1, "DeleteObject": 1},
        lambda w: w.client.posix_rename(b"/from", b"/to"),
        _files("from"),
    ),
    Operation(
        "rename (v3: refuses a target) of a file",
        {"HeadObject": 1, "ListObjectsV2": 1, "CopyObject": 1, "DeleteObject": 1},
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
        {"ListObjectsV2": 1, "PutObject": 1},
        lambda w: w.client.mkdir(b"/new"),
    ),
    Operation(
        "mkdir in a directory that nothing is known of",
        {"HeadObject": 1, "ListObjectsV2": 2, "PutObject": 1},
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

CLIENTS = [
    Operation("OpenSSH: `put` of 10 KB", {"HeadObject": 1, "ListObjectsV2": 1, "PutObject": 1}, _openssh_put),
    Operation(
        "OpenSSH: `get` of 10 KB",
        {"HeadObject": 2, "GetObject": 1},
        _openssh_get,
        _files("for-openssh", body=bytes(10_000)),
    ),
    Operation(
        "OpenSSH: `ls -l` of 30 names",
        {"HeadObject": 1, "ListObjectsV2": 2},
        _openssh_list,
        _files(*(f"thirty/{n}" for n in range(30))),
    ),
    Operation(
        "OpenSSH: `get -r` of 30 files",
        {"HeadObject": 1, "ListObjectsV2": 3, "GetObject": 30},
        _openssh_get_tree,
        _files(*(f"tree/{n}" for n in range(30))),
    ),
    Operation(
        "OpenSSH: `put -r` of 3 directories, one in the other, a file in each",
        {"HeadObject": 1, "ListObjectsV2": 6, "PutObject": 6},
        _openssh_put_tree,
    ),
    Operation(
        "OpenSSH: `rm *` of 3 files",
        {"ListObjectsV2": 1, "HeadObject": 3, "DeleteObject": 3},
        _remove_all,
        _files("all/1", "all/2", "all/3"),
    ),
    Operation(
        "rclone: `copy` of a file to the server, on three connections",
        {"ListObjectsV2": 2, "HeadObject": 3, "PutObject": 1, "CopyObject": 2, "DeleteObject": 1},
        _rclone_copy_up,
        _files("rclone/other"),
    ),
    Operation(
        "rclone: `copy` of 3 files from the server, on another connection than listed them",
        {"ListObjectsV2": 1, "GetObject": 3, "HeadObject": 3},
        _rclone_copy_down,
        _files("from/1", "from/2", "from/3"),
    ),
    Operation(
        "sshfs: a file is read",
        {"HeadObject": 1, "GetObject": 1},
        _sshfs_read,
        _files("mounted", body=bytes(100)),
    ),
    Operation(
        "sshfs: a file is written", {"HeadObject": 1, "ListObjectsV2": 1, "PutObject": 1}, _sshfs_write
    ),
    Operation(
        "sshfs: a file is moved",
        {"HeadObject": 3, "ListObjectsV2": 1, "CopyObject": 1, "DeleteObject": 1},
        _sshfs_move,
        _files("moving"),
    ),
    Operation(
        "WinSCP: a file of 200 KB is sent",
        {"ListObjectsV2": 4, "HeadObject": 1, "PutObject": 1, "CopyObject": 2, "DeleteObject": 1},
        _winscp_put,
        _files("winscp/other"),
    ),
    Operation(
        "WinSCP: a file of 200 KB is sent over another",
        {"ListObjectsV2": 2, "PutObject": 1, "HeadObject": 1, "DeleteObject": 2, "CopyObject": 2},
        _winscp_replace,
        _files("again/f"),
    ),
    Operation(
        "WinSCP: a file is fetched", {"ListObjectsV2": 1, "GetObject": 1}, _winscp_get, _files("win/f")
    ),
    Operation(
        "FileZilla: a file is sent",
        {"ListObjectsV2": 2, "PutObject": 1, "CopyObject": 1},
        _filezilla_put,
        _files("zilla/other"),
    ),
]
"""What clients do for one command or one drag of the mouse, packet by packet."""


WITH_A_QUOTA = [
    Operation("the first count of 2 500 files, by df", {"ListObjectsV2": 3}, _df, _many("counted")),
    Operation("df again", {}, _df),
    Operation("put of 100 bytes", {"HeadObject": 1, "PutObject": 1}, lambda w: _put(w, b"/small", 100)),
    Operation(
        "put of 2½ parts",
        {"CreateMultipartUpload": 1, "UploadPart": 3, "HeadObject": 1, "CompleteMultipartUpload": 1},
        lambda w: _put(w, b"/large", PART_BYTES * 5 // 2),
    ),
    Operation(
        "rename (POSIX) of a file",
        {"HeadObject": 3, "CopyObject": 1, "DeleteObject": 1},
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
        "remove", {"HeadObject": 2, "DeleteObject": 1}, lambda w: w.client.remove(b"/gone"), _files("gone")
    ),
]
"""In a prefix with a quota, one after the other."""

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


WITH_KEPT_UPLOADS = [
    Operation("put of 100 bytes", {"GetObject": 1, "PutObject": 1}, lambda w: _put(w, b"/small", 100)),
    Operation(
        "put of exactly one part", {"GetObject": 1, "PutObject": 1}, lambda w: _put(w, b"/one", PART_BYTES)
    ),
    Operation(
        "put of 2½ parts",
        {
            "GetObject": 1,
            "CreateMultipartUpload": 1,
            "PutObject": 1,
            "UploadPart": 3,
            "CompleteMultipartUpload": 1,
            "DeleteObject": 1,
        },
        lambda w: _put(w, b"/parts", PART_BYTES * 5 // 2),
    ),
    Operation("STAT of nothing", {"HeadObject": 1, "ListObjectsV2": 1, "GetObject": 1}, _missing),
    Operation(
        "100 bytes are cut, and kept",
        {"GetObject": 1, "HeadObject": 1, "ListObjectsV2": 1, "PutObject": 2},
        _cut(b"/cut-small", 100),
    ),
    Operation(
        "STAT of what is kept of them",
        {"HeadObject": 1, "ListObjectsV2": 1, "GetObject": 1},
        lambda w: _ignore(w.client.stat(b"/cut-small")),
    ),
    Operation(
        "the 100 bytes go on, after a STAT",
        {"HeadObject": 2, "ListObjectsV2": 2, "GetObject": 3, "PutObject": 2, "DeleteObject": 2},
        _go_on(b"/cut-small", 100),
    ),
    Operation(
        "2½ parts are cut, and kept",
        {
            "GetObject": 1,
            "CreateMultipartUpload": 1,
            "PutObject": 3,
            "UploadPart": 2,
            "HeadObject": 1,
            "ListObjectsV2": 1,
        },
        _cut(b"/cut", PART_BYTES * 5 // 2),
    ),
    Operation(
        "the 2½ parts go on, after a STAT",
        {
            "HeadObject": 2,
            "ListObjectsV2": 2,
            "GetObject": 3,
            "ListParts": 2,
            "PutObject": 1,
            "UploadPart": 1,
            "CompleteMultipartUpload": 1,
            "DeleteObject": 2,
        },
        _go_on(b"/cut", 100),
    ),
    Operation(
        "REMOVE of what is kept of them",
        {"HeadObject": 1, "ListObjectsV2": 1, "GetObject": 1, "DeleteObject": 2, "AbortMultipartUpload": 1},
        lambda w: w.client.remove(b"/away"),
        _cut(b"/away", PART_BYTES * 5 // 2),
    ),
]
"""With `files.resume`, one after the other."""


async def _ignore(answer: Awaitable[object]) -> None:
    await answer


async def measured(world: World, operation: Operation) -> dict[str, int]:
    """The requests that an operation really sent, with nothing known beforehand."""
    if operation.prepare is not None:
        await operation.prepare(world)
    world.proxy.log.clear()
    await operation.act(world)
    return world.requests()


async def measured_once_listed(world: World, operations: list[Operation]) -> dict[str, dict[str, int]]:
    """The same of several operations, where the times of all files have been asked for before."""
    for operation in operations:
        if operation.prepare is not None:
            await operation.prepare(world)
    await list_all(world)
    found = {}
    for operation in operations:
        world.proxy.log.clear()
        await operation.act(world)
        found[operation.name] = world.requests()
    return found


async def list_all(world: World) -> None:
    """Have another session list every directory, when what the store says of its files is certain."""
    await asyncio.sleep(2.5)
    async with await connect(world.server) as connection, wire(connection) as client:
        await _list_below(client, b"/")


async def _list_below(client: RawSftpClient, directory: bytes) -> None:
    for name, attributes in (await client.list(directory)).items():
        if stat.S_ISDIR(attributes.permissions or 0):
            await _list_below(client, directory + name + b"/")


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
            for name, requests in (await measured_once_listed(here, CLIENTS)).items():
                print(f"| {name} | {shown(requests)} |")


if __name__ == "__main__":
    asyncio.run(print_table())
