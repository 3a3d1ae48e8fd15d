"""check-file in the forms that clients send, and its bounds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from s3sftp.backends import Buffer, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions, FileSystem, Mounts
from s3sftp.sftp import SftpOptions
from testbed.packets import (
    CREAT,
    EXTENDED,
    EXTENDED_REPLY,
    FAILURE,
    NO_SUCH_FILE,
    OP_UNSUPPORTED,
    PERMISSION_DENIED,
    TRUNC,
    R,
    Reply,
    W,
    read_string,
    string,
    u32,
    u64,
)
from testbed.raw_client import RawSftpClient
from tests.backends.minimal_backends import WholeFiles
from tests.sftp.session_server import serving

DATA = bytes(range(256)) * 400
MD5 = hashlib.md5(DATA).digest()


def asking(
    client: RawSftpClient,
    form: bytes,
    target: bytes,
    algorithms: bytes,
    start: int = 0,
    length: int = 0,
    block: int = 0,
) -> asyncio.Future[Reply]:
    body = string(form) + string(target) + string(algorithms) + u64(start) + u64(length) + u32(block)
    return client.request(EXTENDED, body)


async def by_name(
    client: RawSftpClient, target: bytes, algorithms: bytes, *numbers: int
) -> tuple[bytes, bytes]:
    """The algorithm and the hashes."""
    body = (await asking(client, b"check-file-name", target, algorithms, *numbers)).must_be(EXTENDED_REPLY)
    algorithm, at = read_string(body, 0)
    return algorithm, body[at:]


class Slow(MemoryBackend):
    """Each read waits until it is let go on."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.reading = 0
        self.most = 0
        self.go_on = asyncio.Event()

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await self.go_on.wait()
            async for piece in super().read_file_range(place, start, stop, version, session):
                yield piece
        finally:
            self.reading -= 1


async def test_winscp_asks_by_name_and_reads_algorithm_and_hash() -> None:
    async with serving(MemoryBackend({"d/f": DATA})) as server, server.client(init=False) as client:
        assert b"check-file" in await client.init()  # what it looks for, although it asks by name
        reply = await asking(client, b"check-file-name", b"/d/f", b"sha1")
        assert reply.must_be(EXTENDED_REPLY) == string(b"sha1") + hashlib.sha1(DATA).digest()


async def test_by_handle_as_the_draft_and_as_paramiko_have_it() -> None:
    async with serving(MemoryBackend({"f": DATA})) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        reply = await asking(client, b"check-file-handle", handle, b"md5")
        assert reply.must_be(EXTENDED_REPLY) == string(b"md5") + MD5
        reply = await asking(client, b"check-file", handle, b"md5")
        assert reply.must_be(EXTENDED_REPLY) == string(b"check-file") + string(b"md5") + MD5
        await client.close(handle)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
async def test_the_first_algorithm_that_is_known_is_taken(name: str) -> None:
    async with serving(MemoryBackend({"f": DATA})) as server, server.client() as client:
        wanted = b"whirlpool," + name.encode() + b",crc32"
        assert await by_name(client, b"/f", wanted) == (name.encode(), hashlib.new(name, DATA).digest())


async def test_ranges_and_blocks() -> None:
    async with serving(MemoryBackend({"f": DATA, "empty": b""})) as server, server.client() as client:
        for start, length in ((0, 5), (7, 1000), (99_000, 0), (len(DATA), 0), (10, 1 << 40)):
            part = DATA[start : start + length] if length else DATA[start:]
            assert (await by_name(client, b"/f", b"md5", start, length))[1] == hashlib.md5(part).digest()
        hashes = (await by_name(client, b"/f", b"md5", 100, 1000, 300))[1]
        blocks = [DATA[at : min(at + 300, 1100)] for at in range(100, 1100, 300)]
        assert hashes == b"".join(hashlib.md5(each).digest() for each in blocks)
        assert (await by_name(client, b"/empty", b"md5"))[1] == hashlib.md5(b"").digest()


async def test_what_cannot_be_hashed_says_why() -> None:
    async with serving(MemoryBackend({"f": DATA, "d/x": b""})) as server, server.client() as client:
        for target, algorithms, numbers, code, text in (
            (b"/none", b"md5", (), NO_SUCH_FILE, "No such file"),
            (b"/d", b"md5", (), FAILURE, "is a directory"),
            (b"/", b"md5", (), FAILURE, "is a directory"),
            (b"/f", b"md6,", (), OP_UNSUPPORTED, "those are md5, sha1"),
            (b"/f", b"md5", (len(DATA) + 1,), FAILURE, f"ends at {len(DATA)}"),
            (b"/f", b"md5", (1 << 63,), FAILURE, "no file is that large"),
            (b"/f", b"md5", (0, 0, 255), FAILURE, "at least 256"),
        ):
            reply = await asking(client, b"check-file-name", target, algorithms, *numbers)
            assert reply.code == code
            assert text in reply.text
        directory = await client.opendir(b"/d")
        assert (await asking(client, b"check-file-handle", directory, b"md5")).code == PERMISSION_DENIED
        await client.close(directory)


async def test_hashes_that_do_not_fit_into_an_answer_are_refused_before_anything_is_read() -> None:
    backend = Slow({"f": bytes(1 << 20)})
    options = SftpOptions(max_read_bytes=32 * 1024)
    async with serving(backend, sftp=options) as server, server.client() as client:
        reply = await asking(client, b"check-file-name", b"/f", b"sha512", 0, 0, 256)
        assert "room for 512 hashes" in reply.text
        assert backend.most == 0


async def test_a_file_that_is_being_written_is_hashed_as_it_is_stored() -> None:
    async with serving(MemoryBackend({"f": DATA})) as server, server.client() as client:
        handle = await client.open(b"/f", W | R | CREAT | TRUNC)
        await client.write(handle, 0, b"new")
        reply = await asking(client, b"check-file", handle, b"md5")
        assert (reply.code, "after CLOSE" in reply.text) == (PERMISSION_DENIED, True)
        assert (await by_name(client, b"/f", b"md5"))[1] == MD5
        closing = client.sending_close(handle)
        assert (await by_name(client, b"/f", b"md5"))[1] == hashlib.md5(b"new").digest()
        assert (await closing).code == 0


async def test_an_open_file_that_was_replaced_is_not_hashed_as_another() -> None:
    backend = MemoryBackend({"f": DATA})
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        backend.put("f", bytes(len(DATA)))
        reply = await asking(client, b"check-file-handle", handle, b"md5")
        assert (reply.code, "changed" in reply.text) == (FAILURE, True)
        await client.close(handle)


async def test_a_session_hashes_one_file_at_a_time_and_the_process_a_few() -> None:
    backend = Slow({"f": DATA})
    options = FileOptions(max_check_files=2)
    async with serving(backend, files=options) as server:
        async with server.client() as one, server.client() as two, server.client() as three:
            asked = [asking(one, b"check-file-name", b"/f", b"md5") for _ in range(3)]
            while backend.reading < 1:
                await asyncio.sleep(0.001)
            assert (await one.stat(b"/f")).size == len(DATA)  # the session goes on
            assert backend.most == 1
            asked += [asking(each, b"check-file-name", b"/f", b"md5") for each in (two, three)]
            while backend.reading < 2:
                await asyncio.sleep(0.001)
            backend.go_on.set()
            assert {(await each).body for each in asked} == {string(b"md5") + MD5}
            assert backend.most == 2


async def test_hashing_that_takes_too_long_is_an_error() -> None:
    backend = Slow({"f": DATA})
    options = FileOptions(check_file_timeout=timedelta(milliseconds=20))
    async with serving(backend, files=options) as server, server.client() as client:
        reply = await asking(client, b"check-file-name", b"/f", b"md5")
        assert (reply.code, "took longer" in reply.text) == (FAILURE, True)
        assert backend.reading == 0


async def test_a_client_that_leaves_takes_its_hashing_along() -> None:
    backend = Slow({"f": DATA})
    async with serving(backend) as server:
        async with server.client() as client:
            asking(client, b"check-file-name", b"/f", b"md5")
            while not backend.reading:
                await asyncio.sleep(0.001)
            client.process.close()
        await server.until_nothing_is_open()
        assert backend.reading == 0


async def test_who_may_not_read_may_not_hash() -> None:
    from s3sftp.fs import AccessRules, Right

    async with serving(MemoryBackend({"f": DATA})) as server:
        mounts = Mounts.of("", rules=AccessRules(frozenset({Right.WRITE, Right.LIST})))
        server.files = lambda user: FileSystem(server.volume, mounts, Session(user))  # type: ignore[method-assign]
        async with server.client() as client:
            reply = await asking(client, b"check-file-name", b"/f", b"md5")
            assert reply.code == PERMISSION_DENIED
            assert reply.text == "Permission denied: you may not read files here"


async def test_a_storage_of_whole_files_can_be_hashed() -> None:
    async with serving(WholeFiles()) as server, server.client() as client:  # type: ignore[arg-type]
        await client.put(b"/f", DATA)
        assert (await by_name(client, b"/f", b"md5"))[1] == MD5
