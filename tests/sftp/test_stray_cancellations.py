"""A call of a storage that is cancelled by something of its own has failed, and its client goes on."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends import Backend, Buffer, FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.memory import MemoryBackend
from testbed.packets import (
    CREAT,
    MKDIR,
    OPENDIR,
    READ,
    REMOVE,
    STAT,
    TRUNC,
    R,
    W,
    string,
    u32,
    u64,
)
from tests.backends.minimal_backends import Streaming
from tests.sftp.session_server import serving

FAILURE = 4
NO_ATTRIBUTES = u32(0)


def cancelled_in(method: str, *, complete: bool, after: int = 0) -> tuple[Backend, MemoryBackend]:
    """A storage of which a method is cancelled by something of its own, and where its files are."""
    calls = 0

    def fail(called: str, _: Place) -> None:
        nonlocal calls
        calls += called == method
        if called == method and calls > after:
            raise asyncio.CancelledError

    memory = MemoryBackend({"f": b"content"}, chunk_bytes=7, fail=fail)
    if complete:
        return memory, memory
    streaming = Streaming()
    streaming.inner = memory
    return streaming, memory


@pytest.fixture(params=[True, False], ids=["complete", "completed"])
def complete(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    ("method", "kind", "body"),
    [
        ("file_info", STAT, string(b"/f")),
        ("make_dir", MKDIR, string(b"/d") + NO_ATTRIBUTES),
        ("delete", REMOVE, string(b"/f")),
        ("list_dir", OPENDIR, string(b"/")),
    ],
)
async def test_a_request_is_answered(method: str, kind: int, body: bytes, complete: bool) -> None:
    backend, _ = cancelled_in(method, complete=complete)
    async with serving(backend) as server, server.client() as client:  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            assert (await client.request(kind, body)).code == FAILURE
        assert client.is_alive
        server.internal_errors.clear()


async def test_a_read_is_answered(complete: bool) -> None:
    backend, _ = cancelled_in("read_file_range", complete=complete)
    async with serving(backend) as server, server.client() as client:  # type: ignore[arg-type]
        handle = await client.open(b"/f", R)
        async with asyncio.timeout(5):
            assert (await client.request(READ, string(handle) + u64(0) + u32(7))).code == FAILURE
        await client.close(handle)
        server.internal_errors.clear()


@pytest.mark.parametrize("method", ["write_chunk", "finish_write"])
async def test_an_upload_fails_and_nothing_is_published(method: str, complete: bool) -> None:
    backend, memory = cancelled_in(method, complete=complete, after=1 if method == "write_chunk" else 0)
    async with serving(backend) as server, server.client() as client:  # type: ignore[arg-type]
        handle = await client.open(b"/new", W | CREAT | TRUNC)
        for at in range(0, 70, 7):
            await client.sending_write(handle, at, bytes(7))
        async with asyncio.timeout(5):
            assert (await client.sending_close(handle)).code == FAILURE
        server.internal_errors.clear()
    assert (b"new" in memory.objects, memory.open_uploads) == (False, 0)


async def test_a_lost_chunk_fails_the_upload_also_where_the_storage_counts_no_bytes() -> None:
    class Trusting(MemoryBackend):
        published = False

        async def write_chunk(self, *_: object) -> None:
            raise asyncio.CancelledError

        async def finish_write(
            self, upload: Upload, tail: Buffer, finish: Finish, session: Session
        ) -> FileInfo:
            self.published = True
            return FileInfo.file(finish.size)

    backend = Trusting(chunk_bytes=7)
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/new", W | CREAT | TRUNC)
        await client.sending_write(handle, 0, bytes(10))
        assert (await client.sending_close(handle)).code == FAILURE
        server.internal_errors.clear()
    assert not backend.published
