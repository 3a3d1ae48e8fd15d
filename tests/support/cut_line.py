"""A line between client and server that is cut after so many bytes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""


async def _nothing() -> None:
    return


class CutLine:
    """A relay on a port of its own. `target` may be changed at any time, for connections to come."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.sent = 0
        """Bytes that clients have sent since the last `cut_at`."""
        self.is_down = False
        """Whether nobody gets through."""
        self._cut_at: int | None = None
        self._then: Callable[[], Awaitable[object]] = _nothing
        self._resets = True
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CutLine:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def cut_at(
        self,
        count: int | None,
        then: Callable[[], Awaitable[object]] | None = None,
        *,
        resets: bool = True,
    ) -> None:
        """Cut the line when the client has sent so many bytes, after awaiting `then`. It is down until the
        next call. `resets`: whether both ends are reset. Otherwise what the client sends is lost from then
        on, and the line ends when one of its ends does."""
        self.is_down, self._resets = False, resets
        self.sent, self._cut_at, self._then = 0, count, then or _nothing

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            _reset(writer)
            return
        there, away = await asyncio.open_connection(*self.target)
        ends = (writer, away)
        tasks = [
            asyncio.create_task(self._pump(reader, away, ends, counts=True)),
            asyncio.create_task(self._pump(there, writer, ends, counts=False)),
        ]
        for task in tasks:
            self._lines.add(task)
            task.add_done_callback(self._lines.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
        *,
        counts: bool,
    ) -> None:
        try:
            while data := await source.read(64 << 10):
                if counts:
                    self.sent += len(data)
                    if self._cut_at is not None and self.sent >= self._cut_at:
                        self._cut_at, self.is_down = None, True
                        await self._then()
                        if self._resets:
                            for end in ends:
                                _reset(end)
                        else:
                            while await source.read(64 << 10):
                                pass
                        return
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


def _reset(end: asyncio.StreamWriter) -> None:
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.transport.abort()
