"""An SFTP client that sends any packet, valid or not, over a real SSH channel.

Requests can be pipelined; answers are matched by their id.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncssh

from testbed.packets import (
    ATTRS,
    CLOSE,
    CREAT,
    DATA,
    EOF,
    EXTENDED,
    FSETSTAT,
    FSTAT,
    HANDLE,
    INIT,
    MKDIR,
    NAME,
    NO_ATTRIBUTES,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    REALPATH,
    REMOVE,
    RENAME,
    RMDIR,
    SETSTAT,
    STAT,
    STATUS,
    TRUNC,
    VERSION,
    WRITE,
    Attributes,
    R,
    Reply,
    W,
    packet,
    read_string,
    string,
    u32,
    u64,
)


class Ended(Exception):
    """The server ended the session before it answered."""


class RawSftpClient:
    """One SFTP session, seen from the client."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes]
    ) -> None:
        self.connection = connection
        self.process = process
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._version: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.unasked: list[bytes] = []
        """Packets that no request asked for."""
        self._pump = asyncio.create_task(self._receive())

    # raw

    def send(self, data: bytes) -> None:
        """Send bytes as they are. Ignored when the session has ended already."""
        if not self.process.channel.is_closing():
            self.process.stdin.write(data)

    def request(self, kind: int, body: bytes) -> asyncio.Future[Reply]:
        """Send a request and return at once; the answer comes through the future, or Ended."""
        request_id = next(self._ids)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # An answer that nobody asks for any more must not be a warning
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._pump.done():
            answer.set_exception(Ended())
            return answer
        self._waiting[request_id] = answer
        self.send(packet(kind, body, request_id))
        return answer

    async def init(self) -> dict[bytes, bytes]:
        """Say hello; returns the extensions that the server announces."""
        self.send(packet(INIT, u32(3)))
        body = await asyncio.shield(self._version)
        assert body[:4] == u32(3)
        extensions, at = {}, 4
        while at < len(body):
            name, at = read_string(body, at)
            extensions[name], at = read_string(body, at)
        return extensions

    async def ended(self) -> int | None:
        """Wait until the server has ended the session; its exit status."""
        await self._pump
        await self.process.wait_closed()
        return self.process.exit_status

    @property
    def is_alive(self) -> bool:
        return not self._pump.done()

    # operations

    async def open(self, path: bytes, flags: int, attributes: bytes = NO_ATTRIBUTES) -> bytes:
        reply = await self.request(OPEN, string(path) + u32(flags) + attributes)
        return read_string(reply.must_be(HANDLE), 0)[0]

    async def opendir(self, path: bytes) -> bytes:
        return read_string((await self.request(OPENDIR, string(path))).must_be(HANDLE), 0)[0]

    def sending_close(self, handle: bytes) -> asyncio.Future[Reply]:
        return self.request(CLOSE, string(handle))

    async def close(self, handle: bytes) -> None:
        (await self.sending_close(handle)).must_be(STATUS)

    async def read(self, handle: bytes, offset: int, length: int) -> bytes:
        """Bytes; empty at the end of the file."""
        reply = await self.request(READ, string(handle) + u64(offset) + u32(length))
        if reply.kind == STATUS and reply.code == EOF:
            return b""
        return read_string(reply.must_be(DATA), 0)[0]

    def sending_write(self, handle: bytes, offset: int, data: bytes) -> asyncio.Future[Reply]:
        return self.request(WRITE, string(handle) + u64(offset) + string(data))

    async def write(self, handle: bytes, offset: int, data: bytes) -> None:
        (await self.sending_write(handle, offset, data)).must_be(STATUS)

    async def stat(self, path: bytes) -> Attributes:
        return Attributes.parse((await self.request(STAT, string(path))).must_be(ATTRS), 0)[0]

    async def fstat(self, handle: bytes) -> Attributes:
        return Attributes.parse((await self.request(FSTAT, string(handle))).must_be(ATTRS), 0)[0]

    async def truncate(self, handle: bytes, size: int) -> None:
        (await self.request(FSETSTAT, string(handle) + u32(1) + u64(size))).must_be(STATUS)

    async def set_size(self, path: bytes, size: int) -> None:
        (await self.request(SETSTAT, string(path) + u32(1) + u64(size))).must_be(STATUS)

    async def remove(self, path: bytes) -> None:
        (await self.request(REMOVE, string(path))).must_be(STATUS)

    async def mkdir(self, path: bytes) -> None:
        (await self.request(MKDIR, string(path) + NO_ATTRIBUTES)).must_be(STATUS)

    async def rmdir(self, path: bytes) -> None:
        (await self.request(RMDIR, string(path))).must_be(STATUS)

    async def rename(self, source: bytes, target: bytes) -> None:
        (await self.request(RENAME, string(source) + string(target))).must_be(STATUS)

    def sending_posix_rename(self, source: bytes, target: bytes) -> asyncio.Future[Reply]:
        name = string(b"posix-rename@openssh.com")
        return self.request(EXTENDED, name + string(source) + string(target))

    async def posix_rename(self, source: bytes, target: bytes) -> None:
        (await self.sending_posix_rename(source, target)).must_be(STATUS)

    async def realpath(self, path: bytes) -> bytes:
        return read_string((await self.request(REALPATH, string(path))).must_be(NAME), 4)[0]

    async def list(self, path: bytes) -> dict[bytes, Attributes]:
        """A whole directory, without `.` and `..`; a name that comes twice fails."""
        handle = await self.opendir(path)
        found: dict[bytes, Attributes] = {}
        while (reply := await self.request(READDIR, string(handle))).code != EOF:
            body = reply.must_be(NAME)
            at = 4
            for _ in range(struct.unpack_from(">I", body)[0]):
                name, at = read_string(body, at)
                _, at = read_string(body, at)
                attributes, at = Attributes.parse(body, at)
                assert name not in found, f"{name!r} is listed twice"
                found[name] = attributes
            assert at == len(body)
        await self.close(handle)
        return {name: each for name, each in found.items() if name not in (b".", b"..")}

    async def put(
        self, path: bytes, data: bytes, *, block: int = 32768, flags: int = W | CREAT | TRUNC
    ) -> None:
        """Upload a whole file, all blocks in flight at once."""
        handle = await self.open(path, flags)
        blocks = range(0, len(data), block)
        sent = [self.sending_write(handle, at, data[at : at + block]) for at in blocks]
        for each in sent:
            (await each).must_be(STATUS)
        await self.close(handle)

    async def get(self, path: bytes, *, block: int = 32768) -> bytes:
        """Download a whole file; a READ that is short before the end fails."""
        handle = await self.open(path, R)
        size = (await self.fstat(handle)).size or 0
        reads = [self.read(handle, at, block) for at in range(0, size, block)]
        pieces = await asyncio.gather(*reads)
        assert all(len(piece) == block for piece in pieces[:-1]), "short read"
        assert await self.read(handle, size, block) == b""
        await self.close(handle)
        return b"".join(pieces)

    # receiving

    async def _receive(self) -> None:
        try:
            while True:
                (length,) = struct.unpack(">I", await self.process.stdout.readexactly(4))
                self._handle_packet(await self.process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, asyncssh.Error, ConnectionError, BrokenPipeError):
            pass
        finally:
            for each in (*self._waiting.values(), self._version):
                if not each.done():
                    each.set_exception(Ended())
            if not self._version.cancelled():
                self._version.exception()

    def _handle_packet(self, body: bytes) -> None:
        if body[0] == VERSION:
            if self._version.done():
                self.unasked.append(body)
            else:
                self._version.set_result(body[1:])
            return
        (request_id,) = struct.unpack_from(">I", body, 1)
        answer = self._waiting.pop(request_id, None)
        if answer is None:
            self.unasked.append(body)
        elif not answer.done():
            answer.set_result(Reply(body[0], body[5:]))


@asynccontextmanager
async def wire(
    connection: asyncssh.SSHClientConnection, *, init: bool = True
) -> AsyncIterator[RawSftpClient]:
    """A new SFTP session on a connection, ended as a client ends it."""
    process = await connection.create_process(subsystem="sftp", encoding=None, stderr=asyncssh.DEVNULL)
    running = RawSftpClient(connection, process)
    try:
        if init:
            await running.init()
        yield running
    finally:
        if running.is_alive:
            process.stdin.write_eof()
        await asyncio.wait_for(running.ended(), 30)
