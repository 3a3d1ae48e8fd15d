"""Serves requests to the store, one after the other, on one HTTP/1.1 connection.

    idle ─► ask: head ─► body of known length: from the socket into its buffers ─┬─► idle
              ▲          chunked, or until the end: through h11 ─────────────────┤
              └ 1xx                                                              └─► closed

A connection whose reply was not read to its announced end is closed and never serves another request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import h11

from s3sftp.backends.s3.http.http1 import ResponseHead, ResponseHeadReader
from s3sftp.backends.s3.http.incoming_body import IncomingBody
from s3sftp.backends.s3.http.receive_buffers import BUFFER_BYTES, ReceiveBufferPool

_MOST_WAITING: Final = 2 * BUFFER_BYTES
"""Maximum bytes received of a body that its reader does not take."""
_SCRATCH_BYTES: Final = 64 << 10
_PIECE_BYTES: Final = 256 << 10
"""Bytes of a request's body that are given to the socket at once."""


class NoResponse(ConnectionError):
    """The exchange failed before the body of a reply could begin."""

    def __init__(self, reason: str, *, silent: bool) -> None:
        super().__init__(reason)
        self.silent = silent
        """Whether not a single byte of a reply arrived. On a connection that has served before, the request
        may then be repeated."""


class HttpConnection(asyncio.BufferedProtocol):
    """A connection.

    It calls `on_idle` when it can serve another request, and `on_lost` when it never can again.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        buffers: ReceiveBufferPool,
        on_idle: Callable[[HttpConnection], None],
        on_lost: Callable[[HttpConnection], None],
    ) -> None:
        self.loop = loop
        self._buffers = buffers
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._on_end: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._head: ResponseHeadReader | None = None
        self._answer: asyncio.Future[tuple[ResponseHead, IncomingBody]] | None = None
        self._body: IncomingBody | None = None
        self._left = 0
        self._codec: h11.Connection | None = None
        self._scratch = memoryview(b"")
        self._keeps = False
        self._paused = False
        self._is_full = False
        """Whether the socket's buffer is full."""
        self._has_unsent = False
        """Whether part of the body is unsent. A reply that comes before its end makes the connection
        unusable."""
        self._sender: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(
        self, request: h11.Request, body: memoryview, on_end: Callable[[], None]
    ) -> tuple[ResponseHead, IncomingBody]:
        """Send a request; return the head of its reply, and its body as it arrives. `body` must not change
        meanwhile.

        `on_end` is called when the connection has finished with the body and is idle again or closed.

        Raises NoResponse: if the exchange fails before the body; `on_end` is not called then.
        """
        if not self.is_open:
            raise NoResponse("the store closed the connection", silent=True)
        self._on_end = on_end
        self._head = ResponseHeadReader(request, body)
        answer: asyncio.Future[tuple[ResponseHead, IncomingBody]] = self.loop.create_future()
        self._answer = answer
        try:
            cast(asyncio.Transport, self._transport).write(self._head.request)
            if body:
                await self._send(body, answer)
            return await answer
        except BaseException:
            self._forget(answer)
            raise

    async def _send(
        self, body: memoryview, answer: asyncio.Future[tuple[ResponseHead, IncomingBody]]
    ) -> None:
        """Send a request's body as fast as the socket accepts it, until the end or a reply."""
        self._has_unsent = True
        for start in range(0, len(body), _PIECE_BYTES):
            while self._is_full and not answer.done():
                self._sender = self.loop.create_future()
                await self._sender
            if answer.done():
                return
            cast(asyncio.Transport, self._transport).write(body[start : start + _PIECE_BYTES])
        self._has_unsent = False

    def _wake_sender(self) -> None:
        if self._sender is not None and not self._sender.done():
            self._sender.set_result(None)

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _forget(self, answer: asyncio.Future[tuple[ResponseHead, IncomingBody]]) -> None:
        """Handle a cancelled caller.

        If the whole reply had arrived, other requests may already use the connection.
        """
        if self._answer is answer:
            self._answer = self._on_end = None
            self.abort()
        elif answer.done() and not answer.cancelled() and answer.exception() is None:
            answer.result()[1].abandon()

    def abandon(self, body: IncomingBody) -> None:
        """Close the connection if this body is under way on it."""
        if body is self._body:
            self._break(ConnectionAbortedError("the rest was not wanted"))

    def taken(self, body: IncomingBody) -> None:
        """Resume receiving if the reader has made room for more of the body."""
        if self._paused and body is self._body and body.arrivals.waiting < _MOST_WAITING:
            self._resume()

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # The socket copies what it cannot send at once, so wait until it accepts more.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake_sender()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._body is None:
            return self._head.room() if self._head is not None else memoryview(bytearray(1))
        if self._codec is None:
            return self._body.arrivals.room(self._left + 1)  # one byte more, to detect excess data
        return self._scratch

    def buffer_updated(self, count: int) -> None:
        if self._body is None:
            self._head_came(count)
        elif self._codec is None:
            self._body_came(self._body, count)
        else:
            self._coded_came(self._body, self._codec, bytes(self._scratch[:count]))

    def eof_received(self) -> None:
        if self._body is not None and self._codec is not None:
            self._coded_came(self._body, self._codec, b"")

    def connection_lost(self, reason: Exception | None) -> None:
        self._break(reason or ConnectionResetError("the store closed the connection"))

    # the three kinds of received bytes

    def _head_came(self, count: int) -> None:
        if self._head is None:  # no request is pending
            self.abort()
            return
        try:
            head = self._head.came(count)
        except h11.RemoteProtocolError as error:
            self._break(error)
            return
        if head is not None:
            self._begin_body(head, self._head)

    def _begin_body(self, head: ResponseHead, reader: ResponseHeadReader) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():  # cancelled, which its task will soon notice
            self._on_end = None
            self.abort()
            return
        body = self._body = IncomingBody(self, self._buffers)
        self._head = None
        self._keeps = head.keeps
        answer.set_result((head, body))
        self._wake_sender()
        rest = reader.rest()
        if head.length is not None:
            self._left = head.length
            body.arrivals.add(rest[: self._left])
            self._count(body, len(rest))
        else:
            self._codec = reader.codec
            self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
            if rest:
                self._coded_came(body, self._codec, bytes(rest))

    def _body_came(self, body: IncomingBody, count: int) -> None:
        body.arrivals.came(min(count, self._left))
        self._count(body, count)

    def _count(self, body: IncomingBody, count: int) -> None:
        if count > self._left:  # more than announced, so it cannot be our reply
            self._keeps = False
        self._left -= min(count, self._left)
        if self._left == 0:
            self._complete(body)
        else:
            self._hold_back(body)
        body.wake()

    def _coded_came(self, body: IncomingBody, codec: h11.Connection, data: bytes) -> None:
        try:
            codec.receive_data(data)
            while isinstance(event := codec.next_event(), h11.Data):
                body.arrivals.add(memoryview(event.data))
            if isinstance(event, h11.EndOfMessage):
                self._keeps = self._keeps and codec.their_state is h11.DONE and not codec.trailing_data[0]
                self._complete(body)
        except h11.RemoteProtocolError as error:
            self._break(error)
            return
        self._hold_back(body)
        body.wake()

    # the end of the connection

    def _complete(self, body: IncomingBody) -> None:
        body.is_complete = True
        self._body = self._codec = None
        self._scratch = memoryview(b"")
        if not self._keeps or self._has_unsent or not self.is_open:
            self.abort()
            return
        self._resume()
        self._on_idle(self)
        self._end()

    def _break(self, reason: Exception) -> None:
        body, self._body = self._body, None
        if body is not None and not body.is_complete:
            body.failure = reason
            body.wake()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            silent = self._head is not None and self._head.received == 0
            failure = NoResponse(str(reason), silent=silent)
            failure.__cause__ = reason
            self._on_end = None
            answer.set_exception(failure)
            self._wake_sender()
        self.abort()

    def _end(self) -> None:
        if not self.is_open:
            self._on_lost(self)
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def _hold_back(self, body: IncomingBody) -> None:
        if (
            not self._paused
            and body is self._body
            and body.arrivals.waiting >= _MOST_WAITING
            and self.is_open
        ):
            self._paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def _resume(self) -> None:
        if self._paused and self.is_open:
            cast(asyncio.Transport, self._transport).resume_reading()
        self._paused = False
