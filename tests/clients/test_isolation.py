"""A user's world ends at the prefix: hostile paths in every operation, judged by what S3 sees."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.packets import (
    CREAT,
    EXTENDED,
    HANDLE,
    LSTAT,
    MKDIR,
    NO_ATTRIBUTES,
    OPEN,
    OPENDIR,
    READLINK,
    REALPATH,
    REMOVE,
    RENAME,
    RMDIR,
    SETSTAT,
    STAT,
    TRUNC,
    R,
    W,
    read_string,
    string,
    u32,
    u64,
)
from testbed.raw_client import RawSftpClient
from testbed.request_log import Seen
from testbed.s3_store import Store
from tests.limits.operations import World, world

PIECES = [
    b"..", b".", b"", b"alice", b"alice2", b"bob", b"secret", b"..\\..", b"\\..\\", b"%2e%2e", b"..%2f..",
    b"%2F", b"\xc0\xae\xc0\xae", b"\xff", b"\xed\xa0\x80", "\u2024\u2024".encode(), "\uf75c".encode(),
    "\uff0e\uff0e\uff0f".encode(), b"a\nb", b"~", b" ", b"...", b"\x1b[2J", b"*", b"?",
]  # fmt: skip
FIXED = [
    b"/..", b"/../", b"../bob/secret", b"/../bob/secret", b"//bob/secret", b"/./../../bob/secret",
    b"/alice/../../bob/secret", b"\\..\\bob\\secret", b"/..\\..\\bob\\secret", b"%2e%2e/bob/secret",
    b"/..%2fbob/secret", b"/../alice2/secret", b"2/secret", b"/" + b"." * 5000,
    b"/" + b"../" * 3000 + b"bob/secret", b"/x\0/../../bob", b"", b"/", b".", b"..",
]  # fmt: skip


@pytest.fixture
async def here(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(store, bucket, tmp_path / "server") as running:
        for key in ("bob/secret", "alice2/secret", "secret"):
            await running.s3.put(key, b"not yours")
        yield running


async def test_no_request_ever_names_a_key_outside_the_prefix(here: World) -> None:
    randomly = random.Random(20)
    paths = FIXED + [b"/".join(randomly.choices(PIECES, k=randomly.randint(1, 7))) for _ in range(60)]
    await here.put_behind("file", b"mine")
    here.proxy.log.clear()
    for path in paths:
        await asyncio.gather(*every_operation(here.client, path))
    assert len(here.proxy.log) > 500
    assert [seen for seen in here.proxy.log if not is_inside(seen)] == []
    for key in ("bob/secret", "alice2/secret", "secret"):
        assert await here.s3.body(key) == b"not yours"


def every_operation(client: RawSftpClient, path: bytes) -> list[asyncio.Future[object]]:
    """Each request of the protocol with the path, on both sides where there are two."""
    name, good = string(path), string(b"/file")
    requests = [
        (REALPATH, name), (STAT, name), (LSTAT, name), (OPENDIR, name), (READLINK, name),
        (SETSTAT, name + u32(1) + u64(0)), (SETSTAT, name + u32(8) + u32(1) + u32(1)),
        (MKDIR, name + NO_ATTRIBUTES), (RMDIR, name),
        (RENAME, good + name), (RENAME, name + good),
        (EXTENDED, string(b"posix-rename@openssh.com") + good + name),
        (EXTENDED, string(b"posix-rename@openssh.com") + name + good),
        (EXTENDED, string(b"statvfs@openssh.com") + name),
        (EXTENDED, string(b"lsetstat@openssh.com") + name + u32(8) + u32(1) + u32(1)),
        (EXTENDED, string(b"expand-path@openssh.com") + name),
        (REMOVE, name),
    ]  # fmt: skip
    files = [_open_and_close(client, path, R), _open_and_close(client, path, W | CREAT | TRUNC)]
    return [client.request(kind, body) for kind, body in requests] + [
        asyncio.ensure_future(each) for each in files
    ]  # type: ignore[return-value]


async def _open_and_close(client: RawSftpClient, path: bytes, flags: int) -> None:
    reply = await client.request(OPEN, string(path) + u32(flags) + NO_ATTRIBUTES)
    if reply.kind == HANDLE:
        handle = read_string(reply.body, 0)[0]
        if flags & W:
            await client.write(handle, 0, b"x")
        await client.request(4, string(handle))


def is_inside(seen: Seen) -> bool:
    """Whether everything that the request names is below `alice/`."""
    named = [seen.key] if seen.key else [seen.query.get("prefix", "")]
    if seen.copy_source:
        named.append(seen.copy_source.lstrip("/").partition("/")[2])
    if seen.api == "DeleteObjects":
        named = [line.split("</Key>")[0] for line in seen.body.decode().split("<Key>")[1:]]
    return all(key.startswith("alice/") and "/../" not in key and "\\" not in key for key in named)
