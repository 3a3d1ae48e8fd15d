"""The body of one answer on its way: between the connection that receives and the reader who takes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from s3sftp.backends.s3.http.receive_buffers import ReceiveBufferPool, ReceivedBytes


class BodySource(Protocol):
    """Where a body comes from."""

    loop: asyncio.AbstractEventLoop

    def taken(self, body: IncomingBody) -> None:
        """There is room again for more of it."""

    def abandon(self, body: IncomingBody) -> None:
        """Nobody wants the rest."""


class IncomingBody:
    """The body of one answer on its way: what came, whether that is all, what broke it."""

    def __init__(self, source: BodySource, buffers: ReceiveBufferPool) -> None:
        self.arrivals = ReceivedBytes(buffers)
        self.is_complete = False
        self.failure: Exception | None = None
        self._source = source
        self._waiter: asyncio.Future[None] | None = None

    def take(self) -> memoryview | None:
        """What came and was not taken; empty: that was all; None: `wait`. Raises what broke the body."""
        piece = self.arrivals.take()
        if piece is not None:
            self._source.taken(self)
            return piece
        if self.is_complete:
            return memoryview(b"")
        if self.failure is not None:
            raise self.failure
        return None

    async def wait(self, seconds: float) -> None:
        """Wait until `take` knows more. Raises TimeoutError."""
        if self.arrivals.waiting or self.is_complete or self.failure is not None:
            return
        loop = self._source.loop
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(seconds, _give_up, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def wake(self) -> None:
        """There is news for who waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abandon(self) -> None:
        """Nobody wants the rest: unless all of it came, the connection is of no more use."""
        if not self.is_complete:
            self._source.abandon(self)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("nothing came"))
