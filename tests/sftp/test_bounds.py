"""What one session, one user and all readers together may take at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from s3sftp.backends import FileInfo, Place, Session, Upload
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from s3sftp.sftp import SftpOptions
from testbed.packets import (
    ATTRS,
    CLOSE,
    CREAT,
    EXCL,
    FAILURE,
    FSTAT,
    HANDLE,
    OK,
    OPEN,
    STAT,
    TRUNC,
    Attributes,
    R,
    Reply,
    W,
    string,
    u32,
)
from testbed.raw_client import RawSftpClient
from tests.sftp.session_server import serving

pytestmark = pytest.mark.usefixtures("log_level")

KIB, MIB = 1 << 10, 1 << 20


class Stuck(MemoryBackend):
    """Chunks and questions wait until they are let go; counts those that wait."""

    def __init__(self, seed: dict[str, bytes] | None = None, *, chunk_bytes: int = MIB) -> None:
        super().__init__(seed, chunk_bytes=chunk_bytes)
        self.let_go = asyncio.Event()
        self.waiting = 0
        self.most_waiting = 0

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        await self._wait()
        return await super().file_info(place, session)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self._wait()
        await super().write_chunk(upload, data, session)

    async def _wait(self) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await self.let_go.wait()
        finally:
            self.waiting -= 1


class Counting(MemoryBackend):
    """Knows how many ranged reads are open."""

    open_reads = 0

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        self.open_reads += 1
        try:
            async for piece in super().read_file_range(place, start, stop, version, session):
                yield piece
        finally:
            self.open_reads -= 1


async def until_unsent_bytes_settle(client: RawSftpClient) -> int:
    """Wait until the server has stopped reading; the bytes that the client still has."""
    unsent = client.process.channel.get_write_buffer_size()
    still = 0
    async with asyncio.timeout(20):
        while still < 10:
            await asyncio.sleep(0.05)
            now = client.process.channel.get_write_buffer_size()
            still = still + 1 if now == unsent else 0
            unsent = now
    return unsent


async def test_writes_to_a_storage_that_is_stuck_stop_being_read_from_the_connection() -> None:
    backend = Stuck(chunk_bytes=64 * KIB)
    options = SftpOptions(receive_buffer_bytes=256 * KIB, max_requests_in_flight=100_000)
    data = bytes(range(256)) * (64 * KIB)
    async with serving(backend, sftp=options) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        blocks = range(0, len(data), 32 * KIB)
        writes = [client.sending_write(handle, at, data[at : at + 32 * KIB]) for at in blocks]
        unsent = await until_unsent_bytes_settle(client)
        backend.let_go.set()
        window = 2 * MIB
        assert len(data) - unsent <= options.receive_buffer_bytes + window + 512 * KIB
        assert {(await write).code for write in writes} == {OK}
        await client.close(handle)
    assert backend.contents() == {"f": data}


async def test_requests_that_queued_behind_a_write_are_answered_in_their_order() -> None:
    backend = Stuck(chunk_bytes=64 * KIB)
    data = bytes(range(256)) * (2 * KIB)
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", W | CREAT | TRUNC)
        blocks = range(0, len(data), 32 * KIB)
        answered: list[int] = []

        async def note(index: int, answer: Awaitable[Reply]) -> Reply:
            reply = await answer
            answered.append(index)
            return reply

        sent: list[Awaitable[Reply]] = []
        for at in blocks:
            sent.append(client.sending_write(handle, at, data[at : at + 32 * KIB]))
            sent.append(client.request(FSTAT, string(handle)))
        replies = asyncio.gather(*(note(index, answer) for index, answer in enumerate(sent)))
        async with asyncio.timeout(20):
            while not backend.waiting:
                await asyncio.sleep(0.01)
        backend.let_go.set()
        shown = [Attributes.parse(reply.must_be(ATTRS), 0)[0].size for reply in (await replies)[1::2]]
        assert shown == [at + 32 * KIB for at in blocks]
        assert answered == list(range(len(sent)))
        await client.close(handle)
    assert backend.contents() == {"f": data}


async def test_no_more_requests_are_begun_than_may_be_in_flight() -> None:
    backend = Stuck({"f": b"x"})
    options = SftpOptions(max_requests_in_flight=4)
    async with serving(backend, sftp=options) as server, server.client() as client:
        stats = [client.request(STAT, string(b"/f")) for _ in range(20)]
        async with asyncio.timeout(20):
            while backend.waiting < 4:
                await asyncio.sleep(0.01)
        async with server.client() as other:  # all that was sent has arrived by now
            await other.realpath(b"/")
        backend.let_go.set()
        assert {(await stat).code for stat in stats} == {OK}
        assert backend.most_waiting == 4


@pytest.mark.slow
@pytest.mark.parametrize("budget", [16 * MIB, 64 * MIB])
@pytest.mark.parametrize(("block", "rounds"), [(1, 40), (32 * KIB, 48)])
async def test_many_downloads_at_once_stay_within_the_budget(budget: int, block: int, rounds: int) -> None:
    data = bytes(range(256)) * (32 * KIB)
    backend = MemoryBackend({"f": data}, read_bytes=64 * KIB)
    readers = 40
    async with serving(backend, files=FileOptions(buffer_bytes=budget)) as server, server.client() as client:
        handles = [await client.open(b"/f", R) for _ in range(readers)]
        for at in range(0, rounds * block, block):
            pieces = await asyncio.gather(*(client.read(handle, at, block) for handle in handles))
            assert set(pieces) == {data[at : at + block]}
        asked = readers * (block + backend.read_bytes)  # the storage's pieces are not cut to what was asked
        assert server.volume.budget.peak <= budget + asked
        for handle in handles:
            await client.close(handle)


async def test_a_reader_that_jumps_leaves_few_ranged_reads_behind() -> None:
    backend = Counting({"f": bytes(60 * MIB)})
    files = FileOptions(range_bytes=512 * KIB)  # less than a jump, so that no range has two of them
    async with serving(backend, files=files) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        for jump in range(60):
            start = jump * 17 % 60 * MIB
            for at in (start, start + 32 * KIB):
                assert len(await client.read(handle, at, 32 * KIB)) == 32 * KIB
        assert backend.open_reads <= 12
        await client.close(handle)
        assert backend.open_reads == 0


async def test_opens_sent_at_once_get_no_more_uploads_than_a_user_may_have() -> None:
    options = FileOptions(max_uploads_per_user=10)
    async with serving(MemoryBackend(latency=0.01), files=options) as server, server.client() as client:
        flags = u32(W | CREAT | EXCL) + u32(0)
        opens = [client.request(OPEN, string(b"/f%d" % index) + flags) for index in range(100)]
        replies = [await each for each in opens]
        assert [reply.kind for reply in replies].count(HANDLE) == 10
        refused = {(reply.code, reply.text) for reply in replies if reply.kind != HANDLE}
        assert refused == {(FAILURE, "Failure: too many uploads at once (at most 10)")}
        closes = [client.request(CLOSE, reply.body) for reply in replies if reply.kind == HANDLE]
        assert {(await close).code for close in closes} == {OK}
