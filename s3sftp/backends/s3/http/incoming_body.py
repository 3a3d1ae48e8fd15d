"""Passes the body of one reply from the connection that receives it to its reader."""

from __future__ import annotations

import asyncio
from typing import Protocol

from s3sftp.backends.s3.http.receive_buffers import ReceiveBufferPool, ReceivedBytes


class BodySource(Protocol):
    """The connection that a body comes from."""

    loop: asyncio.AbstractEventLoop

    def taken(self, body: IncomingBody) -> None:
        """Resume receiving if the reader has made room for more of the body."""

    def abandon(self, body: IncomingBody) -> None:
        """Stop receiving: the reader does not want the rest."""


class IncomingBody:
    """The body of one reply as it arrives: its bytes, whether they are complete, and its error."""

    def __init__(self, source: BodySource, buffers: ReceiveBufferPool) -> None:
        self.arrivals = ReceivedBytes(buffers)
        self.is_complete = False
        self.failure: Exception | None = None
        self._source = source
        self._waiter: asyncio.Future[None] | None = None

    def take(self) -> memoryview | None:
        """Return what has arrived and was not taken. Empty: the body has ended. None: call `wait`. Raises the
        error that broke the body."""
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
        """Wait until `take` returns something new.

        Raises TimeoutError: if nothing arrives within `seconds`.
        """
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
        """Wake the reader, if it waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abandon(self) -> None:
        """Drop the rest. Unless the body is complete, the connection is closed."""
        if not self.is_complete:
            self._source.abandon(self)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("nothing came"))
