"""An S3 store that says, byte by byte, what a test wrote down: what no well-behaved server would send."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

BLANK_LINE = b"\r\n\r\n"


class Wire:
    """One request's connection, for who plays the store."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> None:
        self._reader = reader
        self._writer = writer
        self.request = request
        self.sent = 0

    async def send(self, *pieces: bytes) -> None:
        """Send the pieces, each on its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            self.sent += len(piece)
            if len(pieces) > 1:
                await asyncio.sleep(0.001)

    async def take(self, count: int) -> bytes:
        """So many bytes of the request's body."""
        return await self._reader.readexactly(count)

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        self._writer.transport.abort()

    def reset_by_kernel(self) -> None:
        """Close with RST instead of FIN."""
        socket_of = self._writer.get_extra_info("socket")
        socket_of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reset()

    async def closed_by_peer(self) -> None:
        with contextlib.suppress(OSError):
            while await self._reader.read(1 << 16):
                pass

    @property
    def is_closed(self) -> bool:
        return self._writer.is_closing()


Play = Callable[[Wire], Awaitable[None]]


class RawStore:
    """Answers the first request with the first play, and so on; the last play answers all that follow."""

    def __init__(self, *plays: Play, tls: ssl.SSLContext | None = None) -> None:
        self._plays = plays
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.open = 0
        self._changed = asyncio.Condition()
        self.requests: list[str] = []
        self.port = 0

    async def __aenter__(self) -> RawStore:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    async def until_open(self, count: int) -> None:
        """Wait until so many connections are open."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.open == count)

    async def until_asked(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        await self._count(1)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        self.open += change
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(BLANK_LINE)).decode("utf-8", "surrogateescape")
            self.requests.append(head)
            await self._count(0)
            wire = Wire(reader, writer, head)
            await self._plays[min(len(self.requests), len(self._plays)) - 1](wire)
            if wire.is_closed:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return


def head_of(status: str, *fields: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode()


def error(status: str, code: str) -> bytes:
    """An error as S3 says it."""
    text = f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
    return head_of(status, "Content-Type: application/xml", f"Content-Length: {len(text)}") + text


def sends(*pieces: bytes, then: str = "") -> Play:
    """Send these bytes; then `close`, `reset` or nothing."""

    async def play(wire: Wire) -> None:
        await wire.send(*pieces)
        if then:
            getattr(wire, then)()

    return play
