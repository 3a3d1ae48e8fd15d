"""What is below `.s3sftp` is the server's: users neither see nor reach it, whatever their root is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.packets import (
    CREAT,
    EXTENDED,
    FAILURE,
    NO_SUCH_FILE,
    PERMISSION_DENIED,
    TRUNC,
    R,
    Refused,
    W,
    string,
    u64,
)
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from tests.limits.operations import connect
from tests.support.s3_client import S3
from tests.support.server import Server

THEIRS = ".s3sftp/uploads/0/claim.json"
REACHES = [b"/.s3sftp", b"/.s3sftp/", b"/.s3sftp/uploads", b"/" + THEIRS.encode(), b"/x/../.s3sftp/./new"]


async def refused(answer: object) -> int:
    with pytest.raises(Refused) as refusal:
        await answer  # type: ignore[misc]
    return refusal.value.code


async def everything_is_refused(client: RawSftpClient, name: bytes) -> None:
    gone, refusals = NO_SUCH_FILE, {NO_SUCH_FILE, PERMISSION_DENIED}
    if name.endswith(b"/"):
        refusals.add(FAILURE)  # as any name that says it is a directory's
    assert await refused(client.stat(name)) == gone
    assert await refused(client.open(name, R)) == gone
    assert await refused(client.list(name)) == gone
    assert await refused(client.remove(name)) == gone
    assert await refused(client.rmdir(name)) == gone
    assert await refused(client.rename(name, b"/elsewhere")) == gone
    assert await refused(client.posix_rename(name, b"/elsewhere")) == gone
    for flags in (W | CREAT, W | CREAT | TRUNC):
        assert await refused(client.put(name, b"x", flags=flags)) in refusals
    assert await refused(client.set_size(name, 1)) in refusals
    assert await refused(client.mkdir(name)) in refusals
    assert await refused(client.rename(b"/file", name)) in refusals
    assert await refused(client.posix_rename(b"/dir", name)) in refusals


@pytest.mark.parametrize("journal", ["disk", "bucket"])
async def test_what_is_reserved_is_not_seen_and_not_reached_from_the_root_of_the_bucket(
    store: Store, bucket: str, s3: S3, tmp_path: Path, journal: str
) -> None:
    server = Server(tmp_path, store, bucket, {"users.alice": {"prefix": ""}, "s3": {"journal": journal}})
    try:
        await server.astart()
        for key in (THEIRS, "file", "dir/inner", ".S3SFTP/mine", "dir/.s3sftp/mine"):
            await s3.put(key, b"x")
        async with await connect(server) as connection, wire(connection) as client:
            assert set(await client.list(b"/")) - {b".", b".."} == {b"file", b"dir", b".S3SFTP"}
            for name in REACHES:
                await everything_is_refused(client, name)
            # its namesakes are ordinary, and what is beside it can be renamed and removed
            assert (await client.stat(b"/.S3SFTP/mine")).size == 1
            assert (await client.stat(b"/dir/.s3sftp/mine")).size == 1
            await client.posix_rename(b"/dir", b"/moved")
            await client.remove(b"/moved/.s3sftp/mine")
            assert await s3.keys() == [".S3SFTP/mine", THEIRS, "file", "moved/inner"]
            assert not any(line["event"] == "listing.keys_skipped" for line in server.events())
    finally:
        await asyncio.to_thread(server.close)


async def test_nothing_is_copied_into_it_by_the_server(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    server = Server(tmp_path, store, bucket, {"users.alice": {"prefix": ""}})
    try:
        await server.astart()
        await s3.put("file", b"x")
        async with await connect(server) as connection, wire(connection) as client:
            source = await client.open(b"/file", R)
            assert await refused(client.open(b"/.s3sftp/copy", W | CREAT | TRUNC)) in (
                NO_SUCH_FILE,
                PERMISSION_DENIED,
            )
            body = string(b"copy-data") + string(source) + u64(0) + u64(0) + string(source) + u64(0)
            await client.request(EXTENDED, body)
        assert await s3.keys() == ["file"]
    finally:
        await asyncio.to_thread(server.close)
