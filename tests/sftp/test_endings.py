"""How files and sessions end when something goes wrong: nothing half is published or taken for whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from s3sftp.backends import FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageFailure
from s3sftp.fs import FileOptions
from s3sftp.sftp import SftpOptions, SftpSession
from testbed.packets import (
    APPEND,
    CLOSE,
    CREAT,
    EXTENDED,
    FAILURE,
    NAME,
    NO_SUCH_FILE,
    OK,
    READ,
    READDIR,
    TRUNC,
    R,
    Reply,
    W,
    string,
    u32,
    u64,
)
from testbed.raw_client import RawSftpClient
from tests.sftp.session_server import Serving, serving

pytestmark = pytest.mark.usefixtures("log_level")

KIB, MIB = 1 << 10, 1 << 20


async def until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not is_true():
            await asyncio.sleep(0.01)


# ── a client that takes nothing ─────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def stalled(backend: MemoryBackend) -> AsyncIterator[tuple[Serving, RawSftpClient]]:
    """A client with an upload of a few chunks, that asks for megabytes and takes none of them."""
    options = SftpOptions(stall_timeout=timedelta(seconds=2))
    async with serving(backend, sftp=options) as server, server.client() as client:
        handle = await client.open(b"/up", W | CREAT | TRUNC)
        for at in range(0, 256 * KIB, 32 * KIB):
            await client.write(handle, at, bytes(32 * KIB))
        handle = await client.open(b"/down", R)
        client.process.channel.pause_reading()
        for at in range(0, 12 * MIB, 128 * KIB):
            client.request(READ, string(handle) + u64(at) + u32(128 * KIB))
        await until(lambda: server.sessions[-1]._send_queue.unsent_bytes > MIB)
        try:
            yield server, client
        finally:
            client.process.channel.abort()


def storage_with_a_download() -> MemoryBackend:
    return MemoryBackend({"down": bytes(12 * MIB)}, chunk_bytes=64 * KIB)


@pytest.mark.slow
async def test_a_client_that_takes_no_answers_has_its_session_ended() -> None:
    async with stalled(storage_with_a_download()) as (_, client):
        await until(client.process.channel.is_closing)


@pytest.mark.slow
async def test_a_client_that_takes_no_answers_has_its_uploads_aborted() -> None:
    backend = storage_with_a_download()
    async with stalled(backend) as (server, _):
        assert backend.open_uploads == 1
        await server.until_nothing_is_open(20)
        await until(lambda: backend.open_uploads == 0)
        assert "up" not in backend.contents()


@pytest.mark.slow
async def test_a_client_that_takes_no_answers_holds_no_memory_after_its_session() -> None:
    async with stalled(storage_with_a_download()) as (server, _):
        await until(lambda: server.volume.budget.used == 0)
        await until(lambda: server.sessions[-1]._send_queue.unsent_bytes == 0)


# ── a connection that is lost while a file is being published ───────────────────────────────────────


class SlowToPublish(MemoryBackend):
    """Publishing waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.publishing = 0

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        self.publishing += 1
        try:
            await self.let_go.wait()
        finally:
            self.publishing -= 1
        return await super().finish_write(upload, tail, finish, session)


async def lose_connection_while_publishing(server: Serving, backend: SlowToPublish) -> None:
    async with server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        await client.write(handle, 0, b"whole")
        client.sending_close(handle)
        await until(lambda: backend.publishing == 1)
        client.connection.abort()
        await client.ended()
    await until(lambda: not server.sessions[-1].busy)


async def test_a_close_that_had_arrived_publishes_its_file_though_the_client_is_gone() -> None:
    backend = SlowToPublish()
    async with serving(backend) as server:
        await lose_connection_while_publishing(server, backend)
        backend.let_go.set()
        await server.until_nothing_is_open(20)
        assert backend.contents() == {"f": b"whole"}


async def test_a_close_of_a_lost_connection_is_given_up_after_the_close_timeout() -> None:
    backend = SlowToPublish()
    async with serving(backend, sftp=SftpOptions(close_timeout=timedelta(seconds=0.3))) as server:
        await lose_connection_while_publishing(server, backend)
        try:
            await until(lambda: backend.publishing == 0)
        finally:
            backend.let_go.set()
        await until(lambda: backend.open_uploads == 0)
        assert backend.contents() == {}


# ── a session that the server ends ──────────────────────────────────────────────────────────────────


class SlowToTake(MemoryBackend):
    """Chunks are not stored before it is let go."""

    def __init__(self) -> None:
        super().__init__(chunk_bytes=64 * KIB)
        self.let_go = asyncio.Event()

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self.let_go.wait()
        await super().write_chunk(upload, data, session)


async def test_a_close_that_had_arrived_is_answered_with_all_that_was_sent_before_it() -> None:
    backend = SlowToTake()
    async with serving(backend) as server, server.client() as client:
        handle, other = [await client.open(name, W | CREAT | TRUNC) for name in (b"/f", b"/other")]
        blocks = range(0, MIB, 32 * KIB)
        sent = [client.sending_write(handle, at, bytes(32 * KIB)) for at in blocks]
        sent.append(client.sending_close(handle))
        unfinished = [client.sending_write(other, at, bytes(32 * KIB)) for at in blocks]
        session = server.sessions[-1]
        await until(lambda: session.commit_seconds > 0 and len(session._runner) > len(blocks))
        ending = asyncio.create_task(session.end("the server is stopping"))
        await asyncio.sleep(0.05)
        assert not ending.done()
        backend.let_go.set()
        assert [(await each).code for each in sent] == [OK] * len(sent)
        await ending
        assert await client.ended() == 1
        assert any(each.exception() for each in unfinished)
        assert backend.contents() == {"f": bytes(MIB)}
        assert backend.open_uploads == 0


@pytest.mark.parametrize(
    ("size", "block"), [(1536 * KIB, 32 * KIB), (1536 * KIB, 4 * KIB)], ids=["bytes", "requests"]
)
async def test_a_close_that_was_received_behind_more_than_there_is_room_for_is_answered(
    size: int, block: int
) -> None:
    backend = SlowToTake()
    async with serving(backend) as server, server.client() as client:
        handle, other = [await client.open(name, W | CREAT | TRUNC) for name in (b"/f", b"/other")]
        await client.write(other, 0, b"half")
        sent = [client.sending_write(handle, at, bytes(block)) for at in range(0, size, block)]
        sent.append(client.sending_close(handle))
        session = server.sessions[-1]
        await until(lambda: waits_for_room(session, CLOSE, handle))
        late = client.sending_write(other, 4, b"more")
        assert session.commit_seconds > 0
        ending = asyncio.create_task(session.end("the server is stopping"))
        again = asyncio.create_task(session.end("the server is stopping"))
        await asyncio.sleep(0.05)
        assert not ending.done()
        backend.let_go.set()
        assert {(await each).code for each in sent} == {OK}
        await asyncio.gather(ending, again)
        assert await client.ended() == 1
        assert late.exception() is not None
        assert backend.contents() == {"f": bytes(size)}
        assert backend.open_uploads == 0


def waits_for_room(session: SftpSession, kind: int, handle: bytes) -> bool:
    """Whether the last that a session has received is such a request, and it is not admitted."""
    channel: Any = session._send_queue.channel
    received = b"".join([*session._reader._chunks, *(data for data, _ in channel._recv_buf)])
    last = received[-1 - 4 - len(string(handle)) :]
    return last[:1] == bytes([kind]) and last.endswith(string(handle))


async def test_without_a_close_among_it_what_waits_for_room_is_dropped() -> None:
    backend = SlowToTake()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        sent = [client.sending_write(handle, at, bytes(32 * KIB)) for at in range(0, 1536 * KIB, 32 * KIB)]
        session = server.sessions[-1]
        await until(lambda: session._reading_paused)
        async with asyncio.timeout(20):
            await session.end("the server is stopping")
        await client.ended()
        assert sent[-1].exception() is not None
        assert backend.contents() == {}
        assert backend.open_uploads == 0


async def test_what_waits_for_room_before_a_close_is_waited_for_no_longer_than_the_close_timeout() -> None:
    backend = SlowToTake()
    async with serving(backend, sftp=SftpOptions(close_timeout=timedelta(seconds=0.5))) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", W | CREAT | TRUNC)
            for at in range(0, 1536 * KIB, 32 * KIB):
                client.sending_write(handle, at, bytes(32 * KIB))
            closing = client.sending_close(handle)
            session = server.sessions[-1]
            await until(lambda: waits_for_room(session, CLOSE, handle))
            async with asyncio.timeout(20):
                await session.end("the server is stopping")
            await client.ended()
            assert closing.exception() is not None
        assert backend.contents() == {}
        assert backend.open_uploads == 0


async def test_a_connection_that_is_lost_while_its_last_requests_are_taken_ends_its_session() -> None:
    backend = SlowToTake()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        for at in range(0, 1536 * KIB, 32 * KIB):
            client.sending_write(handle, at, bytes(32 * KIB))
        client.sending_close(handle)
        session = server.sessions[-1]
        await until(lambda: waits_for_room(session, CLOSE, handle))
        ending = asyncio.create_task(session.end("the server is stopping"))
        await asyncio.sleep(0.05)
        client.connection.abort()
        async with asyncio.timeout(20):
            await ending
        assert backend.contents() == {}
        assert backend.open_uploads == 0


async def test_a_close_that_does_not_end_in_the_close_timeout_is_cut_off() -> None:
    backend = SlowToPublish()
    async with serving(backend, sftp=SftpOptions(close_timeout=timedelta(seconds=0.3))) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", W | CREAT | TRUNC)
            closing = client.sending_close(handle)
            await until(lambda: backend.publishing == 1)
            await server.sessions[-1].end("the server is stopping")
            await client.ended()
            assert closing.exception() is not None
        assert backend.contents() == {}
        assert backend.open_uploads == 0


# ── a storage that fails midway ─────────────────────────────────────────────────────────────────────


class EndsEarly(MemoryBackend):
    """Ranges end after `most` bytes, as if that were all."""

    def __init__(self, seed: dict[str, bytes], most: int) -> None:
        super().__init__(seed)
        self.most = most

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(
            place, start, min(stop, start + self.most), version, session
        ):
            yield piece


@pytest.mark.parametrize("most", [0, 3000])
async def test_a_range_that_ends_early_makes_read_an_error_and_not_the_end_of_the_file(most: int) -> None:
    backend = EndsEarly({"f": bytes(8192)}, most)
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        async with asyncio.timeout(20):
            reply = await client.request(READ, string(handle) + u64(0) + u32(8192))
        assert reply.code == FAILURE
        await client.close(handle)


class Breaking(MemoryBackend):
    """Reads of `source` fail, or it is removed, when `pieces_left` of it have been read."""

    def __init__(self, how: str, pieces_left: int) -> None:
        super().__init__({"source": bytes(range(256)) * (16 * KIB), "target": b"old"}, fail=self._break)
        self._how = how
        self.pieces_left = pieces_left

    def _break(self, method: str, place: Place) -> None:
        if place.name != b"source" or method not in ("read_file_range", "read_piece"):
            return
        if method == "read_piece":
            self.pieces_left -= 1
        if self.pieces_left < 0 and self._how == "removed":
            self.objects.pop(b"source", None)
        if self.pieces_left < 0 and self._how == "fails":
            raise StorageFailure("no")


async def copy_data(client: RawSftpClient, source: bytes, target: bytes, start: int = 0) -> Reply:
    body = string(b"copy-data") + string(source) + u64(start) + u64(0) + string(target) + u64(0)
    return await client.request(EXTENDED, body)


@pytest.mark.parametrize("how", ["fails", "removed"])
async def test_after_a_copy_that_failed_midway_close_fails_and_the_old_file_stays(how: str) -> None:
    backend = Breaking(how, pieces_left=6)
    files = FileOptions(range_bytes=64 * KIB, read_ahead_bytes=0)
    async with serving(backend, files=files) as server, server.client() as client:
        source = await client.open(b"/source", R)
        target = await client.open(b"/target", W | CREAT | TRUNC)
        assert (await copy_data(client, source, target, start=1)).code != OK
        assert (await client.request(CLOSE, string(target))).code != OK
        assert backend.contents()["target"] == b"old"
        await client.close(source)


@pytest.mark.parametrize("how", ["fails", "removed"])
async def test_after_a_read_of_a_copy_that_failed_close_fails_and_the_old_file_stays(how: str) -> None:
    backend = Breaking(how, pieces_left=6)
    async with serving(backend) as server, server.client() as client:
        source = await client.open(b"/source", R)
        target = await client.open(b"/target", R | W | CREAT | TRUNC)
        assert (await copy_data(client, source, target)).code == OK
        assert (await client.request(READ, string(target) + u64(0) + u32(10))).code not in (OK, 1)
        assert (await client.request(CLOSE, string(target))).code != OK
        assert backend.contents()["target"] == b"old"
        await client.close(source)


async def test_readdir_after_an_error_in_the_middle_repeats_the_error() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "list_page":
            raise StorageFailure("the storage does not answer")

    backend = MemoryBackend({f"d/{index}": b"" for index in range(30)}, page_entries=10, fail=fail)
    async with serving(backend) as server, server.client() as client:
        handle = await client.opendir(b"/d")
        replies = [await client.request(READDIR, string(handle)) for _ in range(4)]
        assert replies[0].kind == NAME
        said = [(reply.code, reply.text) for reply in replies[1:]]
        assert said == [(FAILURE, "Failure: the storage does not answer")] * 3
        await client.close(handle)


@pytest.mark.parametrize("how", ["renamed", "removed"])
async def test_a_file_that_loses_its_name_while_it_is_read_is_no_such_file_and_not_shorter(how: str) -> None:
    backend = MemoryBackend({"f": bytes(4 * MIB)})
    files = FileOptions(range_bytes=64 * KIB, read_ahead_bytes=0)
    async with serving(backend, files=files) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        assert len(await client.read(handle, 0, KIB)) == KIB
        if how == "renamed":
            await client.rename(b"/f", b"/g")
            assert (await client.stat(b"/g")).size == 4 * MIB
        else:
            await client.remove(b"/f")
        assert (await client.request(READ, string(handle) + u64(3 * MIB) + u32(KIB))).code == NO_SUCH_FILE
        assert (await client.fstat(handle)).size == 4 * MIB
        await client.close(handle)


# ── copies into what is there ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "becomes"),
    [
        (W, b"new456789"),
        (W | CREAT, b"new456789"),
        (W | APPEND, b"old456789new"),
        (W | CREAT | APPEND, b"old456789new"),
    ],
)
async def test_copy_data_into_a_file_that_is_not_truncated_keeps_the_rest_of_it(
    flags: int, becomes: bytes
) -> None:
    backend = MemoryBackend({"source": b"new", "target": b"old456789"})
    async with serving(backend) as server, server.client() as client:
        source = await client.open(b"/source", R)
        target = await client.open(b"/target", flags)
        assert (await copy_data(client, source, target)).code == OK
        await client.close(target)
        await client.close(source)
    assert backend.contents()["target"] == becomes
