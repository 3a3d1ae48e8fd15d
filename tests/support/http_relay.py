"""HTTP/1.1 as a relay sees it: heads are passed on as they came, bodies are copied piece by piece.

Nothing is rewritten, the Host header included: it is signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from testbed.request_log import headers_of

PIECE = 64 * 1024
_ESTABLISHED = 1
"""First byte of Linux' tcp_info."""


class Gone(Exception):
    """The other end closed or broke the connection."""


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """The next head, its empty line included. Gone at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Gone from error


def without(head: bytes, name: str) -> bytes:
    """A head without one of its fields."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(f"{name}:".encode()))


def status_of(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def is_last(head: bytes) -> bool:
    """Whether the connection ends with the message that has this head."""
    first, _, rest = head.decode("latin-1").partition("\r\n")
    wish = headers_of(rest.split("\r\n")).get("connection", "").lower()
    return wish == "close" or ("HTTP/1.0" in first and wish != "keep-alive")


async def body_pieces(
    reader: asyncio.StreamReader, headers: dict[str, str], *, until_close: bool = False
) -> AsyncIterator[tuple[bytes, int]]:
    """Yield a body as (bytes to pass on, how many of them are payload). Gone when it ends too early.

    `until_close`: a body without a length lasts until the connection ends (answers only).
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        async for piece in _chunked(reader):
            yield piece
    elif "content-length" in headers:
        async for data in _counted(reader, int(headers["content-length"])):
            yield data, len(data)
    elif until_close:
        while data := await reader.read(PIECE):
            yield data, len(data)


async def _counted(reader: asyncio.StreamReader, left: int) -> AsyncIterator[bytes]:
    while left:
        try:
            data = await reader.read(min(left, PIECE))
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        left -= len(data)
        yield data


async def _chunked(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, int]]:
    while True:
        line = await _line(reader)
        yield line, 0
        size = int(line.split(b";")[0], 16)
        if not size:
            break
        async for data in _counted(reader, size):
            yield data, len(data)
        yield await _line(reader), 0
    while (line := await _line(reader)) != b"\r\n":
        yield line, 0
    yield line, 0


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Gone from error


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write and wait for the buffer to drain. Gone when nobody reads any more."""
    try:
        writer.write(data)
        await writer.drain()
    except (OSError, RuntimeError) as error:
        raise Gone from error


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST: what was not read yet is lost."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def is_gone(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end has closed or broken the connection, read or not."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if writer.is_closing() or connection is None:
        return True
    state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != _ESTABLISHED


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        async with asyncio.timeout(2):
            await writer.wait_closed()


class Upstream:
    """The connection to the S3 server that belongs to one connection of a client."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection; a new one when there is none, or S3 ended it while it was idle."""
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self.close()
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection(*self._address, limit=4 * PIECE)
            except OSError as error:
                raise Gone from error
        return self._streams

    async def close(self) -> None:
        """Let go of the connection; the next request gets a new one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            await close(streams[1])
