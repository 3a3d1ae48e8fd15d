"""Bounds what aiohttp does not: the number of connections, and the bytes and the time of each.

Health checks must be answered while others hold connections, or the orchestrator would restart the server. So
a new connection is always accepted, and the oldest is closed to make room for it. A connection may be used
again after a call to the API by somebody who may: each such call gets bytes and time of its own.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

MAX_CONNECTIONS = 32
MAX_SECONDS = 10.0
"""Maximum duration of a request and its answer, with the connection before it."""
_MAX_BYTES = 32 << 10
"""Maximum size of a request."""


class ConnectionLimits:
    """The open connections, the oldest first."""

    def __init__(self) -> None:
        self._connections: dict[LimitedProtocol, None] = {}

    def add(self, connection: LimitedProtocol) -> None:
        self._connections.pop(connection, None)
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).abort()

    def remove(self, connection: LimitedProtocol) -> None:
        self._connections.pop(connection, None)

    def close(self) -> None:
        """Close all connections that have no answer yet."""
        for connection in list(self._connections):
            connection.abort()


class LimitedProtocol(asyncio.Protocol):
    """A protocol that is aborted when it exceeds a limit."""

    def __init__(
        self, inner: asyncio.Protocol, limits: ConnectionLimits, tls: ssl.SSLContext | None = None
    ) -> None:
        """With `tls`, the handshake comes first, and is within the same limits."""
        self._tls = tls
        self._handshake: asyncio.Task[None] | None = None
        self._inner_began = False
        self._inner = inner
        self._limits = limits
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close the connection at once, even in the middle of an answer."""
        self._limits.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()

    def renew(self) -> None:
        """Start to count bytes and time anew."""
        self._received = 0
        self._limits.add(self)
        self._begin_to_count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._begin_to_count()
        self._limits.add(self)
        if self._tls is not None:
            self._handshake = asyncio.create_task(self._shake_hands(self._transport, self._tls))
            return
        self._begin_inner(transport)

    async def _shake_hands(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        transport.pause_reading()  # the handshake resumes it
        try:
            secure = await asyncio.get_running_loop().start_tls(transport, self, tls, server_side=True)
        except (OSError, ValueError):  # it speaks no TLS, has no certificate that fits, or is gone
            self.abort()
            return
        if secure is not None:
            self._begin_inner(secure)

    def _begin_inner(self, transport: asyncio.BaseTransport) -> None:
        self._inner_began = True
        self._inner.connection_made(transport)

    def _begin_to_count(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(MAX_SECONDS, self.abort)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MAX_BYTES:
            self.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        if self._tls is not None:
            return False  # TLS has no half-open connections
        return self._received > 0  # a client may close its side after a request and get the answer

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._limits.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inner_began:
            self._inner.connection_lost(error)
