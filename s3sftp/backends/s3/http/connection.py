"""Extends aiohttp's HTTP/1.1 connection with the checks that a signed request to a foreign store needs.

    idle ─► request ─► head: held until it is whole, then aiohttp parses it
      ▲                 └─► body of known length: from the socket into the buffers ─────────┬─► idle
      └─ one byte more: aborted    chunked, or until the connection ends: aiohttp parses it ┘

aiohttp alone bounds each header but neither the head nor the trailer, allocates memory for each receive,
copies each piece of a body, takes a body without a length for complete when its connection is reset, may keep
a connection whose reply was followed by more bytes, repeats requests that the store may have executed, leaves
the reader of a body waiting when the session closes, and, when it closes a connection, waits for a peer that
accepts no more bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any, Final, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from s3sftp.backends.s3.http.receive_buffers import LEAST_ROOM, ReceiveBuffers

HEAD_LIMIT: Final = 64 << 10
"""Maximum bytes before the body, including interim replies."""
LIMITS: Final[dict[str, Any]] = {
    "max_line_size": HEAD_LIMIT,
    "max_field_size": HEAD_LIMIT,
    "max_headers": HEAD_LIMIT,
    "read_bufsize": 256 << 10,  # aiohttp pauses the socket at twice this size
}
"""Arguments that each request passes to aiohttp, so that the parser allows heads up to `HEAD_LIMIT`."""
_SCRATCH_BYTES: Final = 64 << 10
_BLANK_LINE: Final = b"\r\n\r\n"
_SWITCHING_PROTOCOLS: Final = 101


class Unanswered(aiohttp.ClientConnectionError):
    """The exchange failed, and the store may have executed the request. aiohttp does not repeat a request
    after this error."""


class ClosedWhenReused(Unanswered):
    """A connection that has served before broke before the first byte of the reply.

    In most cases the store had closed it while it was idle.
    """


class Memory:
    """The memory that the connections of a session receive into."""

    def __init__(self) -> None:
        self.buffers = ReceiveBuffers()
        self.scratch = memoryview(bytearray(_SCRATCH_BYTES))
        """All connections share it, because each reads what it has received in the same step."""
        self._connections: WeakSet[GuardedConnection] = WeakSet()

    def opened(self, connection: GuardedConnection) -> None:
        self._connections.add(connection)

    def closed(self, connection: GuardedConnection) -> None:
        """Forget a connection. Release the buffers with the last one."""
        self._connections.discard(connection)
        if not self._connections:
            self.buffers.forget()


class GuardedConnection(ResponseHandler, asyncio.BufferedProtocol):
    """A connection that serves one request after the other, as long as each reply ends where it announced."""

    def __init__(self, memory: Memory, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._memory = memory
        self._room: memoryview | None = None
        """Where the next bytes of a body of known length are received."""
        self._requests = 0
        self._head = b""
        """The part of the next head that has arrived."""
        self._received = 0
        """Bytes of all complete heads of the reply, including interim ones."""
        self._heads = 0
        self._is_answered = True
        self._left: int | None = 0
        """Bytes of the body that have not arrived. None: aiohttp finds the end of the body."""
        self._framing = 0
        """Bytes since the last byte of a chunked body: the head of a chunk, or the trailer."""
        self._silent_until: float | None = None
        """When the peer has been silent for too long, by the event loop's clock; None while it may be."""

    # called by aiohttp and the event loop

    def set_response_params(self, **parameters: Any) -> None:
        self._requests += 1
        self._room = None
        self._head = b""
        self._received = self._heads = self._framing = 0
        self._is_answered = False
        super().set_response_params(**parameters)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._memory.opened(self)
        # The socket copies what it cannot send at once, so wait until it accepts more.
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=1, low=0)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._memory.closed(self)
        if exc is not None and self._left is None:
            self._break_body(f"the connection broke: {exc}")
        super().connection_lost(exc)
        if self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None

    def get_buffer(self, sizehint: int) -> memoryview:
        if not self._is_answered or not self._left or self._payload is None:
            self._room = None
            return self._memory.scratch
        wanted = self._left + 1  # one byte more, to detect excess data
        if self._room is None or len(self._room) < min(wanted, LEAST_ROOM):
            self._room = self._memory.buffers.lend(wanted)
        return self._room

    def buffer_updated(self, count: int) -> None:
        room = self._room
        if room is None:
            self.data_received(bytes(self._memory.scratch[:count]))
            return
        self._room = room[count:]
        self._known_came(room[:count])

    def data_received(self, data: bytes) -> None:
        while data and not self._is_answered and not self._is_broken():
            data = self._head_came(data)
        if self._is_answered:
            self._body_came(data)

    def feed_data(self, data: tuple[RawResponseMessage, Any], size: int = 0) -> None:
        message = data[0]
        self._heads += 1
        if self._is_answered or message.code == _SWITCHING_PROTOCOLS:
            self._refuse("a reply that nobody asked for")
            return
        self._is_answered = not 100 <= message.code < 200
        self._left = 0 if data[1] is aiohttp.EMPTY_PAYLOAD else _length(message)
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Record an error, and keep aiohttp from repeating a request that the store may have executed."""
        if isinstance(exc, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
            was_idle = self._requests > 1 and not self._received and not self._head
            exc = (ClosedWhenReused if was_idle else Unanswered)(str(exc))
        super().set_exception(exc, *cause)

    def close(self) -> None:
        """Abort the connection. Otherwise unsent bytes would remain while the peer accepts no more."""
        self.abort()

    def abort(self) -> None:
        self._break_body("the connection was closed")
        super().abort()

    # the limit of the peer's silence: aiohttp would replace its timer whenever something arrives or is sent

    def _reschedule_timeout(self) -> None:
        """Let the peer be silent for `read_timeout` seconds from now. The timer sees that when it ends."""
        if not self._read_timeout:
            self._silent_until = None
            return
        self._silent_until = self._loop.time() + self._read_timeout
        timer = self._read_timeout_handle
        if timer is not None and timer.when() > self._silent_until:
            timer.cancel()
            timer = None
        if timer is None:
            self._read_timeout_handle = self._loop.call_at(self._silent_until, self._look_for_silence)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _look_for_silence(self) -> None:
        self._read_timeout_handle = None
        if self._silent_until is None:
            return
        if self._silent_until <= self._loop.time():
            self._on_read_timeout()
        else:
            self._read_timeout_handle = self._loop.call_at(self._silent_until, self._look_for_silence)

    # the two kinds of received bytes

    def _head_came(self, data: bytes) -> bytes:
        """Have aiohttp parse the head once it is whole. Return the bytes that follow it."""
        searched = max(0, len(self._head) - len(_BLANK_LINE))
        self._head += data
        at = self._head.find(_BLANK_LINE, searched)
        if self._received + (len(self._head) if at < 0 else at) > HEAD_LIMIT:
            self._refuse("the head of the reply is too long")
            return b""
        if at < 0:
            return b""
        end = at + len(_BLANK_LINE)
        head, rest, self._head = self._head[:end], self._head[end:], b""
        self._received += end
        before = self._heads
        if head.count(b"\n") == head.count(b"\r\n"):
            super().data_received(head)
        if self._heads == before and not self._is_broken():
            self._refuse("the head of the reply is malformed")
        return rest

    def _body_came(self, data: bytes) -> None:
        if self._left is None:
            self._coded_came(data)
        elif self._left:
            self._known_came(data)
        elif data:  # more than announced, so it cannot be our reply
            self.force_close()
            if self._is_released():
                self.abort()

    def _known_came(self, data: bytes | memoryview) -> None:
        """Pass the next piece of a body of known length to its reader."""
        payload, left = self._payload, cast(int, self._left)
        if payload is None or not data:
            return
        self._reschedule_timeout()
        self._left = left - min(left, len(data))
        payload.feed_data(cast(bytes, data[:left]))  # aiohttp accepts any bytes-like object
        if self._left == 0:
            if len(data) > left:
                self.force_close()
            self._room = None
            self._payload = None  # later events of the connection do not concern this body
            payload.feed_eof()

    def _coded_came(self, data: bytes) -> None:
        payload = self._payload
        if payload is None or payload.is_eof():
            if data:
                self.abort()
            return
        before = payload.total_bytes
        super().data_received(data)
        if (failure := self.exception()) is not None:
            self._break_body(str(failure))
        elif not payload.is_eof():
            self._bound_framing(len(data), payload.total_bytes - before)
        # The parser would take what follows the body for the beginning of another reply.
        elif self._parser is not None and self._parser.feed_eof() is not None:
            self.abort()

    def _bound_framing(self, received: int, used: int) -> None:
        """Abort the connection if too much follows the last byte of the body that is not part of it."""
        if used or self._reading_paused:  # while reading is paused, the parser keeps bytes of the body
            self._framing = 0
            return
        self._framing += received
        if self._framing > HEAD_LIMIT:
            self.abort()

    # the end of the connection

    def _break_body(self, reason: str) -> None:
        """Let the reader of an incomplete body know that the rest will not arrive."""
        payload, self._payload = self._payload, None
        self._parser = None  # it would take the end of the connection for that of the body
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError(reason))

    def _is_broken(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def _is_released(self) -> bool:
        return self._payload is None or self._payload.is_eof()

    def _refuse(self, reason: str) -> None:
        self.abort()
        self.set_exception(Unanswered(reason))


def _length(message: RawResponseMessage) -> int | None:
    """Return the length of the body after a head that aiohttp has validated. None: aiohttp finds its end."""
    length = message.headers.get("Content-Length")
    return None if message.chunked or length is None else int(length)


def guard(session: aiohttp.ClientSession) -> None:
    """Make a session use `GuardedConnection`, verify host names, and keep no cookies."""
    connector = cast(Any, session.connector)
    tls = connector._ssl
    if isinstance(tls, ssl.SSLContext) and tls.verify_mode == ssl.CERT_REQUIRED:
        tls.check_hostname = True  # older versions of aiobotocore leave it to urllib3
    connector._factory = partial(GuardedConnection, Memory(), connector._loop)
    cast(Any, session)._cookie_jar = aiohttp.DummyCookieJar()
