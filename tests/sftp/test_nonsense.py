"""What clients must not send: each gets a clear status or the end of its own session, and nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.sftp import SftpOptions
from testbed.packets import (
    APPEND,
    BAD_MESSAGE,
    CLOSE,
    CREAT,
    DATA,
    EXTENDED,
    FAILURE,
    FSETSTAT,
    FSTAT,
    INIT,
    NO_ATTRIBUTES,
    OP_UNSUPPORTED,
    OPEN,
    READ,
    READDIR,
    REALPATH,
    SETSTAT,
    STAT,
    TRUNC,
    WRITE,
    R,
    Refused,
    W,
    packet,
    read_string,
    string,
    u32,
    u64,
)
from testbed.raw_client import Ended, RawSftpClient
from tests.sftp.session_server import Serving, serving

CONTENT = bytes(range(256)) * 40

MSG_CHANNEL_EXTENDED_DATA = 95
"""RFC 4254 section 5.2."""


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend({"file": CONTENT, "d/inner": b"inner"}, chunk_bytes=4096, parallel_chunks=2)


@pytest.fixture
async def server(backend: MemoryBackend) -> AsyncIterator[Serving]:
    """A server on which, whatever a test does, another session works and no upload is left."""
    before = dict(backend.contents())
    async with serving(backend) as running:
        async with running.client("witness") as witness:
            yield running
            assert await witness.get(b"/file") == CONTENT
        await running.lets_everything_go()
    assert backend.open_uploads == 0
    assert backend.contents() == before


@pytest.fixture
async def client(server: Serving) -> AsyncIterator[RawSftpClient]:
    async with server.client() as session:
        yield session


class TestTheSessionEnds:
    """When what comes is no packet, or not the first or second time that it may come."""

    @pytest.mark.parametrize(
        ("what", "data"),
        [
            ("a request", packet(STAT, string(b"/"), 1)),
            ("an unknown packet", packet(99, b"", 1)),
            ("INIT without a version", packet(INIT)),
            ("INIT of version 2", packet(INIT, u32(2))),
            ("a length of zero", u32(0)),
            ("a length of 4 GiB", u32(0xFFFFFFFF)),
            ("text", b"GET / HTTP/1.1\r\n\r\n"),
            ("zeros", bytes(100)),
        ],
    )
    async def test_when_it_begins_with_anything_but_init(
        self, server: Serving, what: str, data: bytes
    ) -> None:
        async with server.client(init=False) as client:
            client.send(data)
            assert await asyncio.wait_for(client.ended(), 10) not in (0, None), what
            with pytest.raises(Ended):
                await client.init()

    @pytest.mark.parametrize(
        ("what", "data"),
        [
            ("INIT twice", packet(INIT, u32(3))),
            ("a length of zero", u32(0)),
            ("a length of 4 GiB", u32(0xFFFFFFFF)),
            ("a WRITE of 5 MB", packet(WRITE, string(b"h") + u64(0) + string(bytes(5_000_000)), 1)),
            ("a path of 1 MB", packet(STAT, string(b"x" * 1_000_000), 1)),
            ("a packet without an id", packet(STAT)),
            ("half an id", packet(STAT, b"\0\0")),
        ],
    )
    async def test_when_a_packet_cannot_be_one(self, client: RawSftpClient, what: str, data: bytes) -> None:
        client.send(data)
        assert await asyncio.wait_for(client.ended(), 10) not in (0, None), what

    async def test_when_extended_data_comes(self, client: RawSftpClient) -> None:
        """asyncssh's client does not send it, so it is sent below that."""
        client.process.channel.send_packet(MSG_CHANNEL_EXTENDED_DATA, u32(1), string(b"to stderr"))
        await asyncio.wait_for(client.ended(), 10)
        with pytest.raises(Ended):
            await client.stat(b"/")

    async def test_and_an_open_upload_is_aborted(self, client: RawSftpClient, backend: MemoryBackend) -> None:
        handle = await client.open(b"/new", W | CREAT | TRUNC)
        await client.write(handle, 0, bytes(10_000))
        assert backend.open_uploads == 1
        client.send(u32(0))
        await asyncio.wait_for(client.ended(), 10)
        assert backend.open_uploads == 0

    async def test_cleanly_after_half_a_packet_and_an_end_of_file(self, client: RawSftpClient) -> None:
        client.send(packet(STAT, string(b"/"), 1)[:-1])
        client.process.stdin.write_eof()
        assert await asyncio.wait_for(client.ended(), 10) == 0


class TestAStatusSaysWhatIsWrong:
    """The session goes on."""

    async def test_of_an_unknown_type(self, client: RawSftpClient) -> None:
        for kind in (0, 2, 21, 99, 101, 105, 199, 201, 255):
            assert (await client.request(kind, b"anything")).code == OP_UNSUPPORTED, kind

    @pytest.mark.parametrize(
        "body", [b"", b"\0", u32(4), u32(0xFFFFFFFF) + b"abc", u32(0x7FFFFFFF)], ids=repr
    )
    async def test_of_fields_that_are_not_there(self, client: RawSftpClient, body: bytes) -> None:
        for kind in (*range(3, 21), EXTENDED):
            assert (await client.request(kind, body)).code == BAD_MESSAGE, kind

    @pytest.mark.parametrize("handle", [b"", b"x", b"\xff" * 4, b"\0" * 8, b"h" * 100_000], ids=len)
    async def test_of_an_unknown_handle(self, client: RawSftpClient, handle: bytes) -> None:
        rests = {
            CLOSE: b"",
            READ: u64(0) + u32(1),
            WRITE: u64(0) + string(b"x"),
            FSTAT: b"",
            FSETSTAT: u32(0),
        }
        for kind, rest in (rests | {READDIR: b""}).items():
            assert (await client.request(kind, string(handle) + rest)).code == FAILURE, kind

    async def test_of_another_sessions_handle(self, client: RawSftpClient, server: Serving) -> None:
        handles = [await client.open(b"/file", R) for _ in range(3)]
        async with server.client("alice") as other:
            for handle in handles:
                with pytest.raises(Refused):
                    await other.read(handle, 0, 1)
                with pytest.raises(Refused):
                    await other.close(handle)
        assert await client.read(handles[0], 0, 3) == CONTENT[:3]

    async def test_of_a_closed_handle(self, client: RawSftpClient) -> None:
        handle = await client.open(b"/file", R)
        await client.close(handle)
        for request in (client.read(handle, 0, 1), client.close(handle), client.fstat(handle)):
            with pytest.raises(Refused):
                await request

    @pytest.mark.parametrize("count", [0xFFFFFFFF, 0x40000000, 1])
    @pytest.mark.parametrize("kind", [SETSTAT, FSETSTAT, OPEN])
    async def test_of_attributes_that_cannot_be_there(
        self, client: RawSftpClient, kind: int, count: int
    ) -> None:
        first = await client.open(b"/file", R) if kind == FSETSTAT else b"/file"
        flags = u32(R) if kind == OPEN else b""
        reply = await client.request(kind, string(first) + flags + u32(0x80000000) + u32(count))
        assert reply.code == BAD_MESSAGE

    @pytest.mark.parametrize("flags", [R, W | CREAT | TRUNC, R | W | CREAT | TRUNC, W | APPEND])
    async def test_of_a_negative_offset(self, client: RawSftpClient, flags: int) -> None:
        handle = await client.open(b"/file", flags)
        for offset in (1 << 63, (1 << 64) - 1, (1 << 63) + 5):
            reply = await client.request(READ, string(handle) + u64(offset) + u32(1))
            assert reply.code not in (0, 1)
            assert (await client.sending_write(handle, offset, b"x")).code not in (0, 1)

    @pytest.mark.parametrize("offset", [(1 << 62), (1 << 63) - 1])
    async def test_of_a_write_far_away(self, client: RawSftpClient, offset: int) -> None:
        handle = await client.open(b"/file", W | CREAT | TRUNC)
        await client.sending_write(handle, offset, b"x")
        async with asyncio.timeout(20):
            with pytest.raises(Refused):
                await client.close(handle)

    @pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, (1 << 64) - 1])
    async def test_of_an_absurd_size(self, client: RawSftpClient, size: int) -> None:
        """At once: not after a gigabyte of zeros."""
        async with asyncio.timeout(20):
            with pytest.raises(Refused):
                await client.set_size(b"/file", size)

    @pytest.mark.parametrize("kind", [WRITE, READDIR])
    async def test_of_a_handle_that_is_for_something_else(self, client: RawSftpClient, kind: int) -> None:
        handle = await client.open(b"/file", R)
        reply = await client.request(kind, string(handle) + u64(0) + string(b"x"))
        assert reply.code not in (0, 1)

    async def test_of_a_directory_that_is_read_as_a_file(self, client: RawSftpClient) -> None:
        handle = await client.opendir(b"/d")
        assert (await client.request(READ, string(handle) + u64(0) + u32(1))).code not in (0, 1)
        assert (await client.sending_write(handle, 0, b"x")).code not in (0, 1)
        with pytest.raises(Refused):
            await client.open(b"/d", R)

    @pytest.mark.parametrize("flags", [0, CREAT | TRUNC, 0xFFFFFFC0])
    async def test_of_flags_that_ask_for_nothing(self, client: RawSftpClient, flags: int) -> None:
        with pytest.raises(Refused):
            await client.open(b"/file", flags)

    @pytest.mark.parametrize("name", [b"", b"nobody@example.com", b"\xff\0", b"x" * 100_000], ids=len)
    async def test_of_an_unknown_extension(self, client: RawSftpClient, name: bytes) -> None:
        assert (await client.request(EXTENDED, string(name) + b"anything")).code == OP_UNSUPPORTED

    @pytest.mark.parametrize("path", [b"a\0b", b"\0", b"x" * 5000, b"/".join([b"d"] * 3000)], ids=len)
    async def test_of_a_path_that_cannot_be(self, client: RawSftpClient, path: bytes) -> None:
        for kind, rest in ((STAT, b""), (REALPATH, b""), (OPEN, u32(R) + NO_ATTRIBUTES)):
            assert (await client.request(kind, string(path) + rest)).code not in (0, 1), kind

    @pytest.mark.slow
    async def test_when_there_are_too_many_handles(self, client: RawSftpClient) -> None:
        most = SftpOptions().max_handles
        replies = await asyncio.gather(
            *(client.request(OPEN, string(b"/file") + u32(R) + NO_ATTRIBUTES) for _ in range(3000))
        )
        opened = [read_string(reply.body, 0)[0] for reply in replies if reply.code == 0]
        assert len(opened) == most
        assert {reply.code for reply in replies} == {0, FAILURE}
        await client.close(opened[0])
        assert await client.open(b"/file", R)


class TestItIsBorne:
    """Odd, but some client sends it."""

    async def test_bytes_after_the_data_of_a_write(
        self, client: RawSftpClient, backend: MemoryBackend
    ) -> None:
        handle = await client.open(b"/new", W | CREAT | TRUNC)
        body = string(handle) + u64(0) + string(b"data") + b"trailing"
        assert (await client.request(WRITE, body)).code == 0
        await client.close(handle)
        assert backend.contents()["new"] == b"data"
        await client.remove(b"/new")

    @pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 1 << 20])
    async def test_a_read_longer_than_the_limit(self, client: RawSftpClient, length: int) -> None:
        handle = await client.open(b"/file", R)
        assert await client.read(handle, 0, length) == CONTENT

    async def test_a_read_of_nothing(self, client: RawSftpClient) -> None:
        handle = await client.open(b"/file", R)
        reply = await client.request(READ, string(handle) + u64(0) + u32(0))
        assert (reply.kind, reply.body) == (DATA, u32(0))

    async def test_the_same_request_id_twice(self, client: RawSftpClient) -> None:
        client.send(packet(STAT, string(b"/"), 7) * 2)
        await client.stat(b"/")
        assert len(client.unasked) == 2

    async def test_packets_that_come_byte_by_byte(self, client: RawSftpClient) -> None:
        for byte in packet(STAT, string(b"/file"), 0xFFFFFFFF):
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        await client.stat(b"/")
        assert len(client.unasked) == 1

    async def test_a_later_version_with_extensions(self, server: Serving) -> None:
        async with server.client(init=False) as client:
            client.send(packet(INIT, u32(6) + string(b"ext@example.com") + string(b"1")))
            assert await client.stat(b"/file")
